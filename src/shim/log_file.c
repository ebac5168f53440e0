#include "shim/log_file.h"

#include "base/mem.h"
#include "base/str.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/spawn.h"
#include "shim/reaper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { NUMBER_MAX = 100000000 };

struct log_file {
	const struct plog_options *opt;
	struct reaper *reaper;
	int dirfd, fd; /* fd -1: could not be opened, tried again */
	uint64_t size;
	uint32_t last; /* the highest number given */
	time_t checked; /* when somebody else's rename was looked for last */
	pid_t gzip; /* compressing now; 0: none */
};

/* 0 for a name that is none of ours */
static uint32_t number_of(const char *name)
{
	const char *p = name + strlen(LOG_FILE_NAME ".");
	uint32_t n = 0;

	if (!str_starts(name, LOG_FILE_NAME "."))
		return 0;
	for (; *p >= '0' && *p <= '9' && n < NUMBER_MAX; p++)
		n = n * 10 + (uint32_t)(*p - '0');
	return *p && *p != '.' ? 0 : n;
}

static uint32_t find_last(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	uint32_t last = 0;

	if (!d) {
		close_fd(&fd);
		return 0;
	}
	for (struct dirent *de; (de = readdir(d));) {
		uint32_t n = number_of(de->d_name);

		if (n > last)
			last = n;
	}
	closedir(d);
	return last;
}

static const char *name_in_folder(const struct log_file *f)
{
	return f->opt->file ?: LOG_FILE_NAME;
}

/* What somebody has put in its place must not hold us up (a fifo), nor get what is written. */
static int reopen(struct log_file *f)
{
	struct stat st;

	close_fd(&f->fd);
	AUTO_FD int fd = openat(f->dirfd, name_in_folder(f),
				O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
				f->opt->file ? 0640 : 0600);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	f->fd = TAKE_FD(fd);
	f->size = (uint64_t)st.st_size;
	return 0;
}

static int open_folder(const struct plog_options *o, struct err *e)
{
	unsigned mode = o->file ? 0755 : 0700;
	int r = file_mkdirs(o->dir, mode);

	if (r < 0)
		return err_sys(e, -r, "mkdir %s", o->dir);
	AUTO_FD int dirfd = open(o->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return err_sys(e, errno, "open %s", o->dir);
	if (!o->below)
		return TAKE_FD(dirfd);
	r = file_mkdirs_below(dirfd, o->below, mode);
	return r < 0 ? err_sys(e, -r, "open %s/%s", o->dir, o->below) : r;
}

int log_file_open(struct reaper *reaper, const struct plog_options *o, struct log_file **ret,
		  struct err *e)
{
	AUTO_FD int dirfd = open_folder(o, e);
	struct log_file *f;

	if (dirfd < 0)
		return -1;
	f = NEW(struct log_file);
	*f = (struct log_file){ .opt = o, .reaper = reaper, .dirfd = TAKE_FD(dirfd), .fd = -1 };
	f->last = o->file ? 0 : find_last(f->dirfd);
	int r = reopen(f);
	if (r < 0 && r != -ENOSPC && r != -EDQUOT) { /* a full disk is no reason not to start */
		log_file_free(f);
		return err_sys(e, -r, "open %s/%s", o->dir, o->file ?: LOG_FILE_NAME);
	}
	*ret = f;
	return 0;
}

void log_file_free(struct log_file *f)
{
	if (!f)
		return;
	if (f->gzip)
		reaper_unwatch(f->reaper, f->gzip);
	close_fd(&f->fd);
	close_fd(&f->dirfd);
	free(f);
}

static void on_gzip_end(UNUSED uint32_t status, UNUSED struct timespec at, void *arg)
{
	struct log_file *f = arg;

	f->gzip = 0;
}

/* By a program of its own, so that nobody's output waits.  One at a time: what is rotated
 * meanwhile stays as it is. */
static void compress_file(struct log_file *f, const char *name)
{
	char *argv[] = { (char *)(uintptr_t) "nice", (char *)(uintptr_t) "gzip",
			 (char *)(uintptr_t) "-1", (char *)(uintptr_t)name, NULL };
	static char *const env[] = { (char *)(uintptr_t) "PATH=/usr/local/bin:/usr/bin:/bin",
				     NULL };
	const int fds[3] = { -1, -1, -1 };
	AUTO_FREE char *path = spawn_find("nice");
	AUTO_FD int pidfd = -1;
	struct spawn s = {
		.path = path, .argv = argv, .envp = env, .cwd_fd = f->dirfd, .fds = fds, .n_fds = 3
	};

	if (!path || f->gzip)
		return;
	reaper_hold(f->reaper);
	if (spawn_start(&s, &pidfd, &f->gzip) == 0)
		reaper_watch(f->reaper, f->gzip, on_gzip_end, f);
	else
		f->gzip = 0;
	reaper_release(f->reaper);
}

static void name_of(char buf[64], uint32_t n, const char *suffix)
{
	snprintf(buf, 64, "%s.%06u%s", LOG_FILE_NAME, n, suffix);
}

static void remove_old(struct log_file *f)
{
	char name[64];

	/* The numbers below were removed one rotation ago; a smaller max-file than before leaves
	 * more: go on while there is something. */
	for (uint32_t n = f->last + 1 - f->opt->max_files; n > 0 && n <= f->last; n--) {
		int plain, gz;

		name_of(name, n, "");
		plain = unlinkat(f->dirfd, name, 0);
		name_of(name, n, ".gz");
		gz = unlinkat(f->dirfd, name, 0);
		if (plain < 0 && gz < 0)
			break;
	}
}

static void rotate(struct log_file *f)
{
	char name[64];
	struct stat st;

	do
		name_of(name, ++f->last, "");
	while (fstatat(f->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0);
	if (renameat(f->dirfd, LOG_FILE_NAME, f->dirfd, name) < 0 && errno != ENOENT) {
		f->last--;
		if (f->fd >= 0 && ftruncate(f->fd, 0) == 0) /* bounded, whatever happens */
			f->size = 0;
		return;
	}
	(void)reopen(f); /* tried again before the next record */
	if (f->opt->max_files <= f->last)
		remove_old(f);
	if (f->opt->compress && f->opt->max_files > 1)
		compress_file(f, name);
}

/* Somebody has renamed or removed the file: from here on there is a new one. */
static void check_name(struct log_file *f)
{
	struct timespec now;
	struct stat ours, named;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (f->fd >= 0 && now.tv_sec == f->checked)
		return;
	f->checked = now.tv_sec;
	if (f->fd < 0 || fstat(f->fd, &ours) < 0 ||
	    fstatat(f->dirfd, name_in_folder(f), &named, AT_SYMLINK_NOFOLLOW) < 0 ||
	    ours.st_ino != named.st_ino || ours.st_dev != named.st_dev)
		(void)reopen(f);
}

int log_file_write(struct log_file *f, const char *bytes, size_t n)
{
	size_t done = 0;

	check_name(f);
	if (!f->opt->file && f->size && f->size + n > f->opt->max_size)
		rotate(f);
	while (f->fd >= 0 && done < n) {
		ssize_t w = write(f->fd, bytes + done, n - done);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			break;
		done += (size_t)w;
	}
	if (done == n) {
		f->size += n;
		return 0;
	}
	if (done && ftruncate(f->fd, (off_t)f->size) < 0) /* no half of a record */
		f->size += done;
	return -1;
}
