/* Trees, compared and written as layers, and unpacked again.  Runs as root: owners, devices and an
 * overlay mount are real. */
#include "image/diff.h"

#include "base/mem.h"
#include "base/str.h"
#include "base/test.h"
#include "image/deflate.h"
#include "image/unpack.h"
#include "os/fd.h"
#include "os/file.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <sys/xattr.h>

extern char **environ;

struct place {
	char path[64];
	int top;
};

/* In $PWD; whatever it says goes to the test's output. */
static void shell(const struct place *p, const char *script)
{
	AUTO_FREE char *text = xasprintf("set -e; cd %s; %s", p->path, script);
	char *argv[] = { (char *)"sh", (char *)"-c", text, NULL };
	pid_t pid;
	int status;

	CHECK(posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ) == 0);
	CHECK(waitpid(pid, &status, 0) == pid);
	if (status != 0)
		FAIL_("status %d: %s", status, script);
}

static struct place make_place(void)
{
	struct place p = { .path = "/var/tmp/casco-diff-XXXXXX" };

	CHECK(mkdtemp(p.path));
	p.top = open(p.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(p.top >= 0);
	return p;
}

static void remove_place(struct place *p)
{
	close(p->top);
	CHECK(file_remove_tree(AT_FDCWD, p->path) == 0);
}

static int to_text(void *arg, const void *p, size_t n, UNUSED struct err *e)
{
	str_addn(arg, p, n);
	return 0;
}

/* left "" is nothing. */
static struct str diff_of(const struct place *p, const char *left, const char *right, bool is_upper)
{
	AUTO_FD int l = *left ? openat(p->top, left, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	AUTO_FD int r = openat(p->top, right, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct diff_trees trees = { .left = l, .right = r, .is_upper = is_upper };
	struct str out = STR_INIT(64 << 20);
	struct err e = { 0 };

	CHECK_OK(diff_write(&trees, to_text, &out, &e), &e);
	CHECK(!out.over && out.len % 512 == 0);
	return out;
}

static void apply(const struct place *p, const struct str *layer, const char *to)
{
	AUTO_FD int dir = openat(p->top, to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_FD int fd = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	const struct unpack_dirs d = { .upper = dir };
	struct unpack_result r;
	struct err e = { 0 };

	CHECK(fd >= 0 && fd_write_all(fd, layer->ptr, layer->len) == 0);
	CHECK(lseek(fd, 0, SEEK_SET) == 0);
	CHECK_OK(unpack_layer(fd, "application/vnd.oci.image.layer.v1.tar", &d, &r, &e), &e);
}

/* Names, one a line, as they stand in the archive. */
static void check_names(const struct place *p, const struct str *layer, const char *want)
{
	AUTO_FREE char *got = NULL;

	CHECK(file_replace(p->top, "layer.tar", layer->ptr, layer->len, 0600, false) == 0);
	shell(p, "tar -tf layer.tar > names"); /* another's eyes */
	CHECK(file_read(p->top, "names", 65536, &got, NULL) == 0);
	CHECK_STR(got, want);
}

static const char base[] =
	"mkdir -p left/etc left/gone/deep left/replaced/inner left/same left/to-file left/renamed;"
	"echo a > left/etc/a; echo b > left/etc/b; echo same > left/same/file; echo x > "
	"left/gone/deep/x;"
	"echo y > left/replaced/inner/y; echo keep > left/replaced/keep; echo z > left/to-file/z;"
	"echo r > left/renamed/r; ln -s a left/etc/link; echo t > left/touched; echo f > "
	"left/to-dir;"
	"find left -exec touch -h -d '2020-01-02 03:04:05.5' {} +";

static const char change[] =
	"cd merged; echo changed >> etc/a; rm etc/b; rm -r gone; rm -r replaced; mkdir replaced;"
	"echo keep > replaced/keep; touch -d '2020-01-02 03:04:05.5' replaced/keep;"
	"rm -r to-file; echo now > to-file; rm to-dir; mkdir to-dir; echo in > to-dir/in; mv "
	"renamed moved;"
	"ln etc/a etc/a2; ln -sfn b etc/link; mknod null c 1 3; mkfifo fifo; chmod 4755 etc/a; "
	"chown 70000:3000000 to-file;"
	"mkdir -p long; n=$(printf '%0150d' 7); echo l > long/$n; mkdir -p long/$n-d; echo m > "
	"long/$n-d/$n;"
	"echo u > long/\\303\\251; "
	"truncate -s 3M sparse; printf end >> sparse; touch -d '1960-01-01' old;"
	"chmod 600 touched; chmod 644 touched";

/* The same change seen as an overlay's upper folder and as a whole tree gives the same bytes, and
 * unpacked onto what was there it gives what is there now. */
TEST(one_change_one_layer)
{
	struct place p = make_place();

	shell(&p, base);
	shell(&p, "mkdir upper work merged; mount -t overlay -o "
		  "lowerdir=$PWD/left,upperdir=$PWD/upper,workdir=$PWD/work,"
		  "redirect_dir=off,metacopy=off o merged");
	shell(&p, change);
	AUTO_FREE char *file = xasprintf("%s/merged/etc/a", p.path);
	CHECK(setxattr(file, "user.note", "value", 5, 0) == 0);
	shell(&p, "cp -a merged right; umount merged; cp -a left target");

	AUTO_STR struct str upper = diff_of(&p, "left", "upper", true);
	AUTO_STR struct str whole = diff_of(&p, "left", "right", false);

	CHECK(file_replace(p.top, "upper.tar", upper.ptr, upper.len, 0600, false) == 0);
	CHECK(file_replace(p.top, "whole.tar", whole.ptr, whole.len, 0600, false) == 0);
	shell(&p, "tar -tvf upper.tar > 1; tar -tvf whole.tar > 2; diff 1 2 >&2; cmp upper.tar "
		  "whole.tar");
	apply(&p, &upper, "target");

	AUTO_FREE char *unpacked = xasprintf("%s/target/etc/a", p.path);
	char note[8];
	CHECK(getxattr(unpacked, "user.note", note, sizeof note) == 5);
	AUTO_STR struct str rest = diff_of(&p, "right", "target", false);
	check_names(&p, &rest, "");
	shell(&p,
	      "grep -q 'replaced/.wh.inner' 1; ! grep -q 'same\\|wh..wh' 1; ! grep -q touched 1;"
	      "test -p target/fifo -a -c target/null -a ! -e target/gone -a -d target/to-dir -a -f "
	      "target/to-file;"
	      "test \"$(stat -c %h:%a target/etc/a2)\" = 2:4755; test \"$(stat -c %u:%g "
	      "target/to-file)\" = 70000:3000000;"
	      "test \"$(stat -c %Y target/old)\" -lt 0");
	remove_place(&p);
}

TEST(everything_against_nothing)
{
	struct place p = make_place();

	shell(&p, "mkdir -p a/b; echo 1 > a/b/c; echo 2 > a/.wh.no; mkdir a/empty");
	AUTO_STR struct str all = diff_of(&p, "", "a", false);
	check_names(&p, &all, "b/\nb/c\nempty/\n");
	shell(&p, "touch -d '2020-01-01 00:00:00' a/b/c a/b; cp -a a same; echo 3 > same/b/c; "
		  "touch -d '2020-01-01' same/b/c same/b");
	/* the same size and second: only the bytes say */
	AUTO_STR struct str one = diff_of(&p, "a", "same", false);
	check_names(&p, &one, "b/\nb/c\n");
	remove_place(&p);
}

TEST(bounds)
{
	struct place p = make_place();

	shell(&p, "mkdir a; cd a; for i in $(seq 600); do mkdir d; cd d; done");
	AUTO_FD int r = openat(p.top, "a", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct diff_trees trees = { .left = -1, .right = r };
	AUTO_STR struct str out = STR_INIT(64 << 20);
	struct err e = { 0 };

	CHECK_FAIL(diff_write(&trees, to_text, &out, &e), &e, ERR_RESOURCE_EXHAUSTED);
	remove_place(&p);
}

TEST(compressed_and_back)
{
	static const enum inflate_kind kinds[] = { INFLATE_PLAIN, INFLATE_GZIP, INFLATE_ZSTD };
	enum { N = 3 << 20 };
	AUTO_FREE uint8_t *bytes = xmalloc(N), *back = xmalloc(N + 1);
	struct err e = { 0 };

	for (size_t i = 0; i < N; i++)
		bytes[i] = (uint8_t)(i * i >> 7);
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		AUTO_FD int fd = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		struct deflate *z = deflate_new(fd, kinds[k]);
		uint64_t size;

		for (size_t at = 0; at < N; at += 100000)
			CHECK_OK(
				deflate_write(z, bytes + at, N - at < 100000 ? N - at : 100000, &e),
				&e);
		CHECK_OK(deflate_end(z, &size, &e), &e);
		deflate_free(z);
		CHECK(lseek(fd, 0, SEEK_END) == (off_t)size && lseek(fd, 0, SEEK_SET) == 0);
		CHECK(kinds[k] == INFLATE_PLAIN ? size == N : size < N / 2);

		struct inflate *in = inflate_new(fd, INFLATE_GUESS);
		size_t have = 0;
		ssize_t n;

		while ((n = inflate_read(in, back + have, N + 1 - have, &e)) > 0)
			have += (size_t)n;
		inflate_free(in);
		CHECK(n == 0 && have == N && memcmp(bytes, back, N) == 0);
	}
}
