#include "runtime/console.h"

#include "os/path.h"
#include "os/syscall.h"
#include "runtime/mount_api.h"

#include <errno.h>
#include <linux/magic.h>
#include <linux/major.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <termios.h>

void console_done(struct console *c)
{
	close_fd(&c->master);
	close_fd(&c->slave);
	*c = CONSOLE_NONE;
}

/* A devpts has nothing but ptmx (5:2) and the slaves (136 to 143), so the file system and the
 * number together leave no room for something else under that name. */
static bool is_pty(int fd, bool is_ptmx)
{
	struct statfs fs;
	struct stat st;

	if (fstatfs(fd, &fs) < 0 || fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode))
		return false;
	if (is_ptmx)
		return st.st_rdev == makedev(TTYAUX_MAJOR, 2);
	return fs.f_type == DEVPTS_SUPER_MAGIC && major(st.st_rdev) >= UNIX98_PTY_SLAVE_MAJOR &&
	       major(st.st_rdev) < UNIX98_PTY_SLAVE_MAJOR + UNIX98_PTY_MAJOR_COUNT;
}

static int open_inside(int rootfd)
{
	/* looked at before it is opened: opening a device can do things */
	AUTO_FD int path = path_open(rootfd, "/dev/pts/ptmx", O_PATH | O_NOFOLLOW, 0);
	struct statfs fs;

	if (path < 0 || fstatfs(path, &fs) < 0 || fs.f_type != DEVPTS_SUPER_MAGIC ||
	    !is_pty(path, true))
		return -1;
	return path_open(rootfd, "/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NOFOLLOW, 0);
}

int console_open(int rootfd, int host_ptmx, struct console *ret, struct err *e)
{
	AUTO_CONSOLE struct console c = CONSOLE_NONE;
	int unlock = 0;

	c.master = open_inside(rootfd);
	c.is_inside = c.master >= 0;
	if (c.master < 0)
		c.master = fcntl(host_ptmx, F_DUPFD_CLOEXEC, 3);
	if (c.master < 0)
		return err_sys(e, errno, "open a terminal");
	if (!is_pty(c.master, true))
		return err_set(e, ERR_FAILED_PRECONDITION, "ptmx is not the pty multiplexer");
	if (ioctl(c.master, TIOCSPTLCK, &unlock) < 0)
		return err_sys(e, errno, "unlock the terminal");
	c.slave = ioctl(c.master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (c.slave < 0)
		return err_sys(e, errno, "open the terminal's other end");
	if (!is_pty(c.slave, false))
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "the terminal's other end is not on a devpts");
	*ret = (struct console){ TAKE_FD(c.master), TAKE_FD(c.slave), c.is_inside };
	return 0;
}

int console_bind(const struct console *c, int rootfd, struct err *e)
{
	AUTO_FD int dev = path_open(rootfd, "/dev", O_PATH | O_DIRECTORY, 0);
	struct stat st;

	if (dev == -ENOENT)
		return 0;
	if (dev < 0)
		return err_sys(e, -dev, "open /dev");
	int made =
		openat(dev, "console", O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (made < 0 && errno != EEXIST)
		return err_sys(e, errno, "make /dev/console");
	if (made >= 0)
		close(made);
	AUTO_FD int target = openat(dev, "console", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (target < 0 || fstat(target, &st) < 0)
		return err_sys(e, errno, "open /dev/console");
	if (S_ISLNK(st.st_mode))
		return err_set(e, ERR_INVALID_ARGUMENT, "/dev/console is a link");
	int r = mount_api_bind(c->slave, target);
	if (r < 0)
		return err_sys(e, -r, "mount the terminal at /dev/console");
	return 0;
}

int console_become(const struct console *c, unsigned short rows, unsigned short columns,
		   struct err *e)
{
	struct winsize size = { .ws_row = rows, .ws_col = columns };

	if (rows && columns && ioctl(c->slave, TIOCSWINSZ, &size) < 0)
		return err_sys(e, errno, "set the terminal's size");
	if (ioctl(c->slave, TIOCSCTTY, 0) < 0)
		return err_sys(e, errno, "set the controlling terminal");
	for (int fd = 0; fd < 3; fd++)
		if (dup3(c->slave, fd, 0) < 0)
			return err_sys(e, errno, "connect the terminal");
	return 0;
}

void console_make_plain(int master)
{
	struct termios t;

	if (tcgetattr(master, &t) < 0)
		return;
	t.c_oflag &= ~(tcflag_t)ONLCR;
	(void)tcsetattr(master, TCSANOW, &t); /* the text is right without it too */
}
