/* What blocks: a process is made in a container, or a running one is found; a pod's network is
 * entered. */
#include "api/cri/stream_priv.h"
#include "base/jsonr.h"
#include "base/log.h"
#include "cri/cri.h"
#include "engine/engine.h"
#include "os/dir.h"
#include "os/fd.h"
#include "os/file.h"
#include "task/task.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define FIFO_FOLDER "io.casco.cri/stdio"

void stream_ends_close(struct stream_ends *x)
{
	for (int i = 0; i < 3; i++) {
		close_fd(&x->fd[i]);
		x->fd[i] = -1;
	}
	task_unref(x->task);
	x->task = NULL;
}

/* --- fifos --- */

static const char *const fifo_names[] = { "stdin", "stdout", "stderr" };

struct fifos {
	char *dir;
	const char *path[3]; /* "": none */
};

static void fifos_remove(const struct fifos *f)
{
	for (int i = 0; i < 3; i++)
		if (*f->path[i])
			(void)unlink(f->path[i]); /* best effort: nothing else is there */
	(void)rmdir(f->dir);
}

static int fifos_make(struct engine *en, struct arena *a, const bool want[3], struct fifos *ret,
		      struct err *e)
{
	const char *root = arena_printf(a, "%s/" FIFO_FOLDER, en->cfg->state);
	int r = file_mkdirs(root, 0700);

	*ret = (struct fifos){ arena_printf(a, "%s/XXXXXX", root), { "", "", "" } };
	if (r < 0)
		return err_sys(e, -r, "mkdir %s", root);
	if (!mkdtemp(ret->dir))
		return err_sys(e, errno, "mkdtemp %s", ret->dir);
	for (int i = 0; i < 3; i++) {
		if (!want[i])
			continue;
		ret->path[i] = arena_printf(a, "%s/%s", ret->dir, fifo_names[i]);
		if (mkfifo(ret->path[i], 0600) < 0) {
			err_sys(e, errno, "mkfifo %s", ret->path[i]);
			ret->path[i] = "";
			fifos_remove(ret);
			return -1;
		}
	}
	return 0;
}

void stream_fifos_clear(const struct engine *en)
{
	AUTO_FREE char *root = xasprintf("%s/" FIFO_FOLDER, en->cfg->state);
	AUTO_FD int dirfd = open(root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	AUTO_STRV struct strv names = { 0 };

	if (dirfd < 0 || dir_names(dirfd, ".", &names) < 0)
		return; /* there has never been an exec */
	for (size_t i = 0; i < names.n; i++) {
		AUTO_FD int fd =
			openat(dirfd, names.v[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		for (size_t k = 0; fd >= 0 && k < ARRAY_LEN(fifo_names); k++)
			(void)unlinkat(fd, fifo_names[k], 0); /* those that it had */
		if (unlinkat(dirfd, names.v[i], AT_REMOVEDIR) < 0)
			log_warn(LOG({ "error", err_errno_text(errno) }),
				 "cannot remove %s/%s, skipping", root, names.v[i]);
	}
}

static int open_end(const char *path, int flags, int *ret, struct err *e)
{
	if (!*path)
		return 0;
	*ret = open(path, flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	return *ret < 0 ? err_sys(e, errno, "open %s", path) : 0;
}

/* --- the process --- */

static void set_term(json_object *process)
{
	json_object *env = NULL;
	struct err e = { 0 };

	if (jsonr_array(process, "env", &env, &e) < 0 || !env) {
		env = json_object_new_array();
		json_object_object_add(process, "env", env);
	}
	for (size_t i = 0; i < json_object_array_length(env); i++) {
		const char *s = json_object_get_string(json_object_array_get_idx(env, i));

		if (s && str_starts(s, "TERM=")) {
			json_object_array_put_idx(env, i, json_object_new_string("TERM=xterm"));
			return;
		}
	}
	json_object_array_add(env, json_object_new_string("TERM=xterm"));
}

/* The container's own process with another command. */
static int process_of(struct engine *en, const struct stream_request *r, struct arena *a,
		      struct any *ret, struct err *e)
{
	const struct call call = { .engine = en, .ns = CRI_NAMESPACE, .arena = a };
	AUTO_JSON json_object *p = NULL;

	if (cri_exec_process(&call, r->id, r->n_cmd, (char *const *)r->cmd, r->tty, ret, e) < 0)
		return err_wrap(e, "the process of container %s", r->id);
	if (!r->tty)
		return 0;
	if (jsonr_parse(ret->value, ret->n, &p, e) < 0)
		return err_wrap(e, "the process of container %s", r->id);
	set_term(p);
	ret->value = arena_strdup(
		a, json_object_to_json_string_ext(p, JSON_C_TO_STRING_PLAIN |
							     JSON_C_TO_STRING_NOSLASHESCAPE));
	ret->n = strlen(ret->value);
	return 0;
}

static void make_id(char ret[33])
{
	uint8_t b[16];

	while (getrandom(b, sizeof b, 0) != sizeof b)
		; /* interrupted */
	for (size_t i = 0; i < sizeof b; i++)
		snprintf(ret + 2 * i, 3, "%02x", b[i]);
}

struct gate {
	task_wait_fn *fn;
	void *arg;
};

/* The wait before the start: nothing of a process that ends at once is missed. */
static int start(struct engine *en, const struct fifos *f, uint64_t wait, struct stream_ends *x,
		 struct err *e)
{
	struct err no_reader = { 0 };
	uint32_t pid;

	task_wait_begin(en->tasks, wait);
	if (task_start(x->task, x->exec_id, &pid, e) < 0)
		return -1;
	/* The shim reads by now; unless the process has ended already. */
	if (open_end(f->path[0], O_WRONLY, &x->fd[0], &no_reader) == 0 || no_reader.errnum == ENXIO)
		return 0;
	return err_copy(e, &no_reader);
}

static int exec_in(struct engine *en, const struct stream_request *r, struct arena *a,
		   const struct fifos *f, const struct gate *g, struct stream_ends *x,
		   uint64_t *ret_wait, struct err *e)
{
	const struct task_io io = { f->path[0], f->path[1], f->path[2], r->tty };
	struct err gone = { 0 }, never = { 0 };
	struct any process = { 0 };
	struct task_exit exit;

	if (process_of(en, r, a, &process, e) < 0 ||
	    open_end(f->path[1], O_RDONLY, &x->fd[1], e) < 0 ||
	    open_end(f->path[2], O_RDONLY, &x->fd[2], e) < 0 ||
	    task_get(en->tasks, CRI_NAMESPACE, r->id, &x->task, e) < 0)
		return -1;
	make_id(x->exec_id);
	if (task_exec(x->task, x->exec_id, &process, &io, e) < 0)
		return err_wrap(e, "failed to create exec \"%s\"", x->exec_id);
	*ret_wait = task_wait_new(x->task, x->exec_id, g->fn, g->arg);
	if (start(en, f, *ret_wait, x, e) == 0)
		return 0;
	/* e says what went wrong; of these, one has nothing to do */
	(void)task_kill(x->task, x->exec_id, SIGKILL, false, &gone);
	(void)task_delete(x->task, x->exec_id, &exit, &never);
	task_wait_cancel(en->tasks, *ret_wait);
	return err_wrap(e, "failed to start exec \"%s\"", x->exec_id);
}

static int attach_to(struct engine *en, const struct stream_request *r, struct arena *a,
		     const struct gate *g, struct stream_ends *x, uint64_t *ret_wait, struct err *e)
{
	struct err none = { 0 };
	struct task_state s;
	char buf[4096];

	if (task_get(en->tasks, CRI_NAMESPACE, r->id, &x->task, e) < 0)
		return -1;
	if (task_state(x->task, "", a, &s, e) < 0)
		return err_wrap(e, "failed to load task");
	if (s.status != TASK_RUNNING && s.status != TASK_PAUSED)
		return err_set(e, ERR_FAILED_PRECONDITION, "container %s is not running", r->id);
	x->tty = s.terminal;
	if (open_end(strstr(s.out, "://") ? "" : s.out, O_RDONLY, &x->fd[1], e) < 0)
		return -1;
	if (!s.terminal && strcmp(s.out, s.err) != 0 &&
	    open_end(strstr(s.err, "://") ? "" : s.err, O_RDONLY, &x->fd[2], e) < 0)
		return -1;
	/* Without a reader there is nobody to give input to. */
	(void)open_end(s.in, O_WRONLY, &x->fd[0], &none);
	/* What was said before nobody was attached for. */
	for (int i = 1; i < 3; i++)
		while (x->fd[i] >= 0 && read(x->fd[i], buf, sizeof buf) > 0)
			;
	*ret_wait = task_wait_new(x->task, "", g->fn, g->arg);
	task_wait_begin(en->tasks, *ret_wait);
	return 0;
}

int stream_exec(struct engine *en, const struct stream_request *r, task_wait_fn *on_exit, void *arg,
		struct stream_ends *ret, uint64_t *ret_wait, struct err *e)
{
	const bool want[3] = { r->in, r->out, r->err && !r->tty };
	const struct gate g = { on_exit, arg };
	AUTO_ARENA struct arena *a = arena_new();
	struct fifos f;
	int done;

	*ret = (struct stream_ends){ .fd = { -1, -1, -1 } };
	if (r->kind == STREAM_ATTACH) {
		done = attach_to(en, r, a, &g, ret, ret_wait, e);
	} else {
		if (fifos_make(en, a, want, &f, e) < 0)
			return -1;
		ret->tty = r->tty;
		done = exec_in(en, r, a, &f, &g, ret, ret_wait, e);
		fifos_remove(&f); /* everybody has opened his ends */
	}
	if (done < 0)
		stream_ends_close(ret);
	return done;
}

/* --- a pod's network --- */

/* This thread is in there for as long as the two calls take. */
static int open_inside(int netns, int ret[2])
{
	static const int families[] = { AF_INET, AF_INET6 };
	AUTO_FD int own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	if (own < 0 || setns(netns, CLONE_NEWNET) < 0)
		return -errno;
	for (int i = 0; i < 2; i++)
		ret[i] = socket(families[i], SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (setns(own, CLONE_NEWNET) < 0)
		BUG("a thread cannot come back from a pod's network namespace");
	return 0; /* one of the two may be missing */
}

int stream_pod_sockets(struct engine *en, const char *pod, int ret[2], struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	const char *id, *path;
	int r;

	ret[0] = ret[1] = -1;
	if (cri_pod_netns(en->cri, a, pod, &id, &path, e) < 0)
		return -1;
	/* "": the pod has the host's */
	AUTO_FD int netns = open(*path ? path : "/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (netns < 0)
		return err_sys(e, errno, "open network namespace %s", path);
	r = open_inside(netns, ret);
	return r < 0 ? err_sys(e, -r, "enter network namespace %s", path) : 0;
}
