#include "shim/oci_priv.h"

#include "base/log.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "loop/trace.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/socket.h"
#include "os/spawn.h"
#include "os/steps.h"
#include "os/syscall.h"
#include "shim/oci_steps.h"
#include "shim/reaper.h"
#include "wire/ttrpc_server.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

extern char **environ;

struct oci_call {
	struct loop *loop;
	struct reaper *reaper;
	enum oci_verb verb;
	pid_t pid;
	int sock; /* own: where the answer comes; else where the console comes, or -1 */
	bool is_own, is_late;
	struct loop_io *io; /* own: for the answer */
	struct loop_timer *timer;
	struct strv temporary; /* files and then folders to remove */
	char *console_socket, *pid_file, *log;
	size_t log_size;
	struct oci_answer answer;
	struct err root; /* why there is none; code 0: there is */
	struct steps *steps; /* NULL: no memory for them */
	struct ttrpc_call *call; /* done()'s to answer, or NULL */
	char *program; /* another's runtime */
	uint64_t limit; /* ns */
	oci_done_fn *done;
	void *arg;
};

static const char *const failed[] = {
	[OCI_CREATE] = "OCI runtime create failed",
	[OCI_START] = "OCI runtime start failed",
	[OCI_EXEC] = "OCI runtime exec failed",
	[OCI_KILL] = "OCI runtime kill failed",
	[OCI_DELETE] = "failed to delete task",
	[OCI_PAUSE] = "OCI runtime pause failed",
	[OCI_RESUME] = "OCI runtime resume failed",
	[OCI_UPDATE] = "OCI runtime update failed",
	[OCI_CHECKPOINT] = "OCI runtime checkpoint failed",
	[OCI_RESTORE] = "OCI runtime restore failed",
};

void oci_runtime_init(struct oci_runtime *rt, const struct shim_options *o, const char *ns,
		      const char *bundle, const char *own_binary)
{
	AUTO_FREE char *found = *o->binary_name ? spawn_find(o->binary_name) : NULL;
	struct stat a, b;

	*rt = (struct oci_runtime){
		.root = xasprintf("%s/%s", *o->root ? o->root : SHIM_RUNTIME_ROOT, ns),
		.log = xasprintf("%s/log.json", bundle),
		.own_binary = *own_binary ? xstrdup(own_binary) : spawn_find("runc"),
		.systemd_cgroup = o->systemd_cgroup,
	};
	/* No name, or one that leads to the runc beside us, is our own runtime. */
	if (!*o->binary_name || (!found && !strcmp(o->binary_name, "runc")))
		return;
	if (found && *own_binary && stat(found, &a) == 0 && stat(own_binary, &b) == 0 &&
	    a.st_dev == b.st_dev && a.st_ino == b.st_ino)
		return;
	rt->binary = xstrdup(found ? found : o->binary_name);
}

void oci_runtime_done(struct oci_runtime *rt)
{
	free(rt->binary);
	free(rt->own_binary);
	free(rt->root);
	free(rt->log);
	*rt = (struct oci_runtime){ 0 };
}

/* What a runtime says of a kill that came too late, in containerd's words. */
static void kill_error(const struct err *from, struct err *e)
{
	static const char *const late[] = { "process already finished", "container not running",
					    "no such process", "process not running" };

	for (size_t i = 0; i < ARRAY_LEN(late); i++)
		if (strstr(from->msg, late[i])) {
			err_set(e, ERR_NOT_FOUND, "process already finished");
			return;
		}
	if (strstr(from->msg, "does not exist"))
		err_set(e, ERR_NOT_FOUND, "no such container");
	else
		err_set(e, ERR_UNKNOWN, "unknown error after kill: %s", from->msg);
}

/* The runtime's error as the task API words it: without a class, as Go's shim leaves it. */
static void error_word(enum oci_verb verb, const struct err *from, struct err *e)
{
	if (verb == OCI_KILL)
		kill_error(from, e);
	else
		err_set(e, ERR_UNKNOWN, "%s: %s", failed[verb], from->msg);
}

static bool is_gone(enum oci_verb verb, const struct err *e)
{
	return verb == OCI_DELETE && strstr(e->msg, "does not exist");
}

static bool receive_own(struct oci_call *c)
{
	size_t n_fds = 1;
	int fd = -1;
	ssize_t n = socket_recv_fds(c->sock, &c->answer, sizeof c->answer, &fd, &n_fds);

	if (n == sizeof c->answer) {
		c->answer.console = n_fds ? fd : -1;
		return true;
	}
	c->answer = (struct oci_answer){ .console = -1 };
	return false;
}

static void answer_own(struct oci_call *c, uint32_t status)
{
	if (!receive_own(c))
		err_set(&c->answer.error, ERR_INTERNAL,
			"the runtime ended with status %u and no answer", status);
}

/* The runtime connected to our socket before it ended: what it sent waits there. */
static int console_receive(int sock, struct err *e)
{
	AUTO_FD int conn = accept4(sock, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	char name[256];
	size_t n_fds = 1;
	int fd = -1;

	if (conn < 0 || socket_recv_fds(conn, name, sizeof name, &fd, &n_fds) <= 0 || !n_fds)
		return err_set(e, ERR_UNKNOWN, "failed to retrieve console master");
	return fd;
}

static int pid_read(const char *path, pid_t *ret, struct err *e)
{
	AUTO_FREE char *text = NULL;
	unsigned v = 0;
	int r = file_read(AT_FDCWD, path, 32, &text, NULL);

	if (r < 0)
		return err_sys(e, -r, "failed to retrieve OCI runtime container pid: open %s",
			       path);
	for (const char *p = text; *p >= '0' && *p <= '9' && v < 1u << 22; p++)
		v = v * 10 + (unsigned)(*p - '0');
	if (!v || v > 1u << 22)
		return err_set(e, ERR_UNKNOWN, "failed to retrieve OCI runtime container pid: %s",
			       text);
	*ret = (pid_t)v;
	return 0;
}

static void answer_command(struct oci_call *c, uint32_t status)
{
	struct oci_answer *a = &c->answer;

	if (status) {
		AUTO_FREE char *text = oci_log_last_error(c->log, c->log_size);

		if (*text)
			err_set(&a->error, ERR_UNKNOWN, "%s", text);
		else
			err_set(&a->error, ERR_UNKNOWN,
				"runtime did not terminate successfully: exit status %u", status);
		return;
	}
	if (c->sock >= 0) {
		a->console = console_receive(c->sock, &a->error);
		if (a->console < 0)
			return;
	}
	if (c->pid_file)
		(void)pid_read(c->pid_file, &a->pid, &a->error);
}

static void temporary_remove(struct strv *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (unlink(l->v[i]) < 0 && errno == EISDIR)
			(void)rmdir(l->v[i]); /* in a private folder: nothing else is there */
	strv_done(l);
}

static void call_free(struct oci_call *c)
{
	loop_io_remove(c->io);
	loop_timer_remove(c->timer);
	temporary_remove(&c->temporary);
	close_fd(&c->sock);
	steps_free(c->steps);
	free(c->console_socket);
	free(c->pid_file);
	free(c->log);
	free(c->program);
	free(c);
}

static void call_finish(struct oci_call *c)
{
	struct err e = { 0 };
	struct oci_answer *a = &c->answer;

	if (a->error.code && is_gone(c->verb, &a->error))
		err_clear(&a->error);
	if (c->root.code || a->error.code) {
		if (c->root.code)
			err_copy(&e, &c->root);
		else
			error_word(c->verb, &a->error, &e);
		close_fd(&a->console);
		a->console = -1;
	}
	if (c->call && c->call->trace)
		oci_steps_log(c->steps, trace_now(), c->call->trace);
	c->done(e.code ? &e : NULL, a->pid, a->console, c->arg);
	reaper_release(c->reaper);
	call_free(c);
}

static void late_error(const struct oci_call *c, struct err *e)
{
	AUTO_STR struct str steps = STR_INIT(700);
	char own[] = "the runtime";

	oci_steps_say(c->steps, trace_now(), &steps);
	err_set(e, ERR_DEADLINE_EXCEEDED, "%s was killed after %u ms (%s)", c->program ?: own,
		(unsigned)(c->limit / 1000000u), str_c(&steps));
}

static void on_end(uint32_t status, UNUSED struct timespec at, void *arg)
{
	struct oci_call *c = arg;

	if (c->is_late)
		late_error(c, &c->answer.error);
	else if (c->is_own)
		answer_own(c, status);
	else
		answer_command(c, status);
	call_finish(c);
}

/* The answer is the last that the copy does: to wait for its end as well would cost every call the
 * time it takes to unmap a process (0.4 ms).  It is reaped as an orphan is. */
static void on_answer(UNUSED struct loop_io *io, UNUSED uint32_t events, void *arg)
{
	struct oci_call *c = arg;

	if (c->is_late || !receive_own(c)) {
		loop_io_remove(c->io); /* it was killed: on_end says how */
		c->io = NULL;
		return;
	}
	reaper_unwatch(c->reaper, c->pid);
	call_finish(c);
}

static void on_timeout(UNUSED struct loop_timer *t, void *arg)
{
	struct oci_call *c = arg;

	c->is_late = true;
	/* Its group holds hooks and what it began to make.  It is ours until it is reaped. */
	(void)kill(-c->pid, SIGKILL);
	(void)kill(c->pid, SIGKILL);
}

/* In the copy: everything but keep goes, so that no pipe's end outlives its owner. */
static void close_others(const int *keep, size_t n)
{
	unsigned from = 3;

	for (;;) {
		unsigned next = ~0u;

		for (size_t i = 0; i < n; i++)
			if (keep[i] >= (int)from && (unsigned)keep[i] < next)
				next = (unsigned)keep[i];
		if (next == ~0u) {
			(void)sys_close_range(from, ~0u, 0);
			return;
		}
		if (next > from)
			(void)sys_close_range(from, next - 1, 0);
		from = next + 1;
	}
}

NORETURN static void own_child(const struct oci_runtime *rt, const struct oci_request *q, int sock,
			       struct steps *steps, pid_t shim)
{
	int keep[4] = { sock, -1, -1, -1 };
	struct oci_answer a;
	sigset_t none;

	sigemptyset(&none);
	(void)signal(SIGPIPE, SIG_DFL); /* ours is to ignore it; the container's is not */
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)setpgid(0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != shim)
		_exit(1); /* it was killed before it could take us along */
	if (q->stdio)
		memcpy(keep + 1, q->stdio, 3 * sizeof *keep);
	close_others(keep, ARRAY_LEN(keep));
	log_setup(-1, LOG_TEXT, LOG_ERROR);
	oci_own_run(rt, q, sock, steps, &a);
	(void)socket_send_fds(sock, &a, sizeof a, &a.console, a.console >= 0);
	_exit(0);
}

static int own_start(struct oci_call *c, const struct oci_runtime *rt, const struct oci_request *q,
		     struct err *e)
{
	int pair[2];

	steps_begin(c->steps, STEPS_SHIM, "copy the shim");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, errno, "socketpair");
	pid_t self = getpid();
	c->pid = fork();
	if (c->pid == 0)
		own_child(rt, q, pair[1], c->steps, self);
	int error = errno;
	close(pair[1]);
	if (c->pid < 0) {
		close(pair[0]);
		return err_sys(e, error, "fork");
	}
	c->sock = pair[0];
	return 0;
}

/* A socket in a folder of its own, short enough for any runtime's sun_path. */
static int console_listen(struct oci_call *c, struct err *e)
{
	char dir[] = "/tmp/pty-XXXXXX";

	if (!mkdtemp(dir))
		return err_sys(e, errno, "failed to create console socket folder %s", dir);
	c->console_socket = xasprintf("%s/pty.sock", dir);
	strv_add(&c->temporary, c->console_socket);
	strv_add(&c->temporary, dir);
	c->sock = socket_listen(c->console_socket, 0600, 1);
	if (c->sock < 0)
		return err_sys(e, -c->sock, "failed to create console socket %s",
			       c->console_socket);
	return 0;
}

static int command_start(struct oci_call *c, const struct oci_runtime *rt,
			 const struct oci_request *q, struct err *e)
{
	static const int nothing[3] = { -1, -1, -1 };
	AUTO_STRV struct strv argv = { 0 };
	AUTO_FD int pidfd = -1;
	struct stat st;

	if (q->terminal && console_listen(c, e) < 0)
		return -1;
	c->log = xstrdup(rt->log);
	c->log_size = stat(rt->log, &st) == 0 ? (size_t)st.st_size : 0;
	c->pid_file = xstrdup(q->pid_file);
	if (oci_command(rt, q, c->console_socket, &argv, &c->temporary, e) < 0)
		return -1;
	c->program = xstrdup(argv.v[0]);

	struct spawn s = {
		.path = argv.v[0],
		.argv = argv.v,
		.envp = environ,
		.cwd_fd = -1,
		.fds = q->stdio && !q->terminal ? q->stdio : nothing,
		.n_fds = 3,
		.new_group = true,
		.parent_death_signal = SIGKILL,
	};
	int r = spawn_start(&s, &pidfd, &c->pid);

	return r < 0 ? err_sys(e, -r, "exec: \"%s\"", argv.v[0]) : 0;
}

static void finish_posted(void *arg)
{
	call_finish(arg);
}

/* The verb's time, or a little less than the caller's: a late answer that says why would meet one
 * who has stopped to listen. */
static uint64_t time_for(const struct oci_request *q)
{
	static const uint64_t second = 1000000000u;
	bool is_long = q->verb == OCI_CHECKPOINT || q->verb == OCI_RESTORE ||
		       q->verb == OCI_CREATE || q->verb == OCI_EXEC;
	uint64_t limit = (is_long ? 300 : 60) * second, now = loop_now();

	if (!q->call || !q->call->deadline)
		return limit;

	uint64_t left = q->call->deadline > now ? q->call->deadline - now : 0;
	uint64_t margin = left / 10 < 3 * second ? left / 10 : 3 * second;

	return left - margin < limit ? left - margin : limit;
}

static void make_root(struct oci_call *c, const struct oci_request *q)
{
	steps_begin(c->steps, STEPS_SHIM, "mount the rootfs");
	(void)q->make_root(q->root_arg, &c->root);
	steps_end(c->steps, STEPS_SHIM);
}

void oci_call(struct loop *l, struct reaper *r, const struct oci_runtime *rt,
	      const struct oci_request *q, oci_done_fn *done, void *arg)
{
	struct oci_call *c = NEW(struct oci_call);
	bool by_criu = q->verb == OCI_CHECKPOINT || q->verb == OCI_RESTORE;

	*c = (struct oci_call){
		.loop = l,
		.reaper = r,
		.verb = q->verb,
		.sock = -1,
		.is_own = !rt->binary && !by_criu,
		.answer = { .console = -1 },
		.steps = steps_new(),
		.call = q->call,
		.limit = time_for(q),
		.done = done,
		.arg = arg,
	};
	reaper_hold(r);
	if (!c->is_own && q->make_root)
		make_root(c, q);
	if (c->root.code || (c->is_own && oci_own_now(rt, q, c->steps, &c->answer.error)) ||
	    (c->is_own ? own_start : command_start)(c, rt, q, &c->answer.error) < 0) {
		loop_post(l, finish_posted, c);
		return;
	}
	if (c->is_own && q->make_root) {
		make_root(c, q);
		/* or the copy has failed already */
		(void)send(c->sock, &c->root, sizeof c->root, MSG_NOSIGNAL);
	}
	steps_begin(c->steps, STEPS_SHIM, c->is_own ? "wait for the runtime" : c->program);
	c->timer = loop_timer_add(l, c->limit, on_timeout, c);
	if (c->is_own && loop_io_add(l, c->sock, EPOLLIN, on_answer, c, &c->io) < 0)
		c->io = NULL; /* the answer is read at its end */
	reaper_watch(r, c->pid, on_end, c);
}

/* One that is killed is run again: whoever kills runtimes may hit this one, and what it left undone
 * nobody else knows of. */
static int command_wait(const struct oci_runtime *rt, char *const *argv, int *ret_status)
{
	enum { TRIES = 5 };
	const int nothing[3] = { -1, -1, 2 };
	const struct spawn s = { .path = rt->binary,
				 .argv = argv,
				 .envp = environ,
				 .cwd_fd = -1,
				 .fds = nothing,
				 .n_fds = 3 };
	int r = 0;

	*ret_status = 128 + SIGKILL;
	for (int i = 0; r == 0 && *ret_status > 128 && i < TRIES; i++) {
		AUTO_FD int pidfd = -1;
		pid_t pid;

		r = spawn_start(&s, &pidfd, &pid);
		if (r == 0)
			r = spawn_wait(pidfd, 30000, ret_status);
		if (r == -ETIMEDOUT)
			(void)kill(pid, SIGKILL);
	}
	return r;
}

int oci_call_wait(const struct oci_runtime *rt, const struct oci_request *q, struct err *e)
{
	struct oci_call c = { .verb = q->verb, .sock = -1, .answer = { .console = -1 } };
	struct err error = { 0 };

	if (!rt->binary) {
		oci_own_run(rt, q, -1, NULL, &c.answer);
		error = c.answer.error;
	} else {
		AUTO_STRV struct strv argv = { 0 };
		int status = 0, r = -1;

		if (oci_command(rt, q, NULL, &argv, &c.temporary, &error) == 0) {
			r = command_wait(rt, argv.v, &status);
			if (r < 0)
				err_sys(&error, -r, "run %s", rt->binary);
			else if (status)
				err_set(&error, ERR_UNKNOWN, "%s ended with status %d", rt->binary,
					status);
		}
		temporary_remove(&c.temporary);
	}
	if (!error.code || is_gone(q->verb, &error))
		return 0;
	error_word(q->verb, &error, e);
	return -1;
}
