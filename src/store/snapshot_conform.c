/* One suite for all back ends of snapshots: each must keep every contract of snapshot.h, whatever
 * it does with directories.  Trees are looked at the way a container sees them: mounted.  Needs
 * root (mounts, in a mount namespace of its own). */
#include "store/erofs_mount.h"
#include "store/gc.h"
#include "store/mount_do.h"
#include "store/snapshot.h"
#include "store/store_fixture.h"

#include "base/str.h"
#include "os/fd.h"
#include "os/spawn.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

static const struct labels NONE;

struct env {
	struct fixture f;
	struct snapshot_at at;
	char *mnt;
	char *dir; /* of the back end */
	struct snapshot_options options;
	bool keeps_whole_trees; /* native, btrfs */
};

static int run(const char *const *argv)
{
	const int fds[] = { -1, -1, -1 };
	AUTO_FREE char *path = spawn_find(argv[0]);
	AUTO_FD int pidfd = -1;
	struct spawn sp = { .path = path,
			    .argv = (char *const *)argv,
			    .envp = environ,
			    .cwd_fd = -1,
			    .fds = fds,
			    .n_fds = 3 };
	pid_t pid;
	int status = -1;

	if (!path || spawn_start(&sp, &pidfd, &pid) < 0 || spawn_wait(pidfd, -1, &status) < 0)
		return -1;
	return status;
}

/* A file system of its own for the back end that needs one; gone with our mount namespace. */
static void make_btrfs(struct env *v)
{
	const char *image = arena_printf(v->f.a, "%s/image", v->f.root);
	AUTO_FD int fd = open(image, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	const char *mkfs[] = { "mkfs.btrfs", "-q", image, NULL };
	const char *mnt[] = { "mount", "-o", "loop", image, v->dir, NULL };

	CHECK(fd >= 0 && ftruncate(fd, 128 << 20) == 0 && mkdir(v->dir, 0700) == 0);
	if (run(mkfs) == 0)
		(void)run(mnt); /* else it is left out, with the back end's own reason */
}

/* The empty file system that the back end starts from. */
static void make_scratch(struct env *v)
{
	const char *image = arena_printf(v->f.a, "%s/image", v->f.root);
	AUTO_FD int fd = open(image, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	const char *mkfs[] = { "mkfs.ext4", "-q", image, NULL };

	CHECK(fd >= 0 && ftruncate(fd, 8 << 20) == 0);
	if (run(mkfs) == 0)
		v->options.scratch_file = image;
}

static void reopen(struct env *v)
{
	const struct store_options opt = { &v->options, 1 };
	struct err e = { 0 };

	store_close(v->f.s);
	v->f.s = NULL;
	CHECK_OK(store_open_with(v->f.root, &opt, &v->f.s, &e), &e);
}

static int env_open(struct env *v, const char *snapshotter)
{
	const struct snapshotter_state *states;

	v->f = fixture_open();
	v->at = (struct snapshot_at){ .ns = "default", .snapshotter = snapshotter };
	v->mnt = arena_printf(v->f.a, "%s/mnt", v->f.root);
	v->dir = arena_printf(v->f.a, "%s/own", v->f.root);
	v->options = (struct snapshot_options){ .name = snapshotter, .root_path = v->dir };
	v->keeps_whole_trees = strcmp(snapshotter, "native") == 0 ||
			       strcmp(snapshotter, "btrfs") == 0 ||
			       strcmp(snapshotter, "blockfile") == 0;
	CHECK(mkdir(v->mnt, 0700) == 0);
	if (strcmp(snapshotter, "btrfs") == 0)
		make_btrfs(v);
	if (strcmp(snapshotter, "blockfile") == 0)
		make_scratch(v);
	reopen(v);
	for (size_t i = 0; i < snapshotter_list(v->f.s, &states); i++)
		if (strcmp(states[i].name, snapshotter) == 0 && *states[i].error) {
			printf("# skip %s: %s\n", snapshotter, states[i].error);
			return 0;
		}
	return 1;
}

static void mount_up(struct env *v, const struct mounts *m)
{
	AUTO_STR struct str data = STR_INIT(1 << 16);
	unsigned long flags = 0;

	CHECK(m->n == 1);
	if (strcmp(m->v[0].type, "ext4") == 0) { /* over a loop device, as a client does it */
		struct err e = { 0 };

		CHECK_OK(mount_do(&m->v[0], v->mnt, &e), &e);
		return;
	}
	for (size_t i = 0; i < m->v[0].noptions; i++) {
		const char *o = m->v[0].options[i];

		if (strcmp(o, "ro") == 0)
			flags |= MS_RDONLY;
		else if (strcmp(o, "rbind") == 0)
			flags |= MS_BIND | MS_REC;
		else if (strcmp(o, "rw") != 0)
			str_addf(&data, "%s%s", data.len ? "," : "", o);
	}
	CHECK(mount(m->v[0].source, v->mnt, m->v[0].type, flags & ~MS_RDONLY, str_c(&data)) == 0);
	if (flags & MS_RDONLY)
		CHECK(mount(NULL, v->mnt, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) == 0);
}

static void unmount(struct env *v)
{
	CHECK(umount2(v->mnt, 0) == 0);
}

static void write_file(struct env *v, const char *name, const char *text)
{
	AUTO_FREE char *path = xasprintf("%s/%s", v->mnt, name);
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	CHECK(fd >= 0 && fd_write_all(fd, text, strlen(text)) == 0);
}

/* NULL: it is not there. */
static const char *read_back(struct env *v, const char *name)
{
	AUTO_FREE char *path = xasprintf("%s/%s", v->mnt, name);
	AUTO_FREE char *text = NULL;

	if (file_read(AT_FDCWD, path, 4096, &text, NULL) < 0)
		return NULL;
	return arena_strdup(v->f.a, text);
}

static void prepare(struct env *v, const char *key, const char *parent)
{
	struct mounts m;
	struct err e = { 0 };

	CHECK_OK(snapshot_prepare(v->f.s, &v->at, v->f.a, key, parent, &NONE, &m, &e), &e);
	mount_up(v, &m);
}

static void commit(struct env *v, const char *name, const char *key)
{
	struct err e = { 0 };

	unmount(v);
	CHECK_OK(snapshot_commit(v->f.s, &v->at, name, key, &NONE, &e), &e);
}

static void view(struct env *v, const char *key, const char *parent)
{
	struct mounts m;
	struct err e = { 0 };

	CHECK_OK(snapshot_view(v->f.s, &v->at, v->f.a, key, parent, &NONE, &m, &e), &e);
	mount_up(v, &m);
}

static void drop(struct env *v, const char *key)
{
	struct err e = { 0 };

	unmount(v);
	CHECK_OK(snapshot_remove(v->f.s, &v->at, key, &e), &e);
}

/* base: a, dir/b, link, odd/x.  two: a changed, dir/b removed, c added, odd/ replaced. */
static void make_two_layers(struct env *v)
{
	AUTO_FREE char *dir = xasprintf("%s/dir", v->mnt), *b = xasprintf("%s/dir/b", v->mnt);
	AUTO_FREE char *a = xasprintf("%s/a", v->mnt), *hard = xasprintf("%s/hard", v->mnt);
	AUTO_FREE char *link = xasprintf("%s/link", v->mnt), *dev = xasprintf("%s/dev", v->mnt);
	AUTO_FREE char *odd = xasprintf("%s/odd", v->mnt);

	prepare(v, "k1", "");
	write_file(v, "a", "one");
	CHECK(mkdir(dir, 0750) == 0 && symlink("a", link) == 0);
	CHECK(mknod(dev, S_IFCHR | 0600, makedev(1, 3)) == 0);
	write_file(v, "dir/b", "b");
	CHECK(linkat(AT_FDCWD, a, AT_FDCWD, hard, 0) == 0);
	CHECK(chown(dir, 1000, 2000) == 0 && setxattr(a, "user.x", "y", 1, 0) == 0);
	CHECK(chmod(v->mnt, 0711) == 0 && mkdir(odd, 0700) == 0);
	write_file(v, "odd/x", "x");
	commit(v, "base", "k1");

	prepare(v, "k2", "base");
	CHECK_STR(read_back(v, "a"), "one");
	write_file(v, "a", "two");
	write_file(v, "c", "c");
	CHECK(unlink(b) == 0);
	CHECK(file_remove_tree(AT_FDCWD, odd) == 0 && mkdir(odd, 0700) == 0);
	write_file(v, "odd/y", "y");
	commit(v, "two", "k2");
}

static void check_layers(struct env *v)
{
	AUTO_FREE char *dir = xasprintf("%s/dir", v->mnt), *dev = xasprintf("%s/dev", v->mnt);
	AUTO_FREE char *link = xasprintf("%s/link", v->mnt);
	AUTO_FREE char *a = xasprintf("%s/a", v->mnt), *hard = xasprintf("%s/hard", v->mnt);
	struct stat st, other;
	char buf[8] = "";

	make_two_layers(v);
	view(v, "v1", "base");
	CHECK_STR(read_back(v, "a"), "one");
	CHECK_STR(read_back(v, "dir/b"), "b");
	CHECK(!read_back(v, "c"));
	CHECK(open(a, O_WRONLY) < 0 && errno == EROFS);
	drop(v, "v1");

	view(v, "v2", "two");
	CHECK_STR(read_back(v, "a"), "two");
	CHECK_STR(read_back(v, "c"), "c");
	CHECK(!read_back(v, "dir/b") && !read_back(v, "odd/x"));
	CHECK_STR(read_back(v, "odd/y"), "y");
	CHECK(stat(dir, &st) == 0 && st.st_uid == 1000 && st.st_gid == 2000);
	CHECK((st.st_mode & 07777) == 0750);
	CHECK(stat(v->mnt, &st) == 0 && (st.st_mode & 07777) == 0711);
	CHECK(stat(dev, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
	CHECK(readlink(link, buf, sizeof buf) == 1 && buf[0] == 'a');
	drop(v, "v2");

	view(v, "v3", "base");
	CHECK(getxattr(a, "user.x", buf, sizeof buf) == 1 && buf[0] == 'y');
	CHECK(stat(a, &st) == 0 && stat(hard, &other) == 0 && st.st_ino == other.st_ino);
	drop(v, "v3");
}

static void check_records(struct env *v)
{
	struct store *s = v->f.s;
	struct arena *a = v->f.a;
	struct snapshot_info info;
	struct snapshot_usage use;
	struct mounts m;
	struct err e = { 0 };

	make_two_layers(v);
	CHECK_ERR(snapshot_prepare(s, &v->at, a, "x", "nope", &NONE, &m, &e), &e, ERR_NOT_FOUND,
		  "parent snapshot nope does not exist: not found");
	CHECK_ERR(snapshot_stat(s, &v->at, a, "k1", &info, &e), &e, ERR_NOT_FOUND,
		  "snapshot k1 does not exist: not found");
	CHECK_ERR(snapshot_remove(s, &v->at, "base", &e), &e, ERR_FAILED_PRECONDITION,
		  "cannot remove snapshot with child: failed precondition");
	CHECK_OK(snapshot_stat(s, &v->at, a, "two", &info, &e), &e);
	CHECK(info.kind == SNAPSHOT_COMMITTED);
	CHECK_STR(info.parent, "base");
	CHECK_OK(snapshot_usage(s, &v->at, "two", &use, &e), &e);
	CHECK(use.inodes >= 3 && use.size > 0);
	CHECK_OK(snapshot_prepare(s, &v->at, a, "act", "two", &NONE, &m, &e), &e);
	CHECK_ERR(snapshot_prepare(s, &v->at, a, "act", "two", &NONE, &m, &e), &e,
		  ERR_ALREADY_EXISTS, "snapshot \"act\": already exists");
	CHECK_ERR(snapshot_prepare(s, &v->at, a, "on-act", "act", &NONE, &m, &e), &e,
		  ERR_INVALID_ARGUMENT,
		  "failed to create snapshot: parent \"act\" is not committed snapshot: "
		  "invalid argument");
	CHECK_ERR(snapshot_commit(s, &v->at, "two", "act", &NONE, &e), &e, ERR_ALREADY_EXISTS,
		  "snapshot \"two\": already exists");
	CHECK_OK(snapshot_mounts(s, &v->at, a, "act", &m, &e), &e);
	CHECK(m.n == 1);
	CHECK_OK(snapshot_usage(s, &v->at, "act", &use, &e), &e);

	/* the label of lazy pullers: what is there is not made again */
	struct label lv[] = { { "containerd.io/snapshot.ref", "two" } };
	struct labels labels = { lv, 1 };
	CHECK_ERR(snapshot_prepare(s, &v->at, a, "y", "base", &labels, &m, &e), &e,
		  ERR_ALREADY_EXISTS, "target snapshot \"two\": already exists");

	/* names of other namespaces are other snapshots */
	struct snapshot_at other = { .ns = "other", .snapshotter = v->at.snapshotter };
	CHECK_ERR(snapshot_stat(s, &other, a, "two", &info, &e), &e, ERR_NOT_FOUND,
		  "snapshot two does not exist: not found");

	const char *paths[] = { "labels.k" };
	struct mask mask = { paths, 1 };
	struct label kv[] = { { "k", "v" } };
	struct snapshot_info in = { .name = "two", .labels = { kv, 1 } };
	CHECK_OK(snapshot_update(s, &v->at, a, &in, &mask, &info, &e), &e);
	CHECK_STR(labels_get(&info.labels, "k"), "v");
}

/* A layer that was made beside the one it belongs on. */
static void check_rebase(struct env *v)
{
	struct store *s = v->f.s;
	struct snapshot_info info;
	struct mounts m;
	struct err e = { 0 };

	make_two_layers(v);
	prepare(v, "side", "");
	write_file(v, "side", "s");
	write_file(v, "a", "three");
	unmount(v);
	CHECK_ERR(snapshot_commit_on(s, &v->at, "three", "side", "nope", &NONE, &e), &e,
		  v->keeps_whole_trees ? ERR_UNIMPLEMENTED : ERR_NOT_FOUND,
		  v->keeps_whole_trees
			  ? arena_printf(v->f.a,
					 "snapshotter %s cannot commit on another parent: a "
					 "snapshot holds the whole tree: not implemented",
					 v->at.snapshotter)
			  : "parent snapshot nope does not exist: not found");
	if (v->keeps_whole_trees)
		return;
	CHECK_OK(snapshot_commit_on(s, &v->at, "three", "side", "two", &NONE, &e), &e);
	CHECK_OK(snapshot_stat(s, &v->at, v->f.a, "three", &info, &e), &e);
	CHECK_STR(info.parent, "two");
	CHECK_ERR(snapshot_remove(s, &v->at, "two", &e), &e, ERR_FAILED_PRECONDITION,
		  "cannot remove snapshot with child: failed precondition");
	view(v, "v", "three");
	CHECK_STR(read_back(v, "a"), "three");
	CHECK_STR(read_back(v, "c"), "c");
	drop(v, "v");
	CHECK_OK(snapshot_prepare(s, &v->at, v->f.a, "on", "base", &NONE, &m, &e), &e);
	CHECK_ERR(snapshot_commit_on(s, &v->at, "four", "on", "two", &NONE, &e), &e,
		  ERR_INVALID_ARGUMENT,
		  "failed to commit snapshot on: cannot change parent of active snapshot \"on\" "
		  "on commit: invalid argument");
	CHECK_OK(snapshot_commit_on(s, &v->at, "four", "on", "base", &NONE, &e), &e);
}

static int directories(struct env *v)
{
	AUTO_FREE char *path = xasprintf("%s/snapshots", v->dir);
	DIR *dir = opendir(path);
	int n = 0;

	CHECK(dir);
	for (struct dirent *d; (d = readdir(dir));)
		n += d->d_name[0] != '.';
	closedir(dir);
	return n;
}

static void check_cleanup(struct env *v)
{
	AUTO_FREE char *stray = xasprintf("%s/snapshots/777", v->dir);
	struct snapshot_info info;
	struct mounts m;
	struct gc_stats gc;
	struct err e = { 0 };

	make_two_layers(v);
	CHECK(directories(v) == 2 && mkdir(stray, 0700) == 0);
	reopen(v);
	CHECK(directories(v) == 2); /* no record: left by a crash */
	CHECK_OK(snapshot_stat(v->f.s, &v->at, v->f.a, "two", &info, &e), &e);

	struct label lv[] = { { "containerd.io/gc.root", "now" } };
	struct labels root = { lv, 1 };
	CHECK_OK(snapshot_prepare(v->f.s, &v->at, v->f.a, "kept", "base", &root, &m, &e), &e);
	CHECK_OK(gc_run(v->f.s, NULL, NULL, &gc, &e), &e);
	CHECK(gc.removed == 1 && gc.directories == 1 && directories(v) == 2);
	CHECK_OK(snapshot_stat(v->f.s, &v->at, v->f.a, "base", &info, &e), &e);
	CHECK_OK(snapshot_remove(v->f.s, &v->at, "kept", &e), &e);
	CHECK_OK(snapshot_remove(v->f.s, &v->at, "base", &e), &e);
	CHECK_OK(snapshot_cleanup(v->f.s, v->at.snapshotter, &e), &e);
	CHECK(directories(v) == 0);
}

/* Filled through directories, as the unpacker does, and seen through mounts. */
static void check_dirs(struct env *v)
{
	struct snapshot_dirs d, again;
	struct mounts m;
	struct err e = { 0 };

	make_two_layers(v);
	CHECK_OK(snapshot_prepare(v->f.s, &v->at, v->f.a, "k3", "two", &NONE, &m, &e), &e);
	CHECK_OK(snapshot_open_dirs(v->f.s, &v->at, "k3", &d, &e), &e);
	int fd = openat(d.upper, "new", O_WRONLY | O_CREAT, 0644);
	CHECK(fd >= 0 && fd_write_all(fd, "n", 1) == 0);
	close(fd);
	if (d.whiteout == WHITEOUT_OVERLAY) {
		CHECK(d.nlowers == 2 && faccessat(d.lowers[0], "c", F_OK, 0) == 0);
		CHECK(mknodat(d.upper, "a", S_IFCHR, 0) == 0);
	} else {
		CHECK(d.nlowers == 0 && unlinkat(d.upper, "a", 0) == 0);
	}
	CHECK_OK(snapshot_open_mounts(v->f.s, &m, &again, &e), &e);
	CHECK(again.nlowers == d.nlowers && again.whiteout == d.whiteout);
	CHECK(faccessat(again.upper, "new", F_OK, 0) == 0);
	snapshot_dirs_done(&again);
	snapshot_dirs_done(&d);

	mount_up(v, &m);
	CHECK_STR(read_back(v, "new"), "n");
	CHECK_STR(read_back(v, "c"), "c");
	CHECK(!read_back(v, "a"));
	unmount(v);

	struct mount foreign = { .type = "bind", .source = "/etc", .target = "" };
	struct mounts bad = { &foreign, 1 };
	CHECK_ERR(snapshot_open_mounts(v->f.s, &bad, &again, &e), &e, ERR_INVALID_ARGUMENT,
		  "mount of /etc: not a snapshot of this store: invalid argument");
}

static void on_each(void (*test)(struct env *))
{
	static const char *const names[] = { "overlayfs", "native", "btrfs", "erofs", "blockfile" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct env v;

		if (env_open(&v, names[i]))
			test(&v);
		store_close(v.f.s);
		v.f.s = NULL;
		(void)umount2(v.dir, MNT_DETACH); /* if anything is there */
		fixture_close(&v.f);
	}
}

__attribute__((constructor)) static void private_mounts(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		_exit(77); /* meson: skipped */
}

/* A tree with something mounted in it stays whole, even when that has the same device. */
TEST(removal_stops_at_mounts)
{
	char root[] = "/tmp/casco-mount-XXXXXX";

	CHECK(mkdtemp(root));
	AUTO_FREE char *tree = xasprintf("%s/tree", root), *inside = xasprintf("%s/tree/m", root);
	AUTO_FREE char *kept = xasprintf("%s/kept", root), *file = xasprintf("%s/kept/f", root);

	CHECK(file_mkdirs(inside, 0700) == 0 && file_mkdirs(kept, 0700) == 0);
	CHECK(file_replace(AT_FDCWD, file, "", 0, 0600, false) == 0);
	CHECK(mount(kept, inside, NULL, MS_BIND, NULL) == 0);
	CHECK(file_remove_tree(AT_FDCWD, tree) == -EBUSY && access(file, F_OK) == 0);
	CHECK(file_remove_tree(AT_FDCWD, inside) == -EBUSY && access(file, F_OK) == 0);
	CHECK(umount2(inside, 0) == 0);
	CHECK(file_remove_tree(AT_FDCWD, root) == 0);
}

/* Where the kernel can't mount a file: over a loop device. */
TEST(erofs_over_a_loop_device)
{
	char root[] = "/tmp/casco-erofs-XXXXXX";
	struct err e = { 0 };

	CHECK(mkdtemp(root));
	AUTO_FD int dirfd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(mkdirat(dirfd, "tree", 0700) == 0);
	CHECK(file_replace(dirfd, "tree/f", "text", 4, 0600, false) == 0);
	AUTO_FREE char *mkfs = spawn_find("mkfs.erofs");
	if (mkfs) {
		CHECK_OK(erofs_make(dirfd, "tree", "image", &e), &e);
		AUTO_FREE char *text = NULL;
		AUTO_FD int tree = erofs_open_loop(dirfd, "image", &e);

		CHECK_OK(tree, &e);
		CHECK(file_read(tree, "f", 10, &text, NULL) == 0 && strcmp(text, "text") == 0);
		CHECK_FAIL(erofs_make(dirfd, "absent", "image", &e), &e, ERR_UNKNOWN);
		CHECK(strncmp(e.msg, "mkfs.erofs: exit status ", 24) == 0);
	}
	CHECK(file_remove_tree(AT_FDCWD, root) == 0);
}

TEST(layers)
{
	on_each(check_layers);
}

TEST(rebase)
{
	on_each(check_rebase);
}

TEST(records)
{
	on_each(check_records);
}

TEST(cleanup)
{
	on_each(check_cleanup);
}

TEST(dirs)
{
	on_each(check_dirs);
}

/* A layer whose journal was not played back, as a loss of power leaves it: read-only mounts of it
 * fail. */
TEST(blockfile_repairs_what_was_not_unmounted)
{
	struct env v;
	struct err e = { 0 };
	struct snapshot_dirs d;
	struct mounts m;
	AUTO_FREE char *dirty = NULL, *text = NULL;
	size_t n;

	if (env_open(&v, "blockfile")) {
		AUTO_FREE char *block = xasprintf("%s/snapshots/1/block", v.dir);
		prepare(&v, "k", "");
		write_file(&v, "f", "text");
		AUTO_FD int top = open(v.mnt, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		CHECK(top >= 0 && syncfs(top) == 0);
		CHECK(file_read(AT_FDCWD, block, 16 << 20, &dirty, &n) == 0);
		close_fd(&top);
		commit(&v, "base", "k");

		AUTO_FD int file = open(block, O_WRONLY | O_CLOEXEC);
		CHECK(file >= 0 && fd_write_all(file, dirty, n) == 0);
		close_fd(&file);
		CHECK_OK(snapshot_view(v.f.s, &v.at, v.f.a, "look", "base", &NONE, &m, &e), &e);
		mount_up(&v, &m); /* a client's */
		CHECK_STR(read_back(&v, "f"), "text");
		unmount(&v);
		CHECK_OK(snapshot_open_dirs(v.f.s, &v.at, "look", &d, &e), &e);
		CHECK(file_read(d.upper, "f", 16, &text, NULL) == 0 && !strcmp(text, "text"));
		CHECK(openat(d.upper, "g", O_WRONLY | O_CREAT, 0600) < 0 && errno == EROFS);
		snapshot_dirs_done(&d);
		mount_up(&v, &m);
		CHECK_STR(read_back(&v, "f"), "text");
		unmount(&v);
	}
	fixture_close(&v.f);
}

/* Two devices of one file would not see each other's writes. */
TEST(blockfile_is_read_while_it_is_written)
{
	struct env v;
	struct err e = { 0 };
	struct mounts m;

	if (env_open(&v, "blockfile")) {
		AUTO_FREE char *here = xasprintf("%s/here", v.f.root), *f = xasprintf("%s/f", here);
		AUTO_FREE char *text = NULL;

		CHECK(mkdir(here, 0700) == 0);
		prepare(&v, "k", "");
		CHECK_OK(snapshot_commit(v.f.s, &v.at, "base", "k", &NONE, &e), &e);
		write_file(&v, "f", "later"); /* the container goes on */
		CHECK_OK(snapshot_view(v.f.s, &v.at, v.f.a, "look", "base", &NONE, &m, &e), &e);
		CHECK_OK(mount_do(&m.v[0], here, &e), &e);
		CHECK(file_read(AT_FDCWD, f, 16, &text, NULL) == 0 && !strcmp(text, "later"));
		CHECK(open(f, O_WRONLY | O_CLOEXEC) < 0 && errno == EROFS);
		CHECK_OK(mount_undo(here, &e), &e);
		unmount(&v);
	}
	fixture_close(&v.f);
}
