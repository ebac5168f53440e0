#include "shim/exit_file.h"

#include "base/jsonr.h"
#include "base/jsonw.h"
#include "base/timefmt.h"
#include "os/file.h"

#include <errno.h>

static const char name[] = "exit.json";

int exit_file_write(int bundlefd, const struct exit_record *x, struct err *e)
{
	AUTO_STR struct str out = STR_INIT(1024);
	char at[TIMEFMT_MAX];
	struct jsonw w;

	jsonw_init(&w, &out, 0);
	jsonw_object(&w);
	jsonw_ki64(&w, "pid", x->pid);
	jsonw_ku64(&w, "exit_status", x->status);
	jsonw_kstring(&w, "exited_at", timefmt_rfc3339(x->at, at));
	jsonw_end(&w);

	int r = file_replace(bundlefd, name, str_c(&out), out.len, 0600, false);

	return r < 0 ? err_sys(e, -r, "write %s", name) : 0;
}

int exit_file_read(int bundlefd, struct exit_record *ret, struct err *e)
{
	AUTO_FREE char *text = NULL;
	AUTO_JSON json_object *o = NULL;
	const char *at = "";
	uint64_t status = 0;
	int64_t pid = 0;
	size_t n;
	int r = file_read(bundlefd, name, 1024, &text, &n);

	if (r < 0)
		return r == -ENOENT ? err_set(e, ERR_NOT_FOUND, "%s", name)
				    : err_sys(e, -r, "read %s", name);
	if (jsonr_parse(text, n, &o, e) < 0)
		return err_wrap(e, "read %s", name);
	if (!json_object_is_type(o, json_type_object))
		return err_set(e, ERR_DATA_LOSS, "read %s: not an object", name);
	if (jsonr_i64(o, "pid", &pid, e) < 0 || jsonr_u64(o, "exit_status", &status, e) < 0 ||
	    jsonr_string(o, "exited_at", &at, e) < 0)
		return err_wrap(e, "read %s", name);
	*ret = (struct exit_record){ .pid = (pid_t)pid, .status = (uint32_t)status };
	if (pid <= 0 || status > 255 || timefmt_parse(at, &ret->at) < 0)
		return err_set(e, ERR_DATA_LOSS, "read %s: values out of range", name);
	return 0;
}
