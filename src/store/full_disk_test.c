/* A full disk (a small tmpfs; needs root): clear errors, nothing left behind, and the store goes on
 * when there is room again. */
#include "os/fd.h"
#include "store/content.h"
#include "store/image.h"
#include "store/snapshot.h"
#include "store/store_fixture.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>

static const char DIGEST[] =
	"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

__attribute__((constructor)) static void private_mounts(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		_exit(77); /* meson: skipped */
}

static struct fixture small_open(void)
{
	struct fixture f = { .root = "/tmp/casco-store-XXXXXX", .a = arena_new() };

	CHECK(mkdtemp(f.root));
	CHECK(mount("tmpfs", f.root, "tmpfs", 0, "size=2m,mode=700") == 0);
	fixture_reopen(&f);
	return f;
}

static void small_close(struct fixture *f)
{
	store_close(f->s);
	arena_free(f->a);
	CHECK(umount2(f->root, 0) == 0 && rmdir(f->root) == 0);
}

static int count(const struct ingest_status *st UNUSED, void *arg, struct err *e UNUSED)
{
	++*(int *)arg;
	return 0;
}

TEST(ingest)
{
	CLEANUP(small_close) struct fixture f = small_open();
	AUTO_FREE char *block = xcalloc(1, 65536);
	struct ingest *in;
	struct err e = { 0 };
	int r = 0, n = 0;

	CHECK_OK(ingest_open(f.s, "default", NULL, "big", 0, NULL, &in, &e), &e);
	for (int i = 0; i < 64 && r == 0; i++)
		r = ingest_write(in, block, 65536, &e);
	CHECK(r < 0 && e.errnum == ENOSPC);
	CHECK_STR(e.msg, "write ingest big: no space left on device");
	err_clear(&e);
	ingest_close(in);
	CHECK_OK(ingest_list(f.s, "default", f.a, count, &n, &e), &e);
	CHECK(n == 0);

	CHECK_OK(ingest_open(f.s, "default", NULL, "small", 0, NULL, &in, &e), &e);
	CHECK_OK(ingest_write(in, block, 65536, &e), &e);
	CHECK_OK(ingest_commit(in, 65536, NULL, NULL, NULL, &e), &e);
	ingest_close(in);
}

TEST(metadata)
{
	CLEANUP(small_close) struct fixture f = small_open();
	AUTO_FREE char *path = xasprintf("%s/ballast", f.root);
	AUTO_FREE char *block = xcalloc(1, 65536);
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	struct image_record in = { .target = { "m", DIGEST, 1, { 0 } } }, out;
	static const struct labels none;
	struct snapshot_at at = { "default", NULL, "native" };
	struct err e = { 0 };
	struct mounts m;
	int r = 0, made = 0;

	while (fd_write_all(fd, block, 4096) == 0)
		;
	for (; made < 2000 && r == 0; made += r == 0) {
		in.name = arena_printf(f.a, "image-%d", made);
		r = image_create(f.s, "default", NULL, f.a, &in, &out, &e);
	}
	CHECK(r < 0 && strstr(e.msg, "no space left on device"));
	err_clear(&e);
	CHECK_FAIL(snapshot_prepare(f.s, &at, f.a, "k", "", &none, &m, &e), &e, ERR_UNKNOWN);
	CHECK(strstr(e.msg, "no space left on device"));
	err_clear(&e);

	CHECK(ftruncate(fd, 0) == 0);
	in.name = "after";
	CHECK_OK(image_create(f.s, "default", NULL, f.a, &in, &out, &e), &e);
	for (int i = 0; i < made; i++)
		CHECK_OK(image_get(f.s, "default", f.a, arena_printf(f.a, "image-%d", i), &out, &e),
			 &e);
	CHECK_OK(snapshot_prepare(f.s, &at, f.a, "k", "", &none, &m, &e), &e);
}
