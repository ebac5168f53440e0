/* Runs the shim binary: its verbs `start` and `delete`. */
#include "task/internal.h"

#include "base/jsonr.h"
#include "base/log.h"
#include "loop/loop.h"
#include "os/fd.h"
#include "os/spawn.h"
#include "os/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>

enum { OUTPUT_MAX = 64 * 1024, DELETE_AGAIN = 5, STARTER_MS = 10000 };

struct verb {
	const struct task *t;
	struct strv argv;
	const void *input;
	size_t input_n;
	bool is_combined; /* stderr goes where stdout goes; else to our own */
	int timeout_ms;
	int *starter; /* of `start`: takes its pidfd when it has answered and not ended; or NULL */
};

static void common_argv(struct verb *v)
{
	const struct tasks_env *env = v->t->ts->env;

	strv_add(&v->argv, v->t->shim_path);
	strv_add(&v->argv, "-namespace");
	strv_add(&v->argv, v->t->ns);
	strv_add(&v->argv, "-address");
	strv_add(&v->argv, env->address);
	strv_add(&v->argv, "-publish-binary");
	strv_add(&v->argv, env->self);
	strv_add(&v->argv, "-id");
	strv_add(&v->argv, v->t->id);
}

static void env_set(struct strv *l, const char *pair)
{
	size_t n = strcspn(pair, "=") + 1;

	for (size_t i = 0; i < l->n; i++)
		if (!strncmp(l->v[i], pair, n)) {
			free(l->v[i]);
			l->v[i] = xstrdup(pair);
			return;
		}
	strv_add(l, pair);
}

static void make_environment(const struct task *t, struct strv *l)
{
	const struct tasks_env *env = t->ts->env;
	AUTO_STRV struct strv own = { 0 };

	for (char **p = environ; *p; p++)
		if (!str_starts(*p, "NOTIFY_SOCKET="))
			strv_add(l, *p);
	strv_add(&own, "GOMAXPROCS=2");
	strv_add(&own, "MAX_SHIM_VERSION=2");
	strv_addf(&own, "TTRPC_ADDRESS=%s", env->ttrpc_address);
	strv_addf(&own, "GRPC_ADDRESS=%s", env->address);
	strv_addf(&own, "NAMESPACE=%s", t->ns);
	for (size_t i = 0; i < own.n; i++)
		env_set(l, own.v[i]);
	for (size_t i = 0; i < env->n_shim_env; i++)
		env_set(l, env->shim_env[i]);
}

/* Small and read once: a memfd needs nobody to feed it. */
static int input_fd(const void *p, size_t n, struct err *e)
{
	AUTO_FD int fd = memfd_create("shim-stdin", MFD_CLOEXEC);

	if (fd < 0)
		return err_sys(e, errno, "memfd_create");
	if (n && (fd_write_all(fd, p, n) < 0 || lseek(fd, 0, SEEK_SET) < 0))
		return err_sys(e, errno, "write shim's input");
	return TAKE_FD(fd);
}

/* The JSON object that a `start` ends with. */
static bool is_answer(const struct str *out)
{
	AUTO_JSON json_object *o = NULL;
	struct err not_yet = { 0 };

	if (!out->len || out->over || out->ptr[0] != '{')
		return false;
	char last = out->ptr[out->len - 1];

	return (last == '}' || last == '\n') && jsonr_parse(out->ptr, out->len, &o, &not_yet) == 0;
}

/* Until the program has ended (its children may keep the pipe open), has answered: then true in
 * *ret_is_early; or the time is over. */
static int collect(const struct verb *v, int pidfd, int out_fd, struct str *out, bool *ret_is_early,
		   struct err *e)
{
	uint64_t end = loop_now() + (uint64_t)v->timeout_ms * 1000000;

	for (;;) {
		struct pollfd fds[] = { { .fd = out_fd, .events = POLLIN },
					{ .fd = pidfd, .events = POLLIN } };
		uint64_t now = loop_now();
		char buf[4096];
		int r = poll(fds, 2, now < end ? (int)((end - now) / 1000000) + 1 : 0);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return err_sys(e, errno, "poll");
		if (!r)
			return err_set(e, ERR_DEADLINE_EXCEEDED, "did not end within %d s",
				       v->timeout_ms / 1000);
		ssize_t n = fds[0].revents ? read(out_fd, buf, sizeof buf) : 0;

		if (n > 0) {
			str_addn(out, buf, (size_t)n);
			*ret_is_early = v->starter && is_answer(out);
			if (*ret_is_early)
				return 0;
			continue;
		}
		if (fds[1].revents)
			return 0;
		if (fds[0].revents && poll(&fds[1], 1, 10) < 0) /* end of file: await exit */
			return err_sys(e, errno, "poll");
	}
}

static int run_spawned(const struct verb *v, int pidfd, int out_fd, struct str *out, struct err *e)
{
	int status = 0;
	bool is_early = false;
	struct err failed = { 0 };

	if (collect(v, pidfd, out_fd, out, &is_early, &failed) < 0)
		(void)sys_pidfd_send_signal(pidfd, SIGKILL, NULL, 0); /* may have just ended */
	if (is_early) {
		*v->starter = fd_copy(pidfd);
		if (*v->starter >= 0)
			return 0;
	}
	int r = spawn_wait(pidfd, is_early ? STARTER_MS : -1, &status);

	if (r == -ETIMEDOUT) {
		(void)sys_pidfd_send_signal(pidfd, SIGKILL, NULL, 0); /* may have just ended */
		r = spawn_wait(pidfd, -1, &status);
	}
	if (failed.code)
		return err_copy(e, &failed);
	if (r < 0)
		return err_sys(e, -r, "wait");
	if (status > 128)
		return err_set(e, ERR_ABORTED, "killed by signal %d", status - 128);
	if (status)
		return err_set(e, ERR_UNKNOWN, "exit status %d: \"%.700s\"", status,
			       v->is_combined ? str_c(out) : "");
	return 0;
}

static int run_verb(struct verb *v, struct str *out, struct err *e)
{
	AUTO_STRV struct strv envp = { 0 };
	AUTO_FD int cwd = bundle_open(v->t, e), in = -1, rd = -1, wr = -1, pidfd = -1;
	int ends[2];
	pid_t pid;

	if (cwd < 0)
		return -1;
	in = input_fd(v->input, v->input_n, e);
	if (in < 0)
		return -1;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	rd = ends[0];
	wr = ends[1];
	if (fd_set_nonblock(rd, true) < 0)
		return err_sys(e, errno, "pipe");
	make_environment(v->t, &envp);

	const int fds[] = { in, wr, v->is_combined ? wr : STDERR_FILENO };
	const struct spawn s = { .path = v->t->shim_path,
				 .argv = v->argv.v,
				 .envp = envp.v,
				 .cwd_fd = cwd,
				 .fds = fds,
				 .n_fds = 3,
				 .new_group = true };
	int r = spawn_start(&s, &pidfd, &pid);

	if (r < 0)
		return err_sys(e, -r, "exec %s", v->t->shim_path);
	close_fd(&wr);
	wr = -1;
	return run_spawned(v, pidfd, rd, out, e);
}

static void *encode_any(const struct any *any, size_t *ret_n)
{
	Google__Protobuf__Any m = GOOGLE__PROTOBUF__ANY__INIT;

	*ret_n = 0;
	if (!any->type_url || !*any->type_url)
		return NULL;
	m.type_url = (char *)any->type_url;
	m.value = (ProtobufCBinaryData){ any->n, (uint8_t *)any->value };
	void *p = xmalloc(google__protobuf__any__get_packed_size(&m));

	*ret_n = google__protobuf__any__pack(&m, p);
	return p;
}

/* What it said was enough to go on with; that it said it and then failed is worth a line. */
void shim_start_end(struct task *t)
{
	int status = 0;

	if (t->starter < 0)
		return;
	if (spawn_wait(t->starter, STARTER_MS, &status) == -ETIMEDOUT) {
		/* it may just have ended */
		(void)sys_pidfd_send_signal(t->starter, SIGKILL, NULL, 0);
		(void)spawn_wait(t->starter, -1, &status);
	}
	if (status)
		log_warn(LOG({ "id", t->id }),
			 "the shim's start answered, and ended with status %d", status);
	close_fd(&t->starter);
	t->starter = -1;
}

int shim_start(struct task *t, const struct any *options, struct bootstrap *ret, struct err *e)
{
	AUTO_STR struct str out = STR_INIT(OUTPUT_MAX);
	struct verb v = {
		.t = t, .is_combined = true, .timeout_ms = TASK_START_MS, .starter = &t->starter
	};
	AUTO_FREE void *input = encode_any(options, &v.input_n);

	v.input = input;
	common_argv(&v);
	if (t->ts->env->debug)
		strv_add(&v.argv, "-debug");
	strv_add(&v.argv, "start");
	int r = run_verb(&v, &out, e);

	if (!r)
		r = bootstrap_parse(out.ptr, out.len, ret, e);
	strv_done(&v.argv);
	if (r < 0)
		return err_wrap(e, "failed to start shim: start failed");
	return 0;
}

static int delete_once(const struct task *t, struct task_exit *ret, struct err *e)
{
	AUTO_STR struct str out = STR_INIT(OUTPUT_MAX);
	struct verb v = { .t = t, .timeout_ms = (int)(t->ts->env->timeouts.cleanup / 1000000) };

	common_argv(&v);
	strv_add(&v.argv, "-bundle");
	strv_add(&v.argv, t->bundle);
	if (t->ts->env->debug)
		strv_add(&v.argv, "-debug");
	strv_add(&v.argv, "delete");
	int r = run_verb(&v, &out, e);

	strv_done(&v.argv);
	if (r < 0)
		err_wrap(e, "shim delete");
	if (r < 0 && !out.len)
		return -1;

	/* How it ended, our shim tells in any case. */
	Containerd__Task__V3__DeleteResponse *d = containerd__task__v3__delete_response__unpack(
		NULL, out.len, (const uint8_t *)str_c(&out));

	if (!d)
		return r < 0 ? r
			     : err_set(e, ERR_DATA_LOSS,
				       "shim delete: the answer is no DeleteResponse");
	*ret = (struct task_exit){ d->pid, d->exit_status, task_time(d->exited_at) };
	containerd__task__v3__delete_response__free_unpacked(d, NULL);
	return r;
}

/* Whoever kills shims may hit this one, too; what it left undone nobody else knows of. */
int shim_delete(const struct task *t, struct task_exit *ret, struct err *e)
{
	int r = delete_once(t, ret, e);

	for (int i = 0; r < 0 && e->code == ERR_ABORTED && i < DELETE_AGAIN; i++) {
		err_clear(e);
		r = delete_once(t, ret, e);
	}
	return r;
}
