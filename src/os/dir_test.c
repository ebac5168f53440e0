#include "os/dir.h"

#include "base/mem.h"
#include "base/test.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MANY = 3000 }; /* more than one getdents call gives */

TEST(all_names_but_two)
{
	char path[] = "/tmp/casco-dir-XXXXXX";
	AUTO_STRV struct strv names = { 0 };

	CHECK(mkdtemp(path));
	AUTO_FD int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	CHECK(dir_names(AT_FDCWD, path, &names) == 0 && names.n == 0);
	CHECK(mkdirat(dir, "...", 0700) == 0 && mkdirat(dir, ".x", 0700) == 0);
	CHECK(symlinkat(".x", dir, "link") == 0);
	CHECK(dir_names(dir, ".", &names) == 0 && names.n == 3);
	CHECK(strv_has(&names, "...") && strv_has(&names, ".x") && strv_has(&names, "link"));

	/* adds to what is there */
	CHECK(file_replace(dir, "link/y", "", 0, 0600, false) == 0);
	CHECK(dir_names(dir, "link", &names) == 0 && names.n == 4 && strv_has(&names, "y"));
	CHECK(file_remove_tree(AT_FDCWD, path) == 0);
}

TEST(a_large_folder)
{
	char path[] = "/tmp/casco-dir-XXXXXX";
	AUTO_STRV struct strv names = { 0 };

	CHECK(mkdtemp(path));
	AUTO_FD int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (int i = 0; i < MANY; i++) {
		AUTO_FREE char *name = xasprintf("name%d", i);

		CHECK(mkdirat(dir, name, 0700) == 0);
	}
	CHECK(dir_names(dir, ".", &names) == 0 && names.n == MANY);
	/* no name is there twice */
	for (size_t i = 0; i < names.n; i++)
		CHECK(unlinkat(dir, names.v[i], AT_REMOVEDIR) == 0);
	CHECK(rmdir(path) == 0);
}

TEST(what_is_no_folder)
{
	AUTO_STRV struct strv names = { 0 };

	CHECK(dir_names(AT_FDCWD, "/proc/no-such-folder", &names) == -ENOENT);
	CHECK(dir_names(AT_FDCWD, "/proc/version", &names) == -ENOTDIR);
	CHECK(names.n == 0);
}
