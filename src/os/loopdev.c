#include "os/loopdev.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

enum { TRIES = 64 };

static void set_mark(uint8_t name[LO_NAME_SIZE], const char *mark)
{
	size_t n = strlen(mark);

	memset(name, 0, LO_NAME_SIZE);
	snprintf((char *)name, LO_NAME_SIZE, "%s",
		 n > LOOPDEV_MARK ? mark + n - LOOPDEV_MARK : mark);
}

/* Somebody else may take the free device first. */
int loopdev_attach(int file, bool is_readonly, const char *mark, char ret_path[LOOPDEV_PATH])
{
	struct loop_config config = { .fd = (uint32_t)file,
				      .info = { .lo_flags = LO_FLAGS_AUTOCLEAR } };
	AUTO_FD int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

	if (control < 0)
		return -errno;
	if (is_readonly)
		config.info.lo_flags |= LO_FLAGS_READ_ONLY;
	if (mark)
		set_mark(config.info.lo_file_name, mark);
	for (int i = 0; i < TRIES; i++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE);

		if (number < 0)
			return -errno;
		snprintf(ret_path, LOOPDEV_PATH, "/dev/loop%d", number);

		AUTO_FD int fd = open(ret_path, (is_readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC);

		if (fd < 0)
			return -errno;
		if (ioctl(fd, LOOP_CONFIGURE, &config) == 0)
			return TAKE_FD(fd);
		if (errno != EBUSY)
			return -errno;
	}
	return -EBUSY;
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
