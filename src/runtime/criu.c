#include "runtime/criu.h"

#include "base/log.h"
#include "base/str.h"
#include "os/clone.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/pidfd.h"
#include "os/socket.h"
#include "os/spawn.h"
#include "os/syscall.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { ANSWER_MAX = 10 * 4096, QUOTES_MAX = 20, LOG_MAX = 16 << 20, HIGH_FD = 100 };

static const char *type_name(CriuReqType type)
{
	const ProtobufCEnumValue *v =
		protobuf_c_enum_descriptor_get_value(&criu_req_type__descriptor, (int)type);

	return v ? v->name : "of an unknown type";
}

void criu_done(struct criu *c)
{
	siginfo_t how;

	close_fd(&c->sock);
	c->sock = -1;
	if (c->pidfd < 0)
		return;
	(void)pidfd_signal(c->pidfd, SIGKILL); /* it may have ended */
	while (waitid(P_PIDFD, (id_t)c->pidfd, &how, WEXITED) < 0 && errno == EINTR)
		;
	close_fd(&c->pidfd);
	*c = CRIU_NONE;
}

/* All above the places first: they may lie in each other's. */
static int place_fds(const struct criu_start *s, int sock, struct err *e)
{
	int fds[1 + CRIU_FDS_MAX];

	for (size_t i = 0; i <= s->n_fds; i++) {
		fds[i] = fcntl(i ? s->fds[i - 1] : sock, F_DUPFD_CLOEXEC, HIGH_FD);
		if (fds[i] < 0)
			return err_sys(e, errno, "copy a descriptor for criu");
	}
	for (size_t i = 0; i <= s->n_fds; i++)
		if (dup3(fds[i], CRIU_FIRST_FD - 1 + (int)i, 0) < 0)
			return err_sys(e, errno, "place a descriptor for criu");
	return 0;
}

static int prepare_child(const struct criu_start *s, int sock, struct err *e)
{
	sigset_t none;

	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
		return err_sys(e, errno, "reset signals");
	if (place_fds(s, sock, e) < 0)
		return -1;
	int r = fd_cloexec_from(CRIU_FIRST_FD + (unsigned)s->n_fds, -1);
	return r < 0 ? err_sys(e, -r, "close inherited descriptors") : 0;
}

static void child_main(const struct criu_start *s, const char *path, int sock, int report) NORETURN;
static void child_main(const struct criu_start *s, const char *path, int sock, int report)
{
	static const char socket_fd[] = "3";
	const char *argv[] = { "criu", "swrk", socket_fd, NULL };
	struct err e = { 0 };
	int own = fcntl(report, F_DUPFD_CLOEXEC, HIGH_FD + CRIU_FDS_MAX + 1);

	if (prepare_child(s, sock, &e) == 0) {
		execve(path, (char *const *)argv, environ);
		err_sys(&e, errno, "exec %s", path);
	}
	(void)!write(own, &e, sizeof e); /* the parent then knows less */
	_exit(127);
}

static void criu_take(struct criu *c, struct criu *ret)
{
	*ret = *c;
	*c = CRIU_NONE;
}

int criu_start(const struct criu_start *s, struct criu *ret, struct err *e)
{
	AUTO_CRIU struct criu c = CRIU_NONE;
	AUTO_FREE char *path = spawn_find(s->program);
	struct clone_args args = {
		.flags = CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)&c.pidfd,
		.exit_signal = SIGCHLD,
	};
	struct err why;
	int pair[2], report[2];

	if (!path)
		return err_set(e, ERR_NOT_FOUND, "exec: \"%s\": executable file not found in $PATH",
			       s->program);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, errno, "make criu's socket");
	AUTO_FD int theirs = pair[1];
	c.sock = pair[0];
	if (pipe2(report, O_CLOEXEC) < 0)
		return err_sys(e, errno, "make criu's pipe");
	AUTO_FD int in = report[0];
	AUTO_FD int out = report[1];
	int pid = clone_process(&args);
	if (pid < 0)
		return err_sys(e, -pid, "clone3 for criu");
	if (pid == 0)
		child_main(s, path, theirs, out);
	c.pid = pid;
	close_fd(&out);
	out = -1;
	if (fd_read_all(in, &why, sizeof why) == sizeof why)
		return err_copy(e, &why);
	criu_take(&c, ret);
	return 0;
}

static int send_request(const struct criu *c, const CriuReq *req, struct err *e)
{
	size_t n = criu_req__get_packed_size(req);
	AUTO_FREE uint8_t *bytes = xmalloc(n);

	criu_req__pack(req, bytes);
	if (send(c->sock, bytes, n, MSG_NOSIGNAL) < 0)
		return err_sys(e, errno, "write to criu");
	return 0;
}

static int receive(const struct criu *c, CriuResp **ret, int *ret_fd, struct err *e)
{
	AUTO_FREE uint8_t *bytes = xmalloc(ANSWER_MAX);
	size_t n_fds = 1;
	int fd = -1;
	ssize_t n = socket_recv_fds(c->sock, bytes, ANSWER_MAX, &fd, &n_fds);

	*ret_fd = n_fds ? fd : -1;
	if (n < 0)
		return err_sys(e, (int)-n, "read from criu");
	if (n == 0)
		return err_set(e, ERR_UNAVAILABLE, "unexpected EOF");
	*ret = n == ANSWER_MAX ? NULL : criu_resp__unpack(NULL, (size_t)n, bytes);
	return *ret ? 0 : err_set(e, ERR_DATA_LOSS, "unable to parse the response of criu");
}

static int take_notice(struct criu *c, const CriuResp *r, int fd, criu_notify_fn notify, void *arg,
		       struct err *e)
{
	CriuReq answer = CRIU_REQ__INIT;
	int ok = -1;

	if (!r->notify || !r->notify->script)
		err_set(e, ERR_DATA_LOSS, "invalid response of criu: a notification of nothing");
	else
		ok = notify(arg, r->notify->script, r->notify->has_pid ? r->notify->pid : 0, fd, e);
	answer.type = CRIU_REQ_TYPE__NOTIFY;
	answer.has_notify_success = 1;
	answer.notify_success = ok == 0;

	struct err ignored = { 0 };
	if (send_request(c, &answer, ok < 0 ? &ignored : e) < 0 || ok < 0)
		return -1;
	return 0;
}

/* One answer. 1: there will be another. */
static int serve(struct criu *c, const CriuReq *req, criu_notify_fn notify, void *arg,
		 pid_t *ret_pid, struct err *e)
{
	CriuResp *r = NULL;
	int fd, done = -1;

	if (receive(c, &r, &fd, e) < 0)
		return -1;
	if (r->type == CRIU_REQ_TYPE__NOTIFY && r->success && notify) {
		done = take_notice(c, r, fd, notify, arg, e) < 0 ? -1 : 1;
		fd = -1;
	} else if (!r->success) {
		/* its own text is the first line with "Error" in the log, and often not the cause
		 */
		err_set(e, ERR_UNKNOWN, "criu failed: type %s errno %d", type_name(r->type),
			r->has_cr_errno ? r->cr_errno : 0);
	} else if (r->type != req->type) {
		err_set(e, ERR_DATA_LOSS, "unable to parse the response of criu: it is for %s",
			type_name(r->type));
	} else {
		done = 0;
		if (ret_pid)
			*ret_pid = r->restore ? r->restore->pid : 0;
	}
	close_fd(&fd);
	criu_resp__free_unpacked(r, NULL);
	return done;
}

/* Its end; that of a pre-dump, which would wait for more, is not looked at. */
static int wait_for_end(struct criu *c, bool must_succeed, struct err *e)
{
	siginfo_t how = { 0 };

	(void)shutdown(c->sock, SHUT_WR); /* it may be gone */
	while (waitid(P_PIDFD, (id_t)c->pidfd, &how, WEXITED) < 0)
		if (errno != EINTR)
			return err_sys(e, errno, "wait for criu");
	close_fd(&c->pidfd);
	c->pidfd = -1;
	if (must_succeed && (how.si_code != CLD_EXITED || how.si_status != 0))
		return err_set(e, ERR_UNKNOWN, "criu failed: %s %d",
			       how.si_code == CLD_EXITED ? "exit status" : "signal", how.si_status);
	return 0;
}

int criu_call(struct criu *c, CriuReq *req, criu_notify_fn notify, void *arg, pid_t *ret_pid,
	      struct err *e)
{
	int more;

	if (send_request(c, req, e) < 0)
		return -1;
	do
		more = serve(c, req, notify, arg, ret_pid, e);
	while (more > 0);
	if (more < 0)
		return -1;
	return wait_for_end(c, req->type != CRIU_REQ_TYPE__PRE_DUMP, e);
}

/* A question whose answer is looked at as a whole. */
static int ask(const char *program, CriuReq *req, CriuResp **ret, struct err *e)
{
	AUTO_CRIU struct criu c = CRIU_NONE;
	const struct criu_start s = { .program = program };
	int fd = -1;

	if (criu_start(&s, &c, e) < 0 || send_request(&c, req, e) < 0)
		return -1;
	int r = receive(&c, ret, &fd, e);
	close_fd(&fd);
	return r;
}

int criu_check_version(const char *program, int min, struct err *e)
{
	CriuReq req = CRIU_REQ__INIT;
	CriuResp *r = NULL;
	int version = 0;

	req.type = CRIU_REQ_TYPE__VERSION;
	if (ask(program, &req, &r, e) < 0)
		return err_wrap(e, "CRIU version check failed");
	if (r->success && r->version)
		version = r->version->major_number * 10000 + r->version->minor_number * 100 +
			  r->version->sublevel;
	criu_resp__free_unpacked(r, NULL);
	if (version < min)
		return err_set(e, ERR_FAILED_PRECONDITION, "CRIU version %d must be %d or higher",
			       version, min);
	return 0;
}

int criu_check_features(const char *program, bool mem_track, bool lazy_pages, struct err *e)
{
	CriuReq req = CRIU_REQ__INIT;
	CriuFeatures f = CRIU_FEATURES__INIT;
	CriuResp *r = NULL;

	req.type = CRIU_REQ_TYPE__FEATURE_CHECK;
	req.features = &f;
	f.has_mem_track = f.mem_track = mem_track;
	f.has_lazy_pages = f.lazy_pages = lazy_pages;
	if (ask(program, &req, &r, e) < 0)
		return err_wrap(e, "CRIU feature check failed");
	bool ok = r->success && r->features;
	const char *missing = !ok                                      ? "all"
			      : mem_track && !r->features->mem_track   ? "MemTrack"
			      : lazy_pages && !r->features->lazy_pages ? "LazyPages"
								       : NULL;
	criu_resp__free_unpacked(r, NULL);
	if (missing)
		return err_set(e, ERR_FAILED_PRECONDITION, "criu is missing features: [%s]",
			       missing);
	return 0;
}

void criu_quote_log(int dirfd, const char *dir, const char *file)
{
	AUTO_FREE char *text = NULL;
	unsigned quoted = 0;
	int r = file_read(dirfd, file, LOG_MAX, &text, NULL);

	if (r < 0) {
		log_warn(LOG_NONE, "open %s/%s: %s", dir, file, err_errno_text(-r));
		return;
	}
	for (char *line = text, *next; *line; line = next) {
		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = 0;
		if (!strstr(line, "Error") || quoted++ >= QUOTES_MAX)
			continue;
		log_warn(LOG_NONE, "%s/%s: %s", dir, file, line);
	}
}

static void fill_config(const struct oci_spec *spec, CriuOpts *o)
{
	const struct oci_pairs *a = &spec->annotations;

	o->config_file = (char *)"/etc/criu/runc.conf";
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->v[i].key, "org.criu.config") == 0)
			o->config_file = *a->v[i].value ? (char *)a->v[i].value : NULL;
}

#define SET(o, field, value) ((o)->has_##field = 1, (o)->field = (value))
void criu_fill_opts(const struct checkpoint *c, const struct oci_spec *spec, struct arena *a,
		    CriuOpts *o)
{
	static const CriuCgMode modes[] = {
		[CHECKPOINT_CGROUPS_DEFAULT] = CRIU_CG_MODE__DEFAULT,
		[CHECKPOINT_CGROUPS_SOFT] = CRIU_CG_MODE__SOFT,
		[CHECKPOINT_CGROUPS_FULL] = CRIU_CG_MODE__FULL,
		[CHECKPOINT_CGROUPS_STRICT] = CRIU_CG_MODE__STRICT,
		[CHECKPOINT_CGROUPS_IGNORE] = CRIU_CG_MODE__IGNORE,
	};

	(void)a;
	SET(o, log_level, 4);
	SET(o, manage_cgroups, 1); /* for versions that know no modes */
	SET(o, manage_cgroups_mode, modes[c->cgroups]);
	SET(o, notify_scripts, 1);
	SET(o, shell_job, c->shell_job);
	SET(o, ext_unix_sk, c->ext_unix_sk);
	SET(o, tcp_established, c->tcp_established);
	SET(o, file_locks, c->file_locks);
	SET(o, orphan_pts_master, 1);
	SET(o, auto_dedup, c->auto_dedup);
	SET(o, lazy_pages, c->lazy_pages);
	SET(o, empty_ns, CLONE_NEWNET); /* interfaces are their maker's to restore */
	fill_config(spec, o);
}
