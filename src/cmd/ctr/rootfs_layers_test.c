/* Runs as root: what the layers are said to hold is compared with what overlayfs shows. */
#include "cmd/ctr/rootfs_layers.h"

#include "base/test.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

/* What is in one layer: of etc, and of etc/passwd. */
enum thing { NOTHING, PLAIN, WHITEOUT, OPAQUE, LINK, REDIRECT, XWHITEOUTS, NOT_A_FOLDER };
struct layer {
	enum thing etc, passwd;
};

static const struct row {
	const char *name;
	struct layer layers[3]; /* the top one first; the first is the upper one */
	enum layers_answer want;
} rows[] = {
	{ "nowhere", { { NOTHING, NOTHING } }, LAYERS_ABSENT },
	{ "in the lowest", { { 0 }, { 0 }, { PLAIN, PLAIN } }, LAYERS_FOUND },
	{ "in the upper", { { PLAIN, PLAIN }, { 0 }, { PLAIN, PLAIN } }, LAYERS_FOUND },
	{ "in the middle",
	  { { PLAIN, NOTHING }, { PLAIN, PLAIN }, { PLAIN, PLAIN } },
	  LAYERS_FOUND },
	{ "removed", { { PLAIN, WHITEOUT }, { 0 }, { PLAIN, PLAIN } }, LAYERS_ABSENT },
	{ "with its folder", { { WHITEOUT, NOTHING }, { 0 }, { PLAIN, PLAIN } }, LAYERS_ABSENT },
	{ "another folder", { { OPAQUE, NOTHING }, { 0 }, { PLAIN, PLAIN } }, LAYERS_ABSENT },
	{ "in another folder", { { OPAQUE, PLAIN }, { 0 }, { PLAIN, PLAIN } }, LAYERS_FOUND },
	{ "a link", { { 0 }, { PLAIN, LINK }, { PLAIN, PLAIN } }, LAYERS_UNKNOWN },
	{ "by a link", { { 0 }, { LINK, NOTHING }, { PLAIN, PLAIN } }, LAYERS_UNKNOWN },
	{ "below a file", { { NOT_A_FOLDER, NOTHING }, { 0 }, { PLAIN, PLAIN } }, LAYERS_UNKNOWN },
	{ "redirected", { { REDIRECT, NOTHING }, { 0 }, { PLAIN, PLAIN } }, LAYERS_UNKNOWN },
	{ "other whiteouts", { { 0 }, { XWHITEOUTS, NOTHING }, { PLAIN, PLAIN } }, LAYERS_UNKNOWN },
};

static void mark(int dir, const char *name, const char *attribute, const char *value)
{
	int fd AUTO_FD = openat(dir, name, O_RDONLY | O_CLOEXEC);

	CHECK(fsetxattr(fd, attribute, value, strlen(value), 0) == 0);
}

static void make_etc(int dir, enum thing etc)
{
	if (etc == WHITEOUT) {
		CHECK(mknodat(dir, "etc", S_IFCHR, makedev(0, 0)) == 0);
	} else if (etc == LINK) {
		CHECK(symlinkat("usr", dir, "etc") == 0);
	} else if (etc == NOT_A_FOLDER) {
		CHECK(mknodat(dir, "etc", S_IFREG | 0644, 0) == 0);
	} else if (etc != NOTHING) {
		CHECK(mkdirat(dir, "etc", 0755) == 0);
		if (etc == OPAQUE)
			mark(dir, "etc", "trusted.overlay.opaque", "y");
		if (etc == XWHITEOUTS)
			mark(dir, "etc", "trusted.overlay.opaque", "x");
		if (etc == REDIRECT)
			mark(dir, "etc", "trusted.overlay.redirect", "/usr");
	}
}

static void make_passwd(int dir, enum thing passwd, const char *text)
{
	if (passwd == WHITEOUT)
		CHECK(mknodat(dir, "etc/passwd", S_IFCHR, makedev(0, 0)) == 0);
	if (passwd == LINK)
		CHECK(symlinkat("group", dir, "etc/passwd") == 0);
	if (passwd != PLAIN)
		return;
	int fd AUTO_FD = openat(dir, "etc/passwd", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

static void make_layer(struct arena *a, const char *top, size_t i, const struct layer *l)
{
	const char *path = arena_printf(a, "%s/%zu", top, i);

	CHECK(mkdir(path, 0755) == 0);
	int dir AUTO_FD = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	make_etc(dir, l->etc);
	make_passwd(dir, l->passwd, path);
}

/* The file's text, "" when it is absent. */
static const char *content(struct arena *a, int fd)
{
	char buf[200];
	ssize_t n = fd < 0 ? 0 : read(fd, buf, sizeof buf);

	CHECK(n >= 0);
	return arena_strndup(a, buf, (size_t)n);
}

static const char *by_overlayfs(struct arena *a, const char *top)
{
	const char *on = arena_printf(a, "%s/on", top), *work = arena_printf(a, "%s/work", top);
	const char *options =
		arena_printf(a, "upperdir=%s/0,lowerdir=%s/1:%s/2,workdir=%s", top, top, top, work);

	CHECK(mkdir(on, 0755) == 0 && mkdir(work, 0755) == 0);
	CHECK(mount("overlay", on, "overlay", 0, options) == 0);
	int fd AUTO_FD = open(arena_printf(a, "%s/etc/passwd", on), O_RDONLY | O_CLOEXEC);
	const char *text = content(a, fd);

	CHECK(umount2(on, MNT_DETACH) == 0);
	return text;
}

static void check_row(struct arena *a, const char *top, const struct row *row)
{
	const char *dir = arena_printf(a, "%s/%s", top, row->name);
	Containerd__Types__Mount m = CONTAINERD__TYPES__MOUNT__INIT;
	char *options[] = { arena_printf(a, "upperdir=%s/0", dir), PB("index=off"),
			    arena_printf(a, "lowerdir=%s/1:%s/2", dir, dir) };
	int fd AUTO_FD = -1;

	CHECK(mkdir(dir, 0755) == 0);
	for (size_t i = 0; i < ARRAY_LEN(row->layers); i++)
		make_layer(a, dir, i, &row->layers[i]);
	m.type = PB("overlay");
	m.options = options;
	m.n_options = ARRAY_LEN(options);
	enum layers_answer got = layers_open(&m, "etc", "passwd", &fd);

	if (got != row->want)
		FAIL_("%s: %d, want %d", row->name, got, row->want);
	if (got != LAYERS_UNKNOWN)
		CHECK_STR(content(a, fd), by_overlayfs(a, dir));
}

TEST(layers_say_what_overlayfs_shows)
{
	AUTO_ARENA struct arena *a = arena_new();
	char top[] = "/tmp/casco-layers-XXXXXX";

	CHECK(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	      mkdtemp(top));
	CHECK(mount("tmpfs", top, "tmpfs", 0, NULL) == 0); /* goes with the namespace */
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check_row(a, top, &rows[i]);
	CHECK(umount2(top, MNT_DETACH) == 0 && rmdir(top) == 0);
}

TEST(some_overlays_need_a_mount)
{
	char *users[] = { PB("lowerdir=/nowhere"), PB("userxattr") };
	char *escaped[] = { PB("lowerdir=/a\\:b") }, *data[] = { PB("lowerdir=/a::/b") };
	char *none[] = { PB("index=off") };
	const struct {
		char **v;
		size_t n;
	} lists[] = { { users, 2 }, { escaped, 1 }, { data, 1 }, { none, 1 } };

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		Containerd__Types__Mount m = CONTAINERD__TYPES__MOUNT__INIT;
		int fd = -1;

		m.options = lists[i].v;
		m.n_options = lists[i].n;
		CHECK(layers_open(&m, "etc", "passwd", &fd) == LAYERS_UNKNOWN && fd == -1);
	}
}
