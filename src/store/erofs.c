/* erofs: a committed layer is one read-only image, mounted where an overlay expects its folder.
 *
 *   N/fs               active: the upper folder; committed: mount point of the image
 *   N/layer.erofs.new  made before the record says committed
 *   N/layer.erofs      the same after it: nothing else is needed of the layer
 *
 * Images are mounted when somebody asks for mounts or folders, so after a reboot, too; they stay
 * mounted until the layer goes or the daemon ends in good order. */
#include "store/erofs_mount.h"
#include "store/overlay.h"

#include "base/num.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/spawn.h"
#include "os/syscall.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define IMAGE "layer.erofs"
#define IMAGE_NEW "layer.erofs.new"

enum { MOUNTS_MAX = 64 << 20 };

static int probe(struct snapshotter *sn, struct err *e)
{
	AUTO_FREE char *mkfs = spawn_find("mkfs.erofs");
	AUTO_FD int fs = sys_fsopen("erofs", FSOPEN_CLOEXEC);

	if (fs < 0)
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "EROFS unsupported, please `modprobe erofs`");
	if (!mkfs)
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "mkfs.erofs is missing: it is in the package erofs-utils");
	return overlay_probe(sn->fd, e);
}

static int open_number(const struct snapshotter *sn, uint64_t number)
{
	char name[24];

	snprintf(name, sizeof name, "%llu", (unsigned long long)number);
	int fd = openat(sn->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int seal(const struct snapshotter *sn, const struct layers *l, struct snapshot_usage *usage,
		struct err *e)
{
	AUTO_FD int dirfd = open_number(sn, l->number);
	struct stat st;

	if (dirfd < 0)
		return err_sys(e, -dirfd, "open snapshot directory");
	if (erofs_make(dirfd, "fs", IMAGE_NEW, e) < 0)
		return err_wrap(e, "failed to convert snapshot to erofs");
	if (fstatat(dirfd, IMAGE_NEW, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, errno, "stat " IMAGE_NEW);
	usage->size = st.st_blocks * 512;
	return 0;
}

/* Whatever fails here costs disk, no more: the folder is as good as the image. */
/* Whether a mounted overlay writes there.  Its upper folder's name goes by its end: the kernel's
 * list escapes some letters of paths. */
static bool is_written(uint64_t number)
{
	AUTO_FREE char *text = NULL;
	AUTO_FREE char *upper = xasprintf("/%llu/fs,workdir=", (unsigned long long)number);

	if (file_read(AT_FDCWD, "/proc/self/mountinfo", MOUNTS_MAX, &text, NULL) < 0)
		return true; /* not known */
	return strstr(text, upper);
}

static void sealed(const struct snapshotter *sn, const struct layers *l)
{
	AUTO_FD int dirfd = open_number(sn, l->number);

	if (dirfd < 0 || renameat(dirfd, IMAGE_NEW, dirfd, IMAGE) < 0)
		return;
	if (is_written(l->number))
		return; /* a container goes on in it; its files stay below the image until the layer
			   goes */
	if (renameat(dirfd, "fs", dirfd, "old") == 0)
		(void)mkdirat(dirfd, "fs", 0755); /* or show() does it */
	(void)file_remove_tree(dirfd, "old");
	(void)file_remove_tree(dirfd, "work");
}

static bool is_shown(int dirfd)
{
	struct statfs s;
	AUTO_FD int fs = openat(dirfd, "fs", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fs >= 0 && fstatfs(fs, &s) == 0 && s.f_type == EROFS_SUPER_MAGIC_V1;
}

static int mount_image(int dirfd, struct err *e)
{
	AUTO_FD int tree = erofs_open(dirfd, IMAGE, e);

	if (tree < 0)
		return -1;
	if (mkdirat(dirfd, "fs", 0755) < 0 && errno != EEXIST)
		return err_sys(e, errno, "create mount point");
	int r = sys_move_mount(tree, "", dirfd, "fs", MOVE_MOUNT_F_EMPTY_PATH);
	return r < 0 ? err_sys(e, -r, "mount " IMAGE) : 0;
}

static int show(const struct snapshotter *sn, uint64_t number, struct err *e)
{
	AUTO_FD int dirfd = open_number(sn, number);

	if (dirfd < 0)
		return err_sys(e, -dirfd, "open snapshot directory");
	if (is_shown(dirfd) || faccessat(dirfd, IMAGE, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (flock(dirfd, LOCK_EX) < 0) /* one mount, whoever asks at the same time */
		return err_sys(e, errno, "lock snapshot directory");
	return is_shown(dirfd) ? 0 : mount_image(dirfd, e);
}

static int discard(const struct snapshotter *sn, const char *name, struct err *e)
{
	AUTO_FREE char *fs = xasprintf("%s/%s/fs", sn->path, name);

	if (umount2(fs, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT)
		return err_sys(e, errno, "unmount %s", fs);
	return 0;
}

static void close_all(const struct snapshotter *sn)
{
	int fd = openat(sn->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct err ignored = { 0 };
	uint64_t number;

	if (!dir) {
		close_fd(&fd);
		return;
	}
	for (struct dirent *d; (d = readdir(dir));)
		if (num_u64(d->d_name, &number) == 0 && discard(sn, d->d_name, &ignored) < 0)
			err_clear(&ignored); /* it stays mounted, which is harmless */
	closedir(dir);
}

const struct snapshotter_ops erofs_ops = {
	.name = "erofs",
	.whiteout = WHITEOUT_OVERLAY,
	.has_lowers = true,
	.probe = probe,
	.make = overlay_make,
	.mounts = overlay_mounts,
	.seal = seal,
	.sealed = sealed,
	.show = show,
	.discard = discard,
	.close = close_all,
};
