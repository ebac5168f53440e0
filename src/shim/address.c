#include "shim/address.h"

#include "base/jsonr.h"
#include "base/sha256.h"
#include "base/str.h"
#include "os/file.h"

#include <string.h>

enum { CONFIG_MAX = 32 << 20 };

int shim_group_read(struct arena *a, int bundlefd, const char *id, const char **ret, struct err *e)
{
	static const char *const keys[] = { "io.containerd.runc.v2.group",
					    "io.kubernetes.cri.sandbox-id" };
	AUTO_FREE char *text = NULL;
	AUTO_JSON json_object *o = NULL;
	json_object *annotations = NULL;
	size_t n;
	int r = file_read(bundlefd, "config.json", CONFIG_MAX, &text, &n);

	if (r < 0)
		return err_sys(e, -r, "read config.json");
	if (jsonr_parse(text, n, &o, e) < 0)
		return err_wrap(e, "read config.json");
	if (!json_object_is_type(o, json_type_object))
		return err_set(e, ERR_INVALID_ARGUMENT, "read config.json: not an object");
	if (jsonr_object(o, "annotations", &annotations, e) < 0)
		return err_wrap(e, "read config.json");
	*ret = id;
	for (size_t i = 0; annotations && i < ARRAY_LEN(keys); i++) {
		const char *v = NULL;

		if (jsonr_string(annotations, keys[i], &v, e) < 0)
			return err_wrap(e, "read config.json");
		if (v) {
			*ret = arena_strdup(a, v);
			break;
		}
	}
	return 0;
}

/* filepath.Join: "/"s collapsed, "." and ".." resolved; all of ours are absolute. */
static char *path_clean(struct arena *a, const char *path)
{
	AUTO_STR struct str out = STR_INIT(1 << 16);

	for (const char *p = path; *p;) {
		size_t n = strcspn(p, "/");

		if (n == 2 && p[0] == '.' && p[1] == '.') {
			while (out.len && out.ptr[--out.len] != '/')
				;
			if (out.ptr)
				out.ptr[out.len] = 0;
		} else if (n && !(n == 1 && p[0] == '.')) {
			str_addc(&out, '/');
			str_addn(&out, p, n);
		}
		p += n;
		p += strspn(p, "/");
	}
	return arena_strdup(a, out.len ? str_c(&out) : "/");
}

const char *shim_socket_path(struct arena *a, const char *dir, const char *grpc_address,
			     const char *ns, const char *group)
{
	/* The three parts are joined as a path too, before they are hashed. */
	const char *name = path_clean(a, arena_printf(a, "%s/%s/%s", grpc_address, ns, group));
	char hex[SHA256_HEX + 1];

	if (grpc_address[0] != '/')
		name++; /* a relative join stays relative */
	sha256_of(name, strlen(name), hex);
	return path_clean(a, arena_printf(a, "%s/%s", *dir ? dir : SHIM_SOCKET_DIR, hex));
}
