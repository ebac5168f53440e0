#include "base/signame.h"

#include "base/macros.h"
#include "base/num.h"

#include <signal.h>
#include <string.h>
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

/* Of those that have no name: so many from the first, or to the last of them. */
static int real_time(const char *word)
{
	static const struct {
		const char *start;
		int from, sign;
	} forms[] = {
		{ "RTMINPLUS", SIGNAL_RTMIN, 1 },
		{ "RTMIN+", SIGNAL_RTMIN, 1 },
		{ "RTMAXMINUS", SIGNAL_RTMAX, -1 },
		{ "RTMAX-", SIGNAL_RTMAX, -1 },
	};
	uint32_t by;

	if (strcasecmp(word, "RTMIN") == 0)
		return SIGNAL_RTMIN;
	if (strcasecmp(word, "RTMAX") == 0)
		return SIGNAL_RTMAX;
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		size_t n = strlen(forms[i].start);

		if (strncasecmp(word, forms[i].start, n) == 0)
			return num_u32(word + n, &by) == 0 &&
					       by <= (uint32_t)(SIGNAL_RTMAX - SIGNAL_RTMIN)
				       ? forms[i].from + forms[i].sign * (int)by
				       : 0;
	}
	return 0;
}

int signal_by_word(const char *word)
{
	const char *bare = strncasecmp(word, "SIG", 3) == 0 ? word + 3 : word;
	uint32_t number;

	if (num_u32(word, &number) == 0)
		return number <= (uint32_t)SIGNAL_RTMAX ? (int)number : 0;
	return signal_by_name(bare) ?: real_time(bare);
}
