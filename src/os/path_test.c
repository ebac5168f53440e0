#include "os/path.h"

#include "base/mem.h"
#include "base/test.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

/* ROOT/{etc/passwd, abs -> /etc, up -> ../../../../etc, dangling -> /new/dir, loop -> loop,
 * file -> etc/passwd} and, beside it, a file that must stay out of reach. */
static int make_root(char *path)
{
	CHECK(mkdtemp(path));
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK(mkdirat(fd, "root", 0755) == 0 && mkdirat(fd, "etc", 0755) == 0);
	CHECK(file_replace(fd, "etc/passwd", "outside", 7, 0644, false) == 0);
	int root = openat(fd, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(root >= 0);
	close(fd);
	CHECK(mkdirat(root, "etc", 0755) == 0);
	CHECK(file_replace(root, "etc/passwd", "inside", 6, 0644, false) == 0);
	CHECK(symlinkat("/etc", root, "abs") == 0);
	CHECK(symlinkat("../../../../etc", root, "up") == 0);
	CHECK(symlinkat("/new/dir", root, "dangling") == 0);
	CHECK(symlinkat("loop", root, "loop") == 0);
	CHECK(symlinkat("etc/passwd", root, "file") == 0);
	return root;
}

static void check_reads(int root, const char *path, const char *want)
{
	char buf[16] = "";
	AUTO_FD int fd = path_open(root, path, O_RDONLY, 0);

	if (fd < 0)
		FAIL_("%s: %s", path, err_errno_text(-fd));
	CHECK(read(fd, buf, sizeof buf - 1) >= 0);
	CHECK_STR(buf, want);
}

static void check_root(int forced)
{
	char path[] = "/tmp/casco-path-XXXXXX";
	AUTO_FD int root = make_root(path);

	path_force_openat2_errno(forced);
	static const char *const all[] = { "etc/passwd", "/etc/passwd",      "abs/passwd",
					   "up/passwd",  "../../etc/passwd", "etc/../../etc/passwd",
					   "file",       "./etc/./passwd" };
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		check_reads(root, all[i], "inside");
	CHECK(path_open(root, "loop", O_RDONLY, 0) == -ELOOP);
	CHECK(path_open(root, "file", O_RDONLY | O_NOFOLLOW, 0) == -ELOOP);
	CHECK(path_open(root, "dangling", O_RDONLY, 0) == -ENOENT);
	CHECK(path_open(root, "etc/passwd/x", O_RDONLY, 0) == -ENOTDIR);

	AUTO_FD int made = path_mkdirs(root, "dangling/below", 0755);
	CHECK(made >= 0 && faccessat(root, "new/dir/below", F_OK, 0) == 0);
	AUTO_FD int created = path_open(root, "abs/created", O_WRONLY | O_CREAT | O_EXCL, 0600);
	CHECK(created >= 0 && faccessat(root, "etc/created", F_OK, 0) == 0);
	AUTO_FD int file = path_mkfile(root, "dangling/on/the/way", 0600);
	CHECK(file >= 0 && faccessat(root, "new/dir/on/the/way", F_OK, 0) == 0);
	CHECK(symlinkat("../../../new/file", root, "etc/last") == 0);
	AUTO_FD int behind = path_mkfile(root, "etc/last", 0600);
	CHECK(behind >= 0 && faccessat(root, "new/file", F_OK, 0) == 0);
	AUTO_FD int there = path_mkfile(root, "etc/passwd", 0600);
	CHECK(there >= 0);
	CHECK(path_mkfile(root, "loop", 0600) == -ELOOP);
	const char *name;
	AUTO_FD int parent = path_open_parent(root, "/fresh/sub/leaf", true, &name);
	CHECK(parent >= 0 && faccessat(root, "fresh/sub", F_OK, 0) == 0);
	CHECK_STR(name, "leaf");
	CHECK(path_open_parent(root, "etc/..", false, &name) == -EINVAL);
	path_force_openat2_errno(0);
	CHECK(file_remove_tree(AT_FDCWD, path) == 0);
}

TEST(paths_stay_in_the_root)
{
	check_root(0);
}

TEST(paths_stay_in_the_root_without_openat2)
{
	check_root(ENOSYS);
	check_root(EPERM);
}

static void check_magic(int forced)
{
	AUTO_FD int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);

	path_force_openat2_errno(forced);
	AUTO_FREE char *path = xasprintf("%d/root", (int)getpid());
	int r = path_open(proc, path, O_PATH, 0);
	if (r != -ELOOP)
		FAIL_("root link: %d", r);
	CHECK(path_open(proc, "thread-self/fd/0", O_RDONLY, 0) < 0);
	path_force_openat2_errno(0);
}

TEST(magic_links_are_refused)
{
	check_magic(0);
	check_magic(ENOSYS);
}
