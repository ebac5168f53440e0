#include "base/signame.h"

#include "base/macros.h"

#include <signal.h>
#include <strings.h>

/* Texts in place, not pointers: nothing to relocate. */
static const struct {
	char name[8];
	char text[26];
} signals[] = {
	[SIGHUP] = { "HUP", "hangup" },
	[SIGINT] = { "INT", "interrupt" },
	[SIGQUIT] = { "QUIT", "quit" },
	[SIGILL] = { "ILL", "illegal instruction" },
	[SIGTRAP] = { "TRAP", "trace/breakpoint trap" },
	[SIGABRT] = { "ABRT", "aborted" },
	[SIGBUS] = { "BUS", "bus error" },
	[SIGFPE] = { "FPE", "floating point exception" },
	[SIGKILL] = { "KILL", "killed" },
	[SIGUSR1] = { "USR1", "user defined signal 1" },
	[SIGSEGV] = { "SEGV", "segmentation fault" },
	[SIGUSR2] = { "USR2", "user defined signal 2" },
	[SIGPIPE] = { "PIPE", "broken pipe" },
	[SIGALRM] = { "ALRM", "alarm clock" },
	[SIGTERM] = { "TERM", "terminated" },
	[SIGSTKFLT] = { "STKFLT", "stack fault" },
	[SIGCHLD] = { "CHLD", "child exited" },
	[SIGCONT] = { "CONT", "continued" },
	[SIGSTOP] = { "STOP", "stopped (signal)" },
	[SIGTSTP] = { "TSTP", "stopped" },
	[SIGTTIN] = { "TTIN", "stopped (tty input)" },
	[SIGTTOU] = { "TTOU", "stopped (tty output)" },
	[SIGURG] = { "URG", "urgent I/O condition" },
	[SIGXCPU] = { "XCPU", "CPU time limit exceeded" },
	[SIGXFSZ] = { "XFSZ", "file size limit exceeded" },
	[SIGVTALRM] = { "VTALRM", "virtual timer expired" },
	[SIGPROF] = { "PROF", "profiling timer expired" },
	[SIGWINCH] = { "WINCH", "window changed" },
	[SIGPOLL] = { "POLL", "I/O possible" },
	[SIGPWR] = { "PWR", "power failure" },
	[SIGSYS] = { "SYS", "bad system call" },
};

static bool is_known(int sig)
{
	return sig > 0 && sig < (int)ARRAY_LEN(signals) && signals[sig].name[0];
}

const char *signal_name(int sig)
{
	return is_known(sig) ? signals[sig].name : NULL;
}

const char *signal_text(int sig)
{
	return is_known(sig) ? signals[sig].text : NULL;
}

int signal_by_name(const char *name)
{
	for (int sig = 1; sig < (int)ARRAY_LEN(signals); sig++)
		if (is_known(sig) && strcasecmp(signals[sig].name, name) == 0)
			return sig;
	return strcasecmp(name, "IO") == 0 ? SIGIO : 0; /* the other name of POLL */
}
