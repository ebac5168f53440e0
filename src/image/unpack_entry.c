#include "image/unpack_entry.h"

#include "base/mem.h"
#include "image/unpack_parent.h"
#include "image/unpack_walk.h"
#include "os/fd.h"
#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

/* Names of folders whose times are set last: a million of usual ones. */
enum { COPY = 256 * 1024, FOLDER_BYTES_MAX = 64 << 20 };

struct folder_time {
	char *name;
	struct timespec mtime;
};

/* A set of inode numbers: what this layer has brought, where whiteouts must spare it. */
struct inodes {
	uint64_t *v; /* 0: free */
	size_t n, cap;
};

struct unpacker {
	const struct unpack_dirs *d;
	struct parent parent;
	bool has_removed; /* what stood in the entry's way */
	struct folder_time *times;
	size_t n_times, times_cap, times_bytes;
	struct inodes own; /* brought by this layer; for whole trees only */
	struct inodes opaque; /* folders that were made opaque: once is enough */
	char *buf;
};

struct unpacker *unpacker_new(const struct unpack_dirs *dirs)
{
	struct unpacker *u = NEW(struct unpacker);

	u->d = dirs;
	u->buf = xmalloc(COPY);
	return u;
}

void unpacker_free(struct unpacker *u)
{
	if (!u)
		return;
	for (size_t i = 0; i < u->n_times; i++)
		free(u->times[i].name);
	free(u->times);
	parent_forget(&u->parent);
	free(u->own.v);
	free(u->opaque.v);
	free(u->buf);
	free(u);
}

/* --- inode sets ------------------------------------------------------------------------------- */

static size_t slot(const struct inodes *s, uint64_t ino)
{
	size_t i = (size_t)(ino * 0x9e3779b97f4a7c15ull >> 20) & (s->cap - 1);

	while (s->v[i] && s->v[i] != ino)
		i = (i + 1) & (s->cap - 1);
	return i;
}

static bool inodes_has(const struct inodes *s, uint64_t ino)
{
	return s->cap && s->v[slot(s, ino)] == ino;
}

static void inodes_add(struct inodes *s, uint64_t ino)
{
	if (s->n * 2 >= s->cap) {
		struct inodes old = *s;

		s->cap = old.cap ? old.cap * 2 : 1024;
		s->v = xcalloc(s->cap, sizeof *s->v);
		for (size_t i = 0; i < old.cap; i++)
			if (old.v[i])
				s->v[slot(s, old.v[i])] = old.v[i];
		free(old.v);
	}
	size_t i = slot(s, ino);
	s->n += s->v[i] == 0;
	s->v[i] = ino;
}

static void mark_own(struct unpacker *u, int dirfd, const char *leaf)
{
	struct stat st;

	if (fstatat(dirfd, leaf, &st, AT_SYMLINK_NOFOLLOW) == 0)
		inodes_add(&u->own, st.st_ino);
}

/* --- attributes ------------------------------------------------------------------------------- */

static int set_xattrs(int fd, const struct tar_entry *n)
{
	for (size_t i = 0; i < n->n_xattrs; i++) {
		const struct tar_xattr *x = &n->xattrs[i];

		if (!walk_xattr_allowed(x->name))
			continue;
		/* ENOTSUP: the file system has none; the originals go on, too */
		if (fsetxattr(fd, x->name, x->value, x->len, 0) < 0 && errno != ENOTSUP)
			return -errno;
	}
	return 0;
}

/* Order matters: chown clears set-user-ID bits and capabilities. */
static int set_attributes(int fd, const struct tar_entry *n)
{
	if (fchown(fd, n->uid, n->gid) < 0 || fchmod(fd, n->mode) < 0)
		return -errno;
	int r = set_xattrs(fd, n);
	if (r < 0)
		return r;
	return futimens(fd, (struct timespec[]){ n->mtime, n->mtime }) < 0 ? -errno : 0;
}

/* For what cannot be opened without side effects: links and devices, which we have just made. */
static int set_owner_at(int dirfd, const char *leaf, const struct tar_entry *n)
{
	struct timespec t[] = { n->mtime, n->mtime };

	if (fchownat(dirfd, leaf, n->uid, n->gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    utimensat(dirfd, leaf, t, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

/* --- kinds of entries ------------------------------------------------------------------------- */

static int create(int dirfd, const char *leaf, mode_t mode)
{
	return openat(dirfd, leaf, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
}

/* What the file has by its making need not be set. */
static int set_rest(int fd, const struct tar_entry *n, bool has_mode)
{
	struct timespec t[] = { n->mtime, n->mtime };

	if (!has_mode)
		return set_attributes(fd, n);
	if ((n->uid || n->gid) && fchown(fd, n->uid, n->gid) < 0)
		return -errno;
	int r = set_xattrs(fd, n);
	if (r < 0)
		return r;
	return futimens(fd, t) < 0 ? -errno : 0;
}

static int make_room(struct unpacker *u, const struct tar_entry *n, int dirfd, const char *leaf,
		     bool *ret_hidden, struct err *e);

static int make_file(struct unpacker *u, struct tar *t, const struct tar_entry *n, int dirfd,
		     const char *leaf, struct err *e)
{
	bool has_mode = u->parent.is_plain && !(n->mode & 07000), hidden;
	mode_t mode = has_mode ? n->mode : 0600;
	AUTO_FD int fd = create(dirfd, leaf, mode);
	ssize_t got;
	int r;

	if (fd < 0 && errno == EEXIST) {
		if (make_room(u, n, dirfd, leaf, &hidden, e) < 0)
			return -1;
		fd = create(dirfd, leaf, mode);
	}
	if (fd < 0)
		return err_sys(e, errno, "create");
	while ((got = tar_data(t, u->buf, COPY, e)) > 0) {
		r = fd_write_all(fd, u->buf, (size_t)got);
		if (r < 0)
			return err_sys(e, -r, "write");
	}
	if (got < 0)
		return -1;
	r = set_rest(fd, n, has_mode);
	return r < 0 ? err_sys(e, -r, "set attributes") : 0;
}

static int remember_time(struct unpacker *u, const char *name, struct timespec mtime, struct err *e)
{
	u->times_bytes += strlen(name) + sizeof *u->times;
	if (u->times_bytes > FOLDER_BYTES_MAX)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "layer names too many folders");
	GROW(u->times, u->n_times, u->times_cap);
	u->times[u->n_times++] = (struct folder_time){ xstrdup(name), mtime };
	return 0;
}

static int make_folder(struct unpacker *u, const struct tar_entry *n, int dirfd, const char *leaf,
		       const char *name, bool was_hidden, struct err *e)
{
	if (mkdirat(dirfd, leaf, 0700) < 0 && errno != EEXIST)
		return err_sys(e, errno, "mkdir");
	AUTO_FD int fd = openat(dirfd, leaf, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "open");
	int r = set_attributes(fd, n);
	if (r == 0 && was_hidden)
		r = walk_set_opaque(fd);
	if (r < 0)
		return err_sys(e, -r, "set attributes");
	return remember_time(u, name, n->mtime, e);
}

static int make_special(const struct tar_entry *n, int dirfd, const char *leaf, struct err *e)
{
	mode_t kind = n->type == TAR_CHAR ? S_IFCHR : n->type == TAR_BLOCK ? S_IFBLK : S_IFIFO;
	int r;

	if (n->type == TAR_SYMLINK)
		r = symlinkat(n->link, dirfd, leaf);
	else
		r = mknodat(dirfd, leaf, kind | n->mode, makedev(n->major, n->minor));
	if (r < 0)
		return err_sys(e, errno, "create");
	r = set_owner_at(dirfd, leaf, n);
	return r < 0 ? err_sys(e, -r, "set attributes") : 0;
}

/* A file of a lower layer that a hard link names becomes one of ours. from is an O_PATH fd. */
static int copy_up(struct unpacker *u, int from, const char *name, struct err *e)
{
	const char *leaf;
	AUTO_FD int dirfd = walk_parent(u->d, name, true, &leaf);
	char path[32];
	struct stat st;

	if (dirfd < 0)
		return err_sys(e, -dirfd, "open parent of %s", name);
	if (fstat(from, &st) < 0)
		return err_sys(e, errno, "stat %s", name);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "hard link to %s, which is no file of this layer", name);
	snprintf(path, sizeof path, "/proc/self/fd/%d", from);
	AUTO_FD int in = open(path, O_RDONLY | O_CLOEXEC);
	AUTO_FD int out = create(dirfd, leaf, 0600);
	if (in < 0 || out < 0)
		return err_sys(e, errno, "copy %s", name);
	for (;;) {
		ssize_t r = fd_read_all(in, u->buf, COPY);
		int w = r > 0 ? fd_write_all(out, u->buf, (size_t)r) : 0;

		if (r < 0 || w < 0)
			return err_sys(e, r < 0 ? (int)-r : -w, "copy %s", name);
		if (r == 0)
			break;
	}
	int r = walk_copy_attributes(from, out);
	return r < 0 ? err_sys(e, -r, "copy attributes of %s", name) : 0;
}

static int make_hardlink(struct unpacker *u, int dirfd, const char *leaf, const char *target,
			 struct err *e)
{
	for (int tries = 0; tries < 2; tries++) {
		const char *from;
		AUTO_FD int from_dir = walk_parent(u->d, target, false, &from);

		/* No AT_SYMLINK_FOLLOW: a link to a link shares the link itself. */
		if (from_dir >= 0 && linkat(from_dir, from, dirfd, leaf, 0) == 0)
			return 0;
		if (from_dir < 0 && from_dir != -ENOENT)
			return err_sys(e, -from_dir, "link to %s", target);
		if (from_dir >= 0 && errno != ENOENT)
			return err_sys(e, errno, "link to %s", target);

		AUTO_FD int lower = walk_lower(u->d, target);
		if (lower < 0)
			return err_sys(e, -lower, "link to %s", target);
		if (copy_up(u, lower, target, e) < 0)
			return -1;
	}
	return err_sys(e, ENOENT, "link to %s", target);
}

/* Whatever of this name upper has makes room, but for a folder that a folder continues.
 * *ret_hidden: it was a whiteout, so that lower layers must not shine through a new folder. */
static int make_room(struct unpacker *u, const struct tar_entry *n, int dirfd, const char *leaf,
		     bool *ret_hidden, struct err *e)
{
	struct stat st;

	*ret_hidden = false;
	if (fstatat(dirfd, leaf, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_sys(e, errno, "stat");
	if (S_ISDIR(st.st_mode) && n->type == TAR_DIR)
		return 0;
	*ret_hidden = u->d->overlay && walk_is_whiteout(&st);
	u->has_removed = true;
	int r = file_remove_tree(dirfd, leaf);
	return r < 0 ? err_sys(e, -r, "replace") : 0;
}

static int root_entry(struct unpacker *u, const struct tar_entry *n, struct err *e)
{
	if (n->type != TAR_DIR)
		return err_set(e, ERR_INVALID_ARGUMENT, "the root is no folder");
	AUTO_FD int fd = openat(u->d->upper, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? -errno : set_attributes(fd, n);
	return r < 0 ? err_sys(e, -r, "set attributes") : 0;
}

static int make_entry(struct unpacker *u, struct tar *t, const struct tar_entry *n,
		      const char *name, const char *link, struct err *e)
{
	const char *leaf;
	int dirfd = parent_find(&u->parent, u->d, name, &leaf), r;
	bool hidden = false;

	if (dirfd < 0)
		return err_sys(e, -dirfd, "open parent folder");
	if (n->type == TAR_HARDLINK && strcmp(name, link) == 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "hard link to itself");
	if (n->type != TAR_FILE && make_room(u, n, dirfd, leaf, &hidden, e) < 0)
		return -1;
	switch (n->type) {
	case TAR_FILE:
		r = make_file(u, t, n, dirfd, leaf, e);
		break;
	case TAR_DIR:
		r = make_folder(u, n, dirfd, leaf, name, hidden, e);
		break;
	case TAR_HARDLINK:
		r = *link ? make_hardlink(u, dirfd, leaf, link, e)
			  : err_set(e, ERR_INVALID_ARGUMENT, "hard link to the root");
		break;
	default:
		r = make_special(n, dirfd, leaf, e);
	}
	if (r == 0 && !u->d->overlay)
		mark_own(u, dirfd, leaf);
	return r;
}

/* A new folder's attributes are what is_plain says, and what was removed may have been on the way.
 */
static int make_next(struct unpacker *u, struct tar *t, const struct tar_entry *n, const char *name,
		     const char *link, struct err *e)
{
	u->has_removed = false;
	int r = *name ? make_entry(u, t, n, name, link, e) : root_entry(u, n, e);

	if (n->type == TAR_DIR || u->has_removed)
		parent_forget(&u->parent);
	return r;
}

int unpack_entry(struct unpacker *u, struct tar *t, const struct tar_entry *n, const char *name,
		 const char *link, struct err *e)
{
	int r = make_next(u, t, n, name, link, e);

	return r < 0 ? err_wrap(e, "%.200s", *name ? name : "/") : 0; /* room for the cause */
}

/* --- whiteouts -------------------------------------------------------------------------------- */

/* Removes what lower layers brought into a folder of a whole tree and leaves our own, with the
 * folders that lead there. Depth is bounded by the names a layer can have. */
static int clear_folder(struct unpacker *u, int dirfd);

static int clear_one(struct unpacker *u, int dirfd, const char *name)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	bool is_own = inodes_has(&u->own, st.st_ino);
	if (!S_ISDIR(st.st_mode))
		return is_own || unlinkat(dirfd, name, 0) == 0 ? 0 : -errno;

	AUTO_FD int sub = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r = sub < 0 ? -errno : clear_folder(u, sub);

	if (r < 0 || is_own || unlinkat(dirfd, name, AT_REMOVEDIR) == 0 || errno == ENOTEMPTY)
		return r;
	return -errno;
}

static int clear_folder(struct unpacker *u, int dirfd)
{
	int copy = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *d;
	int r = 0;

	if (!dir) {
		r = -errno;
		close_fd(&copy);
		return r;
	}
	while (r == 0 && (d = readdir(dir)))
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			r = clear_one(u, dirfd, d->d_name);
	closedir(dir);
	return r;
}

/* Opaque: once a folder is, all in it is ours; saying it again costs nothing. */
static int make_opaque(struct unpacker *u, int dirfd)
{
	struct stat st;

	if (fstat(dirfd, &st) < 0)
		return -errno;
	if (inodes_has(&u->opaque, st.st_ino))
		return 0;
	inodes_add(&u->opaque, st.st_ino);
	return u->d->overlay ? walk_set_opaque(dirfd) : clear_folder(u, dirfd);
}

/* Hides one name of the lower layers; what this layer itself has brought there stays. */
static int hide(struct unpacker *u, int dirfd, const char *leaf)
{
	struct stat st;
	bool there = fstatat(dirfd, leaf, &st, AT_SYMLINK_NOFOLLOW) == 0;

	if (!there && errno != ENOENT)
		return -errno;
	if (!u->d->overlay)
		return there ? clear_one(u, dirfd, leaf) : 0;
	if (!there)
		return mknodat(dirfd, leaf, S_IFCHR, makedev(0, 0)) < 0 ? -errno : 0;
	if (!S_ISDIR(st.st_mode))
		return 0; /* all that upper has is ours, and a file hides what is below */
	AUTO_FD int sub = openat(dirfd, leaf, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return sub < 0 ? -errno : make_opaque(u, sub);
}

int unpack_whiteout(struct unpacker *u, const char *name, const char *hidden, struct err *e)
{
	const char *leaf;
	int r;

	if (strcmp(hidden, ".wh..opq") != 0 && strncmp(hidden, ".wh.", 4) == 0)
		return 0; /* aufs' own notes (".wh..wh.plnk", …) mean nothing here */
	if (!*hidden || strcmp(hidden, ".") == 0 || strcmp(hidden, "..") == 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid whiteout %s", name);

	parent_forget(&u->parent);
	AUTO_FD int dirfd = walk_parent(u->d, name, true, &leaf);
	if (dirfd < 0)
		return err_sys(e, -dirfd, "open parent folder of %.200s", name);
	if (strcmp(hidden, ".wh..opq") == 0)
		r = make_opaque(u, dirfd);
	else
		r = hide(u, dirfd, hidden);
	return r < 0 ? err_sys(e, -r, "apply whiteout %s", name) : 0;
}

int unpack_finish(struct unpacker *u, struct err *e)
{
	for (size_t i = u->n_times; i-- > 0;) {
		const struct folder_time *f = &u->times[i];
		const char *leaf;
		AUTO_FD int dirfd = walk_parent(u->d, f->name, false, &leaf);
		struct stat st;

		/* A later entry may have replaced it. */
		if (dirfd < 0 || fstatat(dirfd, leaf, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISDIR(st.st_mode))
			continue;
		struct timespec t[] = { f->mtime, f->mtime };
		if (utimensat(dirfd, leaf, t, AT_SYMLINK_NOFOLLOW) < 0)
			return err_sys(e, errno, "set times of %s", f->name);
	}
	return 0;
}
