#include "runtime/hooks.h"

#include "base/signame.h"
#include "base/str.h"
#include "os/clone.h"
#include "os/fd.h"
#include "os/pidfd.h"
#include "os/syscall.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { OUTPUT_MAX = 4096 };

struct hook_run {
	const struct oci_hook *hook;
	const char *dir;
	int in, out, err; /* memfds: no pipe to fill, nothing to wait for but the end */
};

static void hook_child(const struct hook_run *r)
{
	const struct oci_hook *h = r->hook;
	static const char *const none[] = { NULL };
	const char *argv[] = { h->path, NULL };
	sigset_t mask;

	if (dup3(r->in, 0, 0) < 0 || dup3(r->out, 1, 0) < 0 || dup3(r->err, 2, 0) < 0)
		_exit(127);
	if (r->dir)
		(void)!chdir(r->dir);
	sigemptyset(&mask); /* what our caller blocks is not the hook's */
	(void)sigprocmask(SIG_SETMASK, &mask, NULL);
	(void)fd_cloexec_from(3, -1); /* ours are close-on-exec: this is for the caller's */
	execve(h->path, (char *const *)(h->args.n ? h->args.v : argv),
	       (char *const *)(h->env.n ? h->env.v : (const char **)none));
	_exit(errno == ENOENT ? 127 : 126);
}

/* The first line or so of what it said. */
static void add_output(struct str *s, int fd, const char *label)
{
	char buf[OUTPUT_MAX];
	ssize_t n = pread(fd, buf, 300, 0);

	while (n > 0 && (buf[n - 1] == '\n' || buf[n - 1] == '\r'))
		n--;
	str_addf(s, ", %s: ", label);
	if (n > 0)
		str_addn(s, buf, (size_t)n);
}

static void add_signal(struct str *s, const siginfo_t *how)
{
	const char *text = signal_text(how->si_status);

	if (!text)
		str_addf(s, "signal %d", how->si_status);
	else
		str_add(s, text);
	if (how->si_code == CLD_DUMPED)
		str_add(s, " (core dumped)");
}

static int judge(const struct hook_run *r, const siginfo_t *how, struct err *e)
{
	AUTO_STR struct str said = STR_INIT(800);

	if (how->si_code == CLD_EXITED && how->si_status == 0)
		return 0;
	if (how->si_code == CLD_EXITED && how->si_status >= 126)
		return err_set(e, ERR_UNKNOWN, "fork/exec %s: %s", r->hook->path,
			       err_errno_text(how->si_status == 127 ? ENOENT : EACCES));
	if (how->si_code == CLD_EXITED) {
		str_addf(&said, "exit status %d", how->si_status);
	} else {
		str_add(&said, "signal: ");
		add_signal(&said, how);
	}
	add_output(&said, r->out, "stdout");
	add_output(&said, r->err, "stderr");
	return err_set(e, ERR_UNKNOWN, "%s", str_c(&said));
}

static int wait_hook(const struct hook_run *r, int pidfd, struct err *e)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	siginfo_t how = { 0 };
	int64_t timeout = r->hook->timeout;
	int ms = timeout > 0 ? (int)(timeout > 2000000 ? 2000000000 : timeout * 1000) : -1;
	int n;

	do
		n = poll(&p, 1, ms);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		(void)pidfd_signal(pidfd, SIGKILL); /* it may just have ended */
	while (waitid(P_PIDFD, (id_t)pidfd, &how, WEXITED) < 0)
		if (errno != EINTR)
			return err_sys(e, errno, "wait for hook %s", r->hook->path);
	if (n == 0)
		return err_set(e, ERR_DEADLINE_EXCEEDED,
			       "hook ran past specified timeout of %lld.0s", (long long)timeout);
	return judge(r, &how, e);
}

static int run_one(const struct oci_hook *h, const char *state, const char *dir, struct err *e)
{
	AUTO_FD int in = memfd_create("hook-state", MFD_CLOEXEC);
	AUTO_FD int out = memfd_create("hook-out", MFD_CLOEXEC);
	AUTO_FD int errfd = memfd_create("hook-err", MFD_CLOEXEC);
	struct hook_run r = { h, dir, in, out, errfd };

	if (in < 0 || out < 0 || errfd < 0)
		return err_sys(e, errno, "make a hook's files");
	int w = fd_write_all(in, state, strlen(state));
	if (w < 0 || lseek(in, 0, SEEK_SET) < 0)
		return err_sys(e, w < 0 ? -w : errno, "write a hook's state");

	AUTO_FD int pidfd = -1;
	struct clone_args args = {
		.flags = CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
		.exit_signal = SIGCHLD,
	};
	int pid = clone_process(&args);
	if (pid < 0)
		return err_sys(e, -pid, "fork for hook %s", h->path);
	if (pid == 0)
		hook_child(&r);
	return wait_hook(&r, pidfd, e);
}

static void note(struct hooks_at at, size_t i, const char *path)
{
	char name[STEPS_NAME];
	size_t n = strlen(path), room = sizeof name - 26; /* the path's end says more */

	if (!at.steps)
		return;
	snprintf(name, sizeof name, "%s hook #%zu %s", at.kind, i,
		 path + (n > room ? n - room : 0));
	steps_begin(at.steps, at.who, name);
}

int hooks_run_one(const struct oci_hook_list *l, size_t i, struct hooks_at at,
		  const char *state_json, const char *dir, struct err *e)
{
	note(at, i, l->v[i].path);
	if (run_one(&l->v[i], state_json, dir, e) < 0)
		return err_wrap(e, "error running %s hook #%zu", at.kind, i);
	return 0;
}

int hooks_run(const struct oci_hook_list *l, struct hooks_at at, const char *state_json,
	      const char *dir, struct err *e)
{
	for (size_t i = 0; i < l->n; i++)
		if (hooks_run_one(l, i, at, state_json, dir, e) < 0)
			return -1;
	return 0;
}
