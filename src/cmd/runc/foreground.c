/* A process in the foreground: its terminal copied, our signals passed on, its end awaited. */
#include "cmd/runc/cli.h"
#include "cmd/runc/notify.h"

#include "base/log.h"
#include "os/fd.h"
#include "os/pidfd.h"
#include "os/syscall.h"
#include "runtime/runtime.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>

enum { SLOT_PROCESS, SLOT_SIGNALS, SLOT_INPUT, SLOT_MASTER, SLOT_NOTIFY, SLOTS };

struct foreground {
	struct runtime_process *process;
	int signals;
	bool is_tty, has_saved; /* our stdin */
	struct termios saved;
	bool input_open;
};

int foreground_begin(bool subreaper, struct err *e)
{
	sigset_t all;

	memset(&all, 0xff, sizeof all); /* sigfillset leaves out what a libc keeps for itself */
	/* errors of our own code must still end us; these stop nothing for long */
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGABRT);
	if (sigprocmask(SIG_BLOCK, &all, NULL) < 0)
		return err_sys(e, errno, "block signals");
	int fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return err_sys(e, errno, "signalfd");
	if (subreaper && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return err_sys(e, errno, "become a subreaper");
	return fd;
}

static void copy_size(const struct foreground *f)
{
	struct winsize size;

	if (f->process->console >= 0 && ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0)
		(void)ioctl(f->process->console, TIOCSWINSZ, &size); /* the old size is usable */
}

static void begin_terminal(struct foreground *f)
{
	struct termios raw;

	f->input_open = f->process->console >= 0;
	f->is_tty = isatty(STDIN_FILENO);
	if (f->process->console < 0 || !f->is_tty)
		return;
	copy_size(f);
	if (tcgetattr(STDIN_FILENO, &f->saved) < 0)
		return;
	raw = f->saved;
	cfmakeraw(&raw);
	raw.c_oflag |= f->saved.c_oflag &
		       (tcflag_t)OPOST; /* the container's "\n" is still to get its "\r" */
	f->has_saved = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

static void end_terminal(struct foreground *f)
{
	if (f->has_saved)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &f->saved);
}

/* Processes of the container that lost their parent are ours as a subreaper. */
static void reap_others(const struct foreground *f)
{
	siginfo_t how = { 0 };

	while (waitid(P_ALL, 0, &how, WEXITED | WNOHANG | WNOWAIT) == 0 && how.si_pid &&
	       how.si_pid != f->process->pid) {
		(void)waitid(P_PID, (id_t)how.si_pid, &how, WEXITED | WNOHANG);
		how.si_pid = 0;
	}
}

static void take_signals(struct foreground *f)
{
	struct signalfd_siginfo s;

	while (read(f->signals, &s, sizeof s) == sizeof s) {
		int sig = (int)s.ssi_signo;

		if (sig == SIGCHLD)
			reap_others(f);
		else if (sig == SIGWINCH)
			copy_size(f);
		else if (sig != SIGPIPE && sig != SIGURG)
			(void)pidfd_signal(f->process->pidfd, sig);
	}
}

/* False at the end of the input. */
static bool copy_some(int from, int to)
{
	char buf[8192];
	ssize_t n = read(from, buf, sizeof buf);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	return n > 0 && fd_write_all(to, buf, (size_t)n) == 0;
}

static void take_input(struct foreground *f)
{
	static const char eot = 4;

	if (copy_some(STDIN_FILENO, f->process->console))
		return;
	f->input_open = false;
	if (!f->is_tty) /* the end of a pipe, in a terminal's words */
		(void)!write(f->process->console, &eot, 1);
}

/* We stay, so we are the one to watch.  A manager that does not listen is no reason to end. */
static void take_notify(struct notify *n)
{
	struct err e = { 0 };

	if (notify_take(n, getpid(), &e) < 0) {
		log_warn(LOG_NONE, "%s", e.msg);
		n->is_done = true;
	}
}

/* What the terminal still holds after the end. */
static void drain(int master)
{
	if (master >= 0 && fd_set_nonblock(master, true) == 0) {
		struct pollfd p = { .fd = master, .events = POLLIN };

		while (poll(&p, 1, 0) > 0 && (p.revents & POLLIN) &&
		       copy_some(master, STDOUT_FILENO))
			;
	}
}

static int end_status(const struct runtime_process *p, struct err *e)
{
	siginfo_t how = { 0 };

	while (waitid(P_PIDFD, (id_t)p->pidfd, &how, WEXITED) < 0)
		if (errno != EINTR)
			return err_sys(e, errno, "wait for process %d", (int)p->pid);
	return how.si_code == CLD_EXITED ? how.si_status : 128 + how.si_status;
}

int foreground_wait(struct runtime_process *process, int signals, struct notify *notify,
		    struct err *e)
{
	struct foreground f = { .process = process, .signals = signals };
	int master = process->console;

	begin_terminal(&f);
	runtime_release_self();
	for (;;) {
		struct pollfd p[SLOTS] = {
			[SLOT_PROCESS] = { process->pidfd, POLLIN, 0 },
			[SLOT_SIGNALS] = { signals, POLLIN, 0 },
			[SLOT_INPUT] = { f.input_open ? STDIN_FILENO : -1, POLLIN, 0 },
			[SLOT_MASTER] = { master, POLLIN, 0 },
			[SLOT_NOTIFY] = { notify && !notify->is_done ? notify->fd : -1, POLLIN, 0 },
		};

		if (poll(p, SLOTS, -1) < 0 && errno != EINTR) {
			end_terminal(&f);
			return err_sys(e, errno, "poll");
		}
		if (p[SLOT_SIGNALS].revents)
			take_signals(&f);
		if (p[SLOT_INPUT].revents)
			take_input(&f);
		if (p[SLOT_MASTER].revents && !copy_some(master, STDOUT_FILENO))
			master = -1;
		if (notify && p[SLOT_NOTIFY].revents)
			take_notify(notify);
		if (p[SLOT_PROCESS].revents)
			break;
	}
	drain(master);
	end_terminal(&f);
	return end_status(process, e);
}
