#include "shim/logger_record.h"

#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"
#include "os/dir.h"
#include "os/file.h"
#include "os/pidfd.h"
#include "os/process_record.h"
#include "runtime/procfs.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define PREFIX "logger-"
enum { TEXT_MAX = 128, GRACE_MS = 1000 };

/* A process, told from all others that have, or will have, its pid. */
struct identity {
	uint32_t pid;
	uint64_t start;
};

/* One that has ended, and that nobody has reaped yet, is none. */
static int identify(int procfd, pid_t pid, struct identity *ret)
{
	char state = 0;

	ret->pid = (uint32_t)pid;
	int r = process_start_time(procfd, pid, &ret->start, &state);

	return r < 0 ? r : state == 'Z' || state == 'X' ? -ESRCH : 0;
}

static void name_of(char buf[32], pid_t pid)
{
	snprintf(buf, 32, PREFIX "%d", (int)pid);
}

void logger_record(int bundlefd, pid_t pid)
{
	struct err ignored = { 0 };
	AUTO_FD int procfd = procfs_open(&ignored);
	struct identity logger, shim;
	char name[32], text[TEXT_MAX];

	if (procfd < 0 || identify(procfd, pid, &logger) < 0 ||
	    identify(procfd, getpid(), &shim) < 0)
		return;
	name_of(name, pid);
	int n = snprintf(text, sizeof text, "%" PRIu64 " %u %" PRIu64, logger.start, shim.pid,
			 shim.start);

	(void)file_replace(bundlefd, name, text, (size_t)n, 0600, false);
}

void logger_record_remove(int bundlefd, pid_t pid)
{
	char name[32];

	name_of(name, pid);
	(void)unlinkat(bundlefd, name, 0);
}

static bool read_record(int bundlefd, const char *name, struct identity *ret_logger,
			struct identity *ret_shim)
{
	AUTO_FREE char *text = NULL;

	return str_starts(name, PREFIX) && num_u32(name + strlen(PREFIX), &ret_logger->pid) == 0 &&
	       file_read(bundlefd, name, TEXT_MAX, &text, NULL) == 0 &&
	       sscanf(text, "%" SCNu64 " %u %" SCNu64, &ret_logger->start, &ret_shim->pid,
		      &ret_shim->start) == 3;
}

static bool is_there(int procfd, const struct identity *p)
{
	struct identity now;

	return identify(procfd, (pid_t)p->pid, &now) == 0 && now.start == p->start;
}

/* A handle first, then the look: so it is of the process that was meant, or of none. */
static int open_logger(int bundlefd, const char *name, int procfd)
{
	struct identity logger, shim;

	if (!read_record(bundlefd, name, &logger, &shim) || is_there(procfd, &shim))
		return -1;
	int fd = pidfd_of(procfd, (pid_t)logger.pid);

	if (fd >= 0 && !is_there(procfd, &logger))
		close_fd(&fd);
	return fd < 0 ? -1 : fd;
}

static void end(int fd)
{
	if (pidfd_signal(fd, SIGTERM) < 0 || pidfd_wait_end(fd, GRACE_MS) == 0)
		return;
	(void)pidfd_signal(fd, SIGKILL); /* it may just have ended */
	(void)pidfd_wait_end(fd, GRACE_MS);
}

void logger_record_end_all(int bundlefd)
{
	struct err ignored = { 0 };
	AUTO_FD int procfd = procfs_open(&ignored);
	AUTO_STRV struct strv names = { 0 };

	if (procfd < 0 || dir_names(bundlefd, ".", &names) < 0)
		return;
	for (size_t i = 0; i < names.n; i++) {
		AUTO_FD int fd = open_logger(bundlefd, names.v[i], procfd);

		if (fd >= 0)
			end(fd);
	}
}
