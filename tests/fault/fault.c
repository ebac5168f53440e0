/* Failure points for a test build of runc: every system call that its code makes goes through here
 * (the linker's --wrap), and the environment says which one fails, or is its process's last.
 *
 *	CASCO_FAULT=ROLE:WHAT:N		ROLE: self (before the program has protected itself),
 *					parent, child (all that it forks)
 *					WHAT: fail (the N-th call answers EIO), kill (SIGKILL
 *instead of the N-th call that changes something) CASCO_FAULT_LOG=FILE		gets a line when it
 *happened, and one for each descriptor that is still open at the end: a leak
 *
 * Never in a release: only -Dfault=true links it, into a program of another name. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LOG_FD = 100 };

static struct {
	char role[8], what[8];
	long n, seen;
	pid_t main_pid, last_pid;
	bool is_protected, has_log;
} fault;

off64_t __real_lseek64(int fd, off64_t offset, int whence);
ssize_t __real_write(int fd, const void *buf, size_t n);
int __real_open64(const char *path, int flags, ...);
int __real_fcntl64(int fd, int cmd, ...);
long __real_syscall(long nr, ...);

static pid_t own_pid(void)
{
	return (pid_t)__real_syscall(SYS_getpid);
}

__attribute__((constructor)) static void begin(void)
{
	const char *text = getenv("CASCO_FAULT"), *log = getenv("CASCO_FAULT_LOG");
	const char *name = (const char *)getauxval(AT_EXECFN);

	fault.main_pid = own_pid();
	/* execveat names the program so; the one that we were started as has a path of its own */
	fault.is_protected = name && strncmp(name, "/dev/fd/", 8) == 0;
	if (!text || sscanf(text, "%7[a-z]:%7[a-z]:%ld", fault.role, fault.what, &fault.n) != 3)
		fault.n = 0;
	int fd = log ? __real_open64(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
	if (fd < 0)
		return;
	if (__real_lseek64(fd, 0, SEEK_END) > 0)
		fault.n = 0; /* it has struck, in a program that then executed us again */
	fault.has_log = __real_fcntl64(fd, F_DUPFD_CLOEXEC, LOG_FD) == LOG_FD;
	close(fd);
}

static void say(const char *what, const char *name)
{
	char line[300];
	int n = snprintf(line, sizeof line, "%s %s\n", what, name);

	if (fault.has_log && __real_write(LOG_FD, line, (size_t)n) != n)
		_exit(99);
}

/* Every descriptor that the library took is closed when the program ends. */
__attribute__((destructor)) static void end(void)
{
	DIR *dir;
	struct dirent *d;

	if (!fault.has_log || own_pid() != fault.main_pid || !fault.is_protected)
		return;
	int fd = __real_open64("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fdopendir(fd);
	while (dir && (d = readdir(dir))) {
		char link[256];
		long n = strtol(d->d_name, NULL, 10);

		if (n <= 2 || n == LOG_FD || n == fd)
			continue;
		snprintf(link, sizeof link, "/proc/self/fd/%ld", n);
		char target[256];
		ssize_t len = __real_syscall(SYS_readlink, link, target, sizeof target - 1);
		target[len > 0 ? len : 0] = 0;
		say("leak", target);
	}
	if (dir)
		closedir(dir);
}

static bool is_meant(bool changes)
{
	pid_t pid = own_pid();
	const char *role = pid != fault.main_pid ? "child" : fault.is_protected ? "parent" : "self";

	if (!fault.n || strcmp(role, fault.role) != 0)
		return false;
	if (pid != fault.last_pid) /* a child counts for itself */
		fault.seen = 0;
	fault.last_pid = pid;
	if (!changes && fault.what[0] == 'k')
		return false;
	return ++fault.seen == fault.n;
}

/* The N-th: does not come back, or is to fail. */
static bool strikes(const char *name, bool changes)
{
	if (!is_meant(changes))
		return false;
	say(fault.what, name);
	if (fault.what[0] == 'k')
		__real_syscall(SYS_kill, own_pid(), 9);
	errno = EIO;
	return true;
}

/* All of them take and give what fits a register, and at most six of these, so that one shape does
 * for all (System V and AAPCS pass variable arguments like the others). */
#define WRAP(name, changes)                                                 \
	long __real_##name(long, long, long, long, long, long);             \
	long __wrap_##name(long a, long b, long c, long d, long e, long f); \
	long __wrap_##name(long a, long b, long c, long d, long e, long f)  \
	{                                                                   \
		if (strikes(#name, changes))                                \
			return -1;                                          \
		return __real_##name(a, b, c, d, e, f);                     \
	}
#define WRAP_POINTER(name)                   \
	void *__real_##name(long, long);     \
	void *__wrap_##name(long a, long b); \
	void *__wrap_##name(long a, long b)  \
	{                                    \
		if (strikes(#name, false))   \
			return NULL;         \
		return __real_##name(a, b);  \
	}

#include "wraps.h"

/* These have their prototypes above. */
#define WRAP_KNOWN(name, type, params, args) \
	type __wrap_##name params;           \
	type __wrap_##name params            \
	{                                    \
		if (strikes(#name, true))    \
			return -1;           \
		return __real_##name args;   \
	}
WRAP_KNOWN(lseek64, off64_t, (int fd, off64_t offset, int whence), (fd, offset, whence))
WRAP_KNOWN(write, ssize_t, (int fd, const void *buf, size_t n), (fd, buf, n))
WRAP_KNOWN(open64, int, (const char *path, int flags, int mode), (path, flags, mode))
WRAP_KNOWN(fcntl64, int, (int fd, int cmd, long arg), (fd, cmd, arg))
WRAP_KNOWN(syscall, long, (long nr, long a, long b, long c, long d, long e), (nr, a, b, c, d, e))
