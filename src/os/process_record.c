#include "os/process_record.h"

#include "base/mem.h"
#include "base/num.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { RECORD_MAX = 64, STAT_MAX = 1024, STATE_FIELD = 3, START_FIELD = 22 };

int process_start_time(int procfd, pid_t pid, uint64_t *ret_time, char *ret_state)
{
	char path[32], text[STAT_MAX], *p;

	snprintf(path, sizeof path, "%d/stat", (int)pid);
	AUTO_FD int fd = openat(procfd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t n = fd_read_all(fd, text, sizeof text - 1);
	if (n < 0)
		return (int)n;
	text[n] = 0;
	/* the name, field 2, may hold anything: count from its last parenthesis */
	p = strrchr(text, ')');
	if (!p || p[1] != ' ')
		return -EINVAL;
	p += 2;
	*ret_state = *p;
	for (int field = STATE_FIELD; field < START_FIELD && p; field++) {
		p = strchr(p, ' ');
		p = p ? p + 1 : NULL;
	}
	if (!p)
		return -EINVAL;
	p[strcspn(p, " \n")] = 0;
	return num_u64(p, ret_time);
}

int process_start(pid_t pid, uint64_t *ret)
{
	AUTO_FD int procfd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char state;
	int r;

	*ret = 0; /* the analyzer does not know that errno is set */
	r = procfd < 0 ? -errno : process_start_time(procfd, pid, ret, &state);

	return r == -ENOENT ? -ESRCH : r;
}

int process_record_write(int dirfd, const char *name, pid_t pid)
{
	char text[RECORD_MAX];
	uint64_t start;
	int r = process_start(pid, &start);

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
	r = process_start(pid, &now);
	if (r < 0)
		return r;
	return now == start ? TAKE_FD(fd) : -ESRCH;
}
