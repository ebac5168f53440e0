/* A container's process is, until its execve, a copy of the program that made it, and can get at
 * that program as /proc/self/exe: through an entry point "#!/proc/self/exe", or from a process that
 * sees it there.  So the program that makes containers must be one that nobody can write: a copy
 * of its mount, read-only and attached nowhere, or a sealed copy of its bytes.  The protected one
 * is known by looking at what it is, never by argv or environment, which anybody can set. */
#include "runtime/runtime.h"

#include "base/log.h"
#include "base/num.h"
#include "os/fd.h"
#include "os/syscall.h"
#include "runtime/entry.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif
#define ALL_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

#define SELF "/proc/self/exe"

/* The clone of one file as a mount of its own shows it as the root of everything: no file of a
 * mount that has a place anywhere is called "/". */
static bool is_detached_readonly(void)
{
	struct statvfs fs;
	char link[8];

	return readlink(SELF, link, sizeof link) == 1 && link[0] == '/' &&
	       statvfs(SELF, &fs) == 0 && (fs.f_flag & ST_RDONLY);
}

static bool is_sealed(void)
{
	AUTO_FD int fd = open(SELF, O_RDONLY | O_CLOEXEC);

	return fd >= 0 && fcntl(fd, F_GET_SEALS) == (ALL_SEALS);
}

static int open_clone(void)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };
	AUTO_FD int fd = sys_open_tree(AT_FDCWD, SELF, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd < 0)
		return fd;
	int r = sys_mount_setattr(fd, "", AT_EMPTY_PATH, &attr);
	return r < 0 ? r : TAKE_FD(fd);
}

static int open_sealed_copy(void)
{
	AUTO_FD int in = open(SELF, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (in < 0 || fstat(in, &st) < 0)
		return -errno;
	AUTO_FD int out = memfd_create("runtime", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	if (out < 0 && errno == EINVAL) /* before 6.3 */
		out = memfd_create("runtime", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (out < 0 || fchmod(out, 0500) < 0)
		return -errno;
	for (off_t left = st.st_size; left > 0;) {
		ssize_t n = sendfile(out, in, NULL, (size_t)left);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		left -= n;
	}
	if (fcntl(out, F_ADD_SEALS, ALL_SEALS) < 0)
		return -errno;
	return TAKE_FD(out);
}

/* Without execveat: by the name that the fd has. */
static void execve_fd(int fd, char **argv)
{
	char path[32];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	execve(path, argv, environ);
}

/* The descriptor of the clone, as entry.c left or executed it: without close-on-exec. */
static int own_mount = -1;

static void take_own_mount(void)
{
	const char *name =
		(const char *)getauxval(AT_EXECFN); /* NOLINT(performance-no-int-to-ptr) */
	uint32_t fd;

	if (&entry_mount && entry_mount >= 0)
		own_mount = entry_mount;
	else if (name && strncmp(name, "/dev/fd/", 8) == 0 && num_u32(name + 8, &fd) == 0)
		own_mount = (int)fd;
	if (own_mount >= 0 && fd_set_cloexec(own_mount, true) < 0)
		own_mount = -1; /* the program was executed with close-on-exec */
}

void runtime_release_self(void)
{
	close_fd(&own_mount);
	own_mount = -1;
}

int runtime_protect_self(char **argv, struct err *e)
{
	static const char empty[] = "";
	const char *name = strrchr(argv[0], '/');

	if (!is_detached_readonly() && !is_sealed()) {
		AUTO_FD int fd = open_clone();

		if (fd < 0) /* no CAP_SYS_ADMIN, or before 5.12 */
			fd = open_sealed_copy();
		if (fd < 0)
			return err_sys(e, -fd, "protect our own program");
		syscall(SYS_execveat, fd, empty, argv, environ, AT_EMPTY_PATH);
		if (errno == ENOSYS || errno == EPERM)
			execve_fd(fd, argv);
		return err_sys(e, errno, "execute our protected program");
	}
	take_own_mount();
	(void)prctl(PR_SET_NAME, name ? name + 1 : argv[0], 0, 0, 0); /* only for ps */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_sys(e, errno, "become undumpable");
	log_debug(LOG_NONE, "runc exeseal: using /proc/self/exe clone"); /* its tests look for it */
	return 0;
}
