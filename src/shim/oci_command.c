/* Any OCI runtime's command line, and where it leaves its errors. */
#include "base/jsonr.h"
#include "base/mem.h"
#include "os/fd.h"
#include "os/file.h"
#include "shim/oci_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { LOG_MAX = 4 << 20 };

/* The process or resources as a file beside the bundle's others. */
static int json_file(const struct oci_request *q, struct strv *ret_temporary, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/.call-XXXXXX", q->bundle);
	AUTO_FD int fd = mkostemp(path, O_CLOEXEC);
	AUTO_JSON json_object *o = NULL;
	int r;

	if (fd < 0)
		return err_sys(e, errno, "create %s", path);
	strv_add(ret_temporary, path);
	if (q->verb != OCI_EXEC) {
		r = fd_write_all(fd, q->json, q->json_len);
		return r < 0 ? err_sys(e, -r, "write %s", path) : 0;
	}
	/* What the request says about a terminal wins over the document. */
	if (jsonr_parse(q->json, q->json_len, &o, e) < 0)
		return -1;
	if (!json_object_is_type(o, json_type_object))
		return err_set(e, ERR_INVALID_ARGUMENT, "process is not a JSON object");
	json_object_object_add(o, "terminal", json_object_new_boolean(q->terminal));

	const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);

	r = fd_write_all(fd, text, strlen(text));
	return r < 0 ? err_sys(e, -r, "write %s", path) : 0;
}

static void add_process_flags(const struct oci_request *q, const char *console_socket,
			      struct strv *argv)
{
	if (q->pid_file) {
		strv_add(argv, "--pid-file");
		strv_add(argv, q->pid_file);
	}
	if (console_socket) {
		strv_add(argv, "--console-socket");
		strv_add(argv, console_socket);
	}
}

static void add_text(struct strv *argv, const char *flag, const char *value)
{
	if (!*value)
		return;
	strv_add(argv, flag);
	strv_add(argv, value);
}

static void add_criu_flags(const struct oci_criu *c, struct strv *argv)
{
	const struct {
		bool is_on;
		const char *flag;
	} switches[] = {
		{ c->leave_running, "--leave-running" },
		{ c->open_tcp, "--tcp-established" },
		{ c->external_unix_sockets, "--ext-unix-sk" },
		{ c->terminal, "--shell-job" },
		{ c->file_locks, "--file-locks" },
	};

	add_text(argv, "--image-path", c->image);
	add_text(argv, "--work-path", c->work);
	add_text(argv, "--parent-path", c->parent);
	add_text(argv, "--manage-cgroups-mode", c->cgroups_mode);
	for (size_t i = 0; i < ARRAY_LEN(switches); i++)
		if (switches[i].is_on)
			strv_add(argv, switches[i].flag);
	for (size_t i = 0; i < c->n_empty_namespaces; i++)
		add_text(argv, "--empty-ns", c->empty_namespaces[i]);
}

int oci_command(const struct oci_runtime *rt, const struct oci_request *q,
		const char *console_socket, struct strv *ret_argv, struct strv *ret_temporary,
		struct err *e)
{
	static const char *const names[] = {
		[OCI_CREATE] = "create",   [OCI_START] = "start",   [OCI_EXEC] = "exec",
		[OCI_KILL] = "kill",       [OCI_DELETE] = "delete", [OCI_PAUSE] = "pause",
		[OCI_RESUME] = "resume",   [OCI_UPDATE] = "update", [OCI_CHECKPOINT] = "checkpoint",
		[OCI_RESTORE] = "restore",
	};
	struct strv *v = ret_argv;

	if (q->json && json_file(q, ret_temporary, e) < 0)
		return -1;

	const char *file = ret_temporary->n ? ret_temporary->v[ret_temporary->n - 1] : NULL;

	strv_add(v, rt->binary ?: rt->own_binary ?: "runc");
	strv_add(v, "--root");
	strv_add(v, rt->root);
	strv_add(v, "--log");
	strv_add(v, rt->log);
	strv_add(v, "--log-format");
	strv_add(v, "json");
	if (rt->systemd_cgroup)
		strv_add(v, "--systemd-cgroup");
	strv_add(v, names[q->verb]);
	if (q->verb == OCI_CREATE) {
		strv_add(v, "--bundle");
		strv_add(v, q->bundle);
		add_process_flags(q, console_socket, v);
		if (q->no_pivot_root)
			strv_add(v, "--no-pivot");
		if (q->no_new_keyring)
			strv_add(v, "--no-new-keyring");
	} else if (q->verb == OCI_EXEC) {
		strv_add(v, "--process");
		strv_add(v, file);
		strv_add(v, "--detach");
		add_process_flags(q, console_socket, v);
	} else if (q->verb == OCI_RESTORE) {
		strv_add(v, "--bundle");
		strv_add(v, q->bundle);
		strv_add(v, "--detach");
		strv_add(v, "--no-subreaper");
		add_process_flags(q, console_socket, v);
		if (q->no_pivot_root)
			strv_add(v, "--no-pivot");
	} else if (q->verb == OCI_UPDATE) {
		strv_add(v, "--resources");
		strv_add(v, file);
	}
	if (q->criu)
		add_criu_flags(q->criu, v);
	if (q->all)
		strv_add(v, "--all");
	if (q->force)
		strv_add(v, "--force");
	strv_add(v, q->id);
	if (q->verb == OCI_KILL)
		strv_addf(v, "%d", q->sig);
	return 0;
}

char *oci_log_last_error(const char *path, size_t from)
{
	AUTO_FREE char *text = NULL;
	char *last = NULL;
	size_t n;

	if (file_read(AT_FDCWD, path, LOG_MAX, &text, &n) < 0)
		return xstrdup("");
	for (char *line = text + (from < n ? from : 0); *line;) {
		size_t len = strcspn(line, "\n");
		AUTO_JSON json_object *o = NULL;
		struct err e = { 0 };
		const char *level = "", *msg = NULL;

		/* Lines that are no JSON are not the runtime's: skipped. */
		if (jsonr_parse(line, len, &o, &e) == 0 &&
		    json_object_is_type(o, json_type_object) &&
		    jsonr_string(o, "level", &level, &e) == 0 &&
		    jsonr_string(o, "msg", &msg, &e) == 0 && msg && !strcmp(level, "error")) {
			free(last);
			last = xstrdup(msg);
		}
		line += len;
		line += strspn(line, "\n");
	}
	return last ? last : xstrdup("");
}
