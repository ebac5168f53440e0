#include "runtime/bundle.h"

#include "os/file.h"
#include "runtime/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { CONFIG_MAX = 16 << 20 };

int runtime_load_spec(struct arena *a, const char *bundle, struct oci_spec **ret, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/config.json", bundle);
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	int r = file_read(AT_FDCWD, path, CONFIG_MAX, &text, &len);

	if (r == -ENOENT && access(bundle, F_OK) < 0)
		return err_sys(e, errno, "chdir %s", bundle);
	if (r == -ENOENT)
		return err_set(e, ERR_NOT_FOUND, "JSON specification file config.json not found");
	if (r < 0)
		return err_sys(e, -r, "open %s", path);
	return oci_spec_parse(a, text, len, ret, e);
}

const char *bundle_path(struct arena *a, const char *bundle, struct err *e)
{
	AUTO_FREE char *path = file_real_path(bundle);

	if (!path) {
		err_sys(e, errno, "open bundle %s", bundle);
		return NULL;
	}
	return arena_strdup(a, path);
}
