/* Runs as root: the mounts are real. */
#include "cmd/ctr/mounts.h"

#include "base/test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

enum { LAYERS = 100 };

static Containerd__Types__Mount make(const char *type, const char *source, char **options, size_t n)
{
	Containerd__Types__Mount m = CONTAINERD__TYPES__MOUNT__INIT;

	m.type = PB(type);
	m.source = PB(source);
	m.options = options;
	m.n_options = n;
	return m;
}

static bool is_there(const char *folder, const char *name)
{
	int dir AUTO_FD = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return dir >= 0 && faccessat(dir, name, F_OK, 0) == 0;
}

static bool is_read_only(const char *folder)
{
	int dir AUTO_FD = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return mkdirat(dir, "new", 0755) < 0 && errno == EROFS;
}

/* Names that together are longer than the page that mount(2) takes. */
static void make_layers(struct arena *a, const char *dir, struct str *lower)
{
	char *all = arena_printf(a, "%s/a-rather-long-name-of-a-folder-for-the-layers", dir);

	CHECK(mkdir(all, 0755) == 0);
	for (int i = 0; i < LAYERS; i++) {
		char *layer = arena_printf(a, "%s/%d", all, i);

		CHECK(mkdir(layer, 0755) == 0);
		CHECK(mkdir(arena_printf(a, "%s/from-%d", layer, i), 0755) == 0);
		str_addf(lower, "%s%s", i ? ":" : "lowerdir=", layer);
	}
}

TEST(many_layers)
{
	struct arena *a AUTO_ARENA = arena_new();
	struct str lower AUTO_STR = STR_INIT(64 << 10);
	struct err e = { 0 };
	char dir[] = "/tmp/mounts-XXXXXX", *target;

	CHECK(mkdtemp(dir));
	CHECK(mount("none", dir, "tmpfs", 0, NULL) == 0);
	target = arena_printf(a, "%s/target", dir);
	CHECK(mkdir(target, 0755) == 0);
	make_layers(a, dir, &lower);
	CHECK(lower.len > 4096);

	char *options[] = { PB(str_c(&lower)) };
	Containerd__Types__Mount m = make("overlay", "overlay", options, 1), *v[] = { &m };

	CHECK_OK(mounts_perform(a, v, 1, target, &e), &e);
	CHECK(is_there(target, "from-0") && is_there(target, "from-99"));
	CHECK(is_read_only(target));
	CHECK_OK(mounts_undo(target, &e), &e);
	CHECK(!is_there(target, "from-0"));
	CHECK_OK(mounts_undo(target, &e), &e); /* nothing left is fine */
	CHECK(umount2(dir, MNT_DETACH) == 0 && rmdir(dir) == 0);
}

TEST(bind_is_read_only)
{
	struct arena *a AUTO_ARENA = arena_new();
	struct err e = { 0 };
	char dir[] = "/tmp/mounts-XXXXXX", *target, *source;
	char *options[] = { PB("rbind"), PB("ro") }, *bad[] = { PB("no-such-option") };

	CHECK(mkdtemp(dir));
	CHECK(mount("none", dir, "tmpfs", 0, NULL) == 0);
	target = arena_printf(a, "%s/target", dir);
	source = arena_printf(a, "%s/source", dir);
	CHECK(mkdir(target, 0755) == 0 && mkdir(source, 0755) == 0);

	Containerd__Types__Mount m = make("bind", source, options, 2);
	Containerd__Types__Mount wrong = make("tmpfs", "x", bad, 1), *v[] = { &m, &wrong };

	CHECK_OK(mounts_perform(a, v, 1, target, &e), &e);
	CHECK(is_read_only(target) && !is_read_only(source));
	CHECK_OK(mounts_undo(target, &e), &e);
	/* what was made before a failure goes again */
	CHECK_FAIL(mounts_perform(a, v, 2, target, &e), &e, ERR_UNKNOWN);
	CHECK(!is_read_only(target));
	CHECK(umount2(dir, MNT_DETACH) == 0 && rmdir(dir) == 0);
}
