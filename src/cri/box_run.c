/* StartContainer: the task, with its log. */
#include "base/log.h"
#include "cri/private.h"
#include "engine/nri.h"
#include "os/file.h"
#include "store/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* In a URI. */
static void add_escaped(struct str *out, const char *text)
{
	for (; *text; text++)
		if (strchr("/-._~", *text) || (*text >= '0' && *text <= '9') ||
		    ((*text | 32) >= 'a' && (*text | 32) <= 'z'))
			str_addc(out, *text);
		else
			str_addf(out, "%%%02X", (unsigned char)*text);
}

static int make_fifo(const char *path, struct err *e)
{
	if (mkfifo(path, 0600) < 0 && errno != EEXIST)
		return err_sys(e, errno, "mkfifo %s", path);
	return 0;
}

/* As kubelet has it, the pod's folder of logs lies in a folder of the host's, which may be reached
 * by a link; all below is a volume of pods that collect logs, and no link is followed there. */
bool box_log_place(const struct box *box, struct arena *a, struct box_log *ret)
{
	const char *dir = box->pod->config->log_directory, *path = box->log_path;
	size_t n = strlen(dir);

	if (!*path)
		return false;
	while (n > 1 && dir[n - 1] == '/')
		n--;
	while (n > 1 && dir[n - 1] != '/')
		n--;
	const char *file = strrchr(path, '/') + 1;
	ret->base = arena_strndup(a, path, n);
	ret->below = arena_strndup(a, path + n, (size_t)(file - path) - n);
	ret->file = file;
	return true;
}

/* Output goes into the log's file, and to who is attached by the fifos beside it. */
static int make_io(const struct box *box, struct arena *a, struct task_io *ret, struct err *e)
{
	AUTO_STR struct str uri = STR_INIT(64 << 10);
	struct box_log log = { .base = box->dir, .below = "", .file = "" };
	const char *out = arena_printf(a, "%s/stdout", box->dir);
	const char *err = arena_printf(a, "%s/stderr", box->dir);
	const char *in = arena_printf(a, "%s/stdin", box->dir);
	int r = file_mkdirs(box->dir, 0700);

	if (r < 0)
		return err_sys(e, -r, "failed to create container root directory \"%s\"", box->dir);
	if (make_fifo(out, e) < 0 || (!box->config->tty && make_fifo(err, e) < 0) ||
	    (box->config->stdin && make_fifo(in, e) < 0))
		return -1;
	(void)box_log_place(box, a, &log); /* without a log: fifos only */
	str_add(&uri, "casco-log://");
	add_escaped(&uri, log.base);
	str_add(&uri, "?format=cri&below=");
	add_escaped(&uri, log.below);
	str_add(&uri, "&file=");
	add_escaped(&uri, log.file);
	str_addf(&uri, "&max-line=%u&attach-stdout=", box->pod->cri->en->cfg->cri.log_line_max);
	add_escaped(&uri, out);
	if (!box->config->tty) {
		str_add(&uri, "&attach-stderr=");
		add_escaped(&uri, err);
	}
	const char *text = arena_strdup(a, str_c(&uri));

	*ret = (struct task_io){ .in = box->config->stdin ? in : "",
				 .out = text,
				 .err = box->config->tty ? "" : text,
				 .terminal = box->config->tty };
	return 0;
}

static int make_task(struct box *box, const struct call *call, struct task **ret, struct err *e)
{
	const struct snapshot_at at = { .ns = call->ns, .snapshotter = box->snapshotter };
	struct container_record r;
	struct task_new n = { .ns = call->ns, .id = box->id };
	uint32_t pid;

	if (container_get(call->engine->store, call->ns, call->arena, box->id, &r, e) < 0 ||
	    snapshot_mounts(call->engine->store, &at, call->arena, box->id, &n.rootfs, e) < 0 ||
	    make_io(box, call->arena, &n.io, e) < 0)
		return -1;
	n.runtime = r.runtime_name;
	n.spec = r.spec;
	n.options = r.runtime_options;
	n.sandbox = box->pod->id; /* in its shim */
	n.sandboxes = call->engine->sandboxes;
	if (engine_task_create(call, &r, &n, &pid, e) < 0)
		return -1;
	return task_get(call->engine->tasks, call->ns, box->id, ret, e);
}

static void set_running(struct box *box, uint32_t pid)
{
	struct process p = process_of(pid);

	pthread_mutex_lock(&box->pod->cri->lock);
	box->state = RUNTIME__V1__CONTAINER_STATE__CONTAINER_RUNNING;
	box->started = cri_now();
	box->process = p;
	pthread_mutex_unlock(&box->pod->cri->lock);
}

static int run(struct box *box, const struct call *call, struct err *e)
{
	AUTO_TASK struct task *t = NULL;
	struct err ignored = { 0 };
	uint32_t pid;

	if (make_task(box, call, &t, e) < 0)
		return err_wrap(e, "failed to create containerd task");
	/* after the namespaces were joined, and before anything of the image runs in them */
	if (box_check_joined(box, call->arena, e) < 0 ||
	    engine_task_start(call, t, NULL, &pid, e) < 0) {
		(void)cri_end_task(call, t, &ignored); /* the start's failure is told */
		return err_wrap(e, "failed to start containerd task \"%s\"", box->id);
	}
	set_running(box, pid);
	/* before its end can be told and saved */
	box_save_or_warn(box);
	cri_tell(box->pod->cri, RUNTIME__V1__CONTAINER_EVENT_TYPE__CONTAINER_STARTED_EVENT,
		 box->pod, box->id);
	box_watch(box, t);
	return 0;
}

static int start(struct box *box, const struct call *call, struct err *e)
{
	static const char *const names[] = { "CREATED", "RUNNING", "EXITED", "UNKNOWN" };
	struct cri *cri = box->pod->cri;

	pthread_mutex_lock(&cri->lock);
	CRI(ContainerState) state = box->state;
	bool is_removed = box->is_removed, is_ready = box->pod->is_ready && !box->pod->is_closing;

	pthread_mutex_unlock(&cri->lock);
	if (is_removed)
		return err_set(e, ERR_FAILED_PRECONDITION, "container is in removing state");
	if (state != RUNTIME__V1__CONTAINER_STATE__CONTAINER_CREATED)
		return err_set(e, ERR_FAILED_PRECONDITION, "container is in CONTAINER_%s state",
			       (unsigned)state < ARRAY_LEN(names) ? names[state] : "UNKNOWN");
	if (!is_ready)
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "sandbox container \"%s\" is not running", box->pod->id);
	if (run(box, call, e) == 0)
		return 0;
	box_set_exited(box, START_ERROR_EXIT, "StartError", e->msg, cri_now());
	return -1;
}

int cri_start_box(struct cri *cri, struct arena *a, struct cancel *c, const char *id, struct err *e)
{
	const struct call call = cri_call(cri, a, c);
	AUTO_BOX struct box *box = box_find(cri, id, e);
	int r;

	if (!box)
		return -1;
	pthread_mutex_lock(&box->turn);
	r = start(box, &call, e);
	pthread_mutex_unlock(&box->turn);
	return r < 0 ? err_wrap(e, "failed to start container \"%s\"", box->id) : 0;
}
