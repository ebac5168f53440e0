#include "os/loopdev.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TRIES = 64 };

static void set_mark(uint8_t name[LO_NAME_SIZE], const char *mark)
{
	size_t n = strlen(mark);

	memset(name, 0, LO_NAME_SIZE);
	snprintf((char *)name, LO_NAME_SIZE, "%s",
		 n > LOOPDEV_MARK ? mark + n - LOOPDEV_MARK : mark);
}

/* Somebody else may take the free device first. */
static int attach(struct loop_config *config, char ret_path[LOOPDEV_PATH])
{
	bool is_readonly = config->info.lo_flags & LO_FLAGS_READ_ONLY;
	AUTO_FD int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

	if (control < 0)
		return -errno;
	for (int i = 0; i < TRIES; i++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE);

		if (number < 0)
			return -errno;
		snprintf(ret_path, LOOPDEV_PATH, "/dev/loop%d", number);

		AUTO_FD int fd = open(ret_path, (is_readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC);

		if (fd < 0)
			return -errno;
		if (ioctl(fd, LOOP_CONFIGURE, config) == 0)
			return TAKE_FD(fd);
		if (errno != EBUSY)
			return -errno;
	}
	return -EBUSY;
}

int loopdev_attach(int file, bool is_readonly, const char *mark, char ret_path[LOOPDEV_PATH])
{
	struct loop_config config = { .fd = (uint32_t)file,
				      .info = { .lo_flags = LO_FLAGS_AUTOCLEAR } };

	if (is_readonly)
		config.info.lo_flags |= LO_FLAGS_READ_ONLY;
	if (mark)
		set_mark(config.info.lo_file_name, mark);
	return attach(&config, ret_path);
}

/* -1: it has another file, or none. */
static int open_if_same(const char *path, const struct stat *file, bool is_readonly)
{
	AUTO_FD int fd = open(path, (is_readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	struct loop_info64 info;

	if (fd < 0 || ioctl(fd, LOOP_GET_STATUS64, &info) < 0 || info.lo_device != file->st_dev ||
	    info.lo_inode != file->st_ino || (!is_readonly && (info.lo_flags & LO_FLAGS_READ_ONLY)))
		return -1;
	return TAKE_FD(fd);
}

int loopdev_share(int file, const struct loopdev_wish *w, char ret_path[LOOPDEV_PATH])
{
	struct loop_config config = { .fd = (uint32_t)file,
				      .info = { .lo_flags = LO_FLAGS_AUTOCLEAR } };
	DIR *dir = opendir("/sys/block");
	struct stat st;
	int found = -1;

	if (fstat(file, &st) < 0)
		st.st_ino = 0; /* no device has it */
	for (struct dirent *d; dir && found < 0 && (d = readdir(dir));) {
		char used[64];

		if (strncmp(d->d_name, "loop", 4) != 0)
			continue;
		snprintf(used, sizeof used, "/sys/block/%.20s/loop", d->d_name);
		snprintf(ret_path, LOOPDEV_PATH, "/dev/%.20s", d->d_name);
		if (access(used, F_OK) == 0)
			found = open_if_same(ret_path, &st, w->is_readonly);
	}
	if (dir)
		closedir(dir);
	if (found >= 0)
		return found;
	config.info.lo_flags |=
		(w->is_readonly ? LO_FLAGS_READ_ONLY : 0) | (w->is_direct ? LO_FLAGS_DIRECT_IO : 0);
	return attach(&config, ret_path);
}

int loopdev_keep(int loop)
{
	struct loop_info64 info;

	if (ioctl(loop, LOOP_GET_STATUS64, &info) < 0)
		return -errno;
	info.lo_flags &= ~(uint32_t)LO_FLAGS_AUTOCLEAR;
	return ioctl(loop, LOOP_SET_STATUS64, &info) < 0 ? -errno : 0;
}

int loopdev_detach(const char *path, const char *mark)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t wanted[LO_NAME_SIZE];
	struct loop_info64 info;

	if (fd < 0)
		return errno == ENOENT || errno == ENXIO ? 0 : -errno;
	if (ioctl(fd, LOOP_GET_STATUS64, &info) < 0)
		return errno == ENXIO ? 0 : -errno; /* it has no file */
	set_mark(wanted, mark);
	if (memcmp(wanted, info.lo_file_name, sizeof wanted) != 0)
		return 0;
	return ioctl(fd, LOOP_CLR_FD, 0) < 0 && errno != ENXIO ? -errno : 0;
}
