/* ExecSync: a process in a running container, its output and its end. */
#include "base/jsonr.h"
#include "cri/private.h"
#include "engine/nri.h"
#include "loop/loop.h"
#include "os/fd.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

/* of both streams: with the rest of the answer, what a message may have */
enum { OUTPUT_MAX = (16 << 20) - 4096, CHUNK = 64 << 10, STREAMS = CRI_STREAMS };
/* of all that run or are being answered: tenants choose how many, and what they write */
#define ALL_OUTPUT_MAX (256ull << 20)
enum { EXECS_MAX = 96, POLL_MAX_S = 3600 };
#define KILL_WAIT_NS 10000000000ull

struct session {
	struct box *box; /* borrowed */
	struct task *task;
	char id[ID_SIZE];
	char *path[STREAMS];
	int fd[STREAMS]; /* -1: ended */
	struct cri_output *out;
	int ended_fd; /* an eventfd: the process has ended */
	/* lock of the cri: */
	bool has_ended, is_forgotten;
	struct task_exit exit;
	struct err failure;
	unsigned refs;
};

static void session_unref(struct session *s)
{
	struct cri *cri = s->box->pod->cri;
	struct box *box = s->box;

	pthread_mutex_lock(&cri->lock);
	unsigned left = --s->refs;

	pthread_mutex_unlock(&cri->lock);
	if (left)
		return;
	for (int i = 0; i < STREAMS; i++) {
		close_fd(&s->fd[i]);
		if (s->path[i])
			(void)unlink(s->path[i]); /* best effort: it goes with the container */
		free(s->path[i]);
	}
	close_fd(&s->ended_fd);
	task_unref(s->task);
	free(s);
	box_unref(box);
}

static void session_unrefp(struct session **s)
{
	if (*s)
		session_unref(*s);
}

static int open_streams(struct session *s, struct err *e)
{
	static const char *const names[STREAMS] = { "stdout", "stderr" };
	int r = file_mkdirs(s->box->dir, 0700);

	if (r < 0)
		return err_sys(e, -r, "mkdir %s", s->box->dir);
	for (int i = 0; i < STREAMS; i++) {
		s->path[i] = xasprintf("%s/exec-%.16s-%s", s->box->dir, s->id, names[i]);
		if (mkfifo(s->path[i], 0600) < 0)
			return err_sys(e, errno, "mkfifo %s", s->path[i]);
		s->fd[i] = open(s->path[i], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (s->fd[i] < 0)
			return err_sys(e, errno, "open %s", s->path[i]);
	}
	s->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return s->ended_fd < 0 ? err_sys(e, errno, "eventfd") : 0;
}

static struct session *session_new(struct box *box, struct cri_output *out)
{
	struct session *s = NEW(struct session);

	s->box = box;
	box_ref(box);
	s->refs = 1;
	cri_new_id(s->id);
	s->ended_fd = -1;
	s->out = out;
	for (int i = 0; i < STREAMS; i++) {
		s->fd[i] = -1;
		out->of[i] = STR_INIT(OUTPUT_MAX);
	}
	return s;
}

int cri_exec_process(const struct call *call, const char *id, size_t n, char *const *cmd,
		     bool has_terminal, struct any *ret, struct err *e)
{
	json_object *args = json_object_new_array(), *process = NULL;
	AUTO_JSON json_object *spec = NULL;
	struct container_record r;
	const char *text;

	for (size_t i = 0; i < n; i++)
		json_object_array_add(args, json_object_new_string(cmd[i]));
	if (container_get(call->engine->store, call->ns, call->arena, id, &r, e) < 0 ||
	    jsonr_parse(r.spec.value, r.spec.n, &spec, e) < 0 ||
	    jsonr_object(spec, "process", &process, e) < 0 || !process) {
		json_object_put(args);
		return e->code ? -1 : err_set(e, ERR_INTERNAL, "spec without a process");
	}
	json_object_object_add(process, "args", args);
	json_object_object_add(process, "terminal", json_object_new_boolean(has_terminal));
	text = json_object_to_json_string_ext(process, JSON_C_TO_STRING_PLAIN |
							       JSON_C_TO_STRING_NOSLASHESCAPE);
	*ret = (struct any){ "types.containerd.io/opencontainers/runtime-spec/1/Process",
			     arena_strdup(call->arena, text), strlen(text) };
	return 0;
}

/* --- the way of one --- */

static void on_end(const struct err *e, const struct task_exit *x, void *arg)
{
	struct session *s = arg;
	struct cri *cri = s->box->pod->cri;

	pthread_mutex_lock(&cri->lock);
	s->has_ended = true;
	if (e)
		s->failure = *e;
	else
		s->exit = *x;
	pthread_mutex_unlock(&cri->lock);
	(void)eventfd_write(s->ended_fd, 1); /* once: never full */
	session_unref(s);
}

static int begin(struct session *s, const struct call *call, const struct any *process,
		 struct err *e)
{
	const struct task_io io = { "", s->path[0], s->path[1], false };
	struct cri *cri = s->box->pod->cri;
	struct task_exit x;
	struct err ignored = { 0 };
	uint32_t pid;

	if (task_exec(s->task, s->id, process, &io, e) < 0)
		return err_wrap(e, "failed to create exec \"%s\"", s->id);
	pthread_mutex_lock(&cri->lock);
	s->refs++;
	pthread_mutex_unlock(&cri->lock);
	uint64_t wait = task_wait_new(s->task, s->id, on_end, s);

	task_wait_begin(cri->en->tasks, wait);
	if (engine_task_start(call, s->task, s->id, &pid, e) == 0)
		return 0;
	task_wait_cancel(cri->en->tasks, wait);
	(void)task_delete(s->task, s->id, &x, &ignored); /* the start's failure is told */
	return err_wrap(e, "failed to start exec \"%s\"", s->id);
}

/* How many of n bytes there is room for, theirs from now on. */
static size_t take_room(struct cri *cri, struct cri_output *out, size_t n)
{
	size_t room = OUTPUT_MAX - out->n;

	if (n > room)
		n = room;
	pthread_mutex_lock(&cri->lock);
	room = (size_t)ALL_OUTPUT_MAX - cri->exec_bytes;
	if (n > room)
		n = room;
	cri->exec_bytes += n;
	pthread_mutex_unlock(&cri->lock);
	out->n += n;
	return n;
}

void cri_output_done(struct cri_output *out)
{
	if (!out->cri)
		return;
	for (int i = 0; i < STREAMS; i++)
		str_done(&out->of[i]);
	pthread_mutex_lock(&out->cri->lock);
	out->cri->exec_bytes -= out->n;
	out->cri->n_execs--;
	pthread_mutex_unlock(&out->cri->lock);
	out->cri = NULL;
}

static int output_init(struct cri_output *out, struct cri *cri, struct err *e)
{
	pthread_mutex_lock(&cri->lock);
	bool has_room = cri->n_execs < EXECS_MAX;

	if (has_room)
		cri->n_execs++;
	pthread_mutex_unlock(&cri->lock);
	if (!has_room)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "%d calls of ExecSync are being served",
			       EXECS_MAX);
	*out = (struct cri_output){ .cri = cri };
	return 0;
}

/* What is beyond the bounds is read and forgotten, so that nobody stands still for it. */
static void read_stream(struct session *s, int i)
{
	char buf[CHUNK];
	ssize_t n = read(s->fd[i], buf, sizeof buf);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		close_fd(&s->fd[i]);
		s->fd[i] = -1;
		return;
	}
	str_addn(&s->out->of[i], buf, take_room(s->box->pod->cri, s->out, (size_t)n));
}

/* Until the process has ended and (drain ns later at most, 0: whenever) its streams have: 1.  0
 * when deadline (0: none) has passed before. */
static int follow(struct session *s, struct cancel *c, uint64_t deadline, uint64_t drain,
		  struct err *e)
{
	bool has_ended = false;

	while (!has_ended || s->fd[0] >= 0 || s->fd[1] >= 0) {
		struct pollfd p[] = { { s->fd[0], POLLIN, 0 },
				      { s->fd[1], POLLIN, 0 },
				      { has_ended ? -1 : s->ended_fd, POLLIN, 0 },
				      { cancel_fd(c), POLLIN, 0 } };
		uint64_t now = loop_now();
		uint64_t left = deadline > now ? (deadline - now) / 1000000 + 1 : 0;
		int ms = !deadline                     ? -1
			 : left < POLL_MAX_S * 1000ull ? (int)left
						       : POLL_MAX_S * 1000;

		if (poll(p, ARRAY_LEN(p), ms) < 0 && errno != EINTR)
			return err_sys(e, errno, "poll");
		if (cancel_check(c, e) < 0)
			return -1;
		for (int i = 0; i < STREAMS; i++)
			if (p[i].revents && s->fd[i] >= 0)
				read_stream(s, i);
		if (p[2].revents && !has_ended) {
			has_ended = true;
			if (drain)
				deadline = loop_now() + drain;
		}
		if (deadline && loop_now() >= deadline)
			return has_ended && drain ? 1 : 0;
	}
	return 1;
}

/* Away with what is still there. */
static void finish(struct session *s)
{
	struct cri *cri = s->box->pod->cri;
	struct pollfd p = { s->ended_fd, POLLIN, 0 };
	struct task_exit x;
	struct err e = { 0 };

	pthread_mutex_lock(&cri->lock);
	bool has_ended = s->has_ended;

	pthread_mutex_unlock(&cri->lock);
	if (!has_ended) {
		(void)task_kill(s->task, s->id, SIGKILL, false, &e); /* it may end just now */
		err_clear(&e);
		(void)poll(&p, 1, (int)(KILL_WAIT_NS / 1000000)); /* deleted in any case */
	}
	(void)task_delete(s->task, s->id, &x, &e); /* or it goes with the container */
}

static int run(struct session *s, const struct call *call, const CRI(ExecSyncRequest) * q,
	       const struct any *process, struct err *e)
{
	/* at most what a clock can be set to */
	uint64_t timeout = q->timeout <= 0          ? 0
			   : q->timeout < INT32_MAX ? (uint64_t)q->timeout
						    : INT32_MAX;
	int r;

	if (begin(s, call, process, e) < 0)
		return -1;
	r = follow(s, call->cancel, timeout ? loop_now() + timeout * 1000000000ull : 0,
		   call->engine->cfg->cri.drain_exec_io, e);
	finish(s);
	if (r == 0)
		return err_set(e, ERR_DEADLINE_EXCEEDED,
			       "failed to exec in container: timeout %llus exceeded: context "
			       "deadline exceeded",
			       (unsigned long long)timeout);
	return r < 0 ? -1 : s->failure.code ? err_copy(e, &s->failure) : 0;
}

static ProtobufCBinaryData bytes_of(const struct str *s)
{
	return (ProtobufCBinaryData){ s->len, (uint8_t *)s->ptr };
}

static bool is_running(struct box *box)
{
	pthread_mutex_lock(&box->pod->cri->lock);
	bool is = box->state == RUNTIME__V1__CONTAINER_STATE__CONTAINER_RUNNING;

	pthread_mutex_unlock(&box->pod->cri->lock);
	return is;
}

int cri_exec_sync(struct cri *cri, struct arena *a, struct cancel *c,
		  const CRI(ExecSyncRequest) * q, struct cri_output *out,
		  CRI(ExecSyncResponse) * ret, struct err *e)
{
	const struct call call = cri_call(cri, a, c);
	AUTO_BOX struct box *box = box_find(cri, q->container_id, e);
	CLEANUP(session_unrefp) struct session *s = NULL;
	struct any process;

	if (!box)
		return err_wrap(e, "failed to find container \"%.80s\" in store", q->container_id);
	if (!is_running(box))
		return err_set(e, ERR_FAILED_PRECONDITION, "container \"%s\" is not running",
			       box->id);
	if (!q->n_cmd)
		return err_set(e, ERR_INVALID_ARGUMENT, "exec needs a command");
	if (output_init(out, cri, e) < 0)
		return -1;
	s = session_new(box, out);
	if (task_get(cri->en->tasks, CRI_NAMESPACE, box->id, &s->task, e) < 0 ||
	    cri_exec_process(&call, box->id, q->n_cmd, q->cmd, false, &process, e) < 0 ||
	    open_streams(s, e) < 0 || run(s, &call, q, &process, e) < 0)
		return err_wrap(e, "failed to exec in container");
	ret->stdout = bytes_of(&out->of[0]);
	ret->stderr = bytes_of(&out->of[1]);
	ret->exit_code = (int32_t)s->exit.status;
	return 0;
}
