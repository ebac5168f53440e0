#include "os/process_record.h"

#include "base/mem.h"
#include "os/file.h"
#include "os/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { RECORD_MAX = 64, STAT_MAX = 4096, START_FIELD = 22 };

/* Field 22 of /proc/PID/stat; names in field 2 may hold anything but end with the last ')'. */
int process_start_time(pid_t pid, uint64_t *ret)
{
	AUTO_FREE char *text = NULL;
	char path[32];
	const char *at;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);

	int r = file_read(AT_FDCWD, path, STAT_MAX, &text, NULL);

	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	at = strrchr(text, ')');
	for (int field = 2; at && field < START_FIELD; field++)
		at = strchr(at + 1, ' ');
	return at && sscanf(at, " %" SCNu64, ret) == 1 ? 0 : -EINVAL;
}

int process_record_write(int dirfd, const char *name, pid_t pid)
{
	char text[RECORD_MAX];
	uint64_t start;
	int r = process_start_time(pid, &start);

	if (r < 0)
		return r;
	int n = snprintf(text, sizeof text, "%d %" PRIu64, (int)pid, start);

	return file_replace(dirfd, name, text, (size_t)n, 0600, false);
}

int process_record_open(int dirfd, const char *name)
{
	AUTO_FREE char *text = NULL;
	AUTO_FD int fd = -1;
	uint64_t start, now;
	int pid, r = file_read(dirfd, name, RECORD_MAX, &text, NULL);

	if (r < 0)
		return r;
	if (sscanf(text, "%d %" SCNu64, &pid, &start) != 2 || pid <= 1)
		return -EINVAL;
	fd = sys_pidfd_open(pid, 0);
	if (fd < 0)
		return fd;
	/* The handle first: what has this start time now is what it is a handle of. */
	r = process_start_time(pid, &now);
	if (r < 0)
		return r;
	return now == start ? TAKE_FD(fd) : -ESRCH;
}
