#include "os/file.h"

#include "base/mem.h"
#include "base/test.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static int scratch(char *path)
{
	CHECK(mkdtemp(path));
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(fd >= 0);
	return fd;
}

TEST(files_are_replaced_whole_and_read_with_a_bound)
{
	char path[] = "/tmp/casco-file-XXXXXX";
	AUTO_FD int dir = scratch(path);
	AUTO_FREE char *got = NULL;
	size_t n;

	CHECK(file_replace(dir, "a", "one", 3, 0600, true) == 0);
	CHECK(file_replace(dir, "a", "second", 6, 0600, false) == 0);
	CHECK(file_read(dir, "a", 6, &got, &n) == 0 && n == 6);
	CHECK_STR(got, "second");
	char *too_long;
	CHECK(file_read(dir, "a", 5, &too_long, NULL) == -EFBIG);
	CHECK(file_read(dir, "absent", 5, &too_long, NULL) == -ENOENT);
	CHECK(file_remove_tree(AT_FDCWD, path) == 0 && access(path, F_OK) < 0);
}

/* The temporary name can be guessed: a fifo there must not hold us, a file there not be written. */
TEST(what_stands_under_the_temporary_name_is_not_opened)
{
	char path[] = "/tmp/casco-temporary-XXXXXX";
	AUTO_FD int dir = scratch(path);
	AUTO_FREE char *tmp = xasprintf("a.tmp-%d", (int)getpid());
	AUTO_FREE char *got = NULL;

	CHECK(file_replace(dir, "victim", "whole", 5, 0600, false) == 0);
	CHECK(linkat(dir, "victim", dir, tmp, 0) == 0);
	CHECK(file_replace(dir, "a", "one", 3, 0600, false) == 0);
	CHECK(file_read(dir, "victim", 5, &got, NULL) == 0);
	CHECK_STR(got, "whole");
	CHECK(mkfifoat(dir, tmp, 0600) == 0);
	CHECK(file_replace(dir, "a", "two", 3, 0600, false) == 0);
	CHECK(mkdirat(dir, tmp, 0700) == 0);
	CHECK(file_replace(dir, "a", "three", 5, 0600, false) == -EISDIR);
	CHECK(file_remove_tree(AT_FDCWD, path) == 0);
}

TEST(removing_a_tree_never_follows_links)
{
	char path[] = "/tmp/casco-tree-XXXXXX", victim[] = "/tmp/casco-victim-XXXXXX";
	AUTO_FD int dir = scratch(path), keep = scratch(victim);
	AUTO_FREE char *deep = xasprintf("%s/x/y/z", path);

	CHECK(file_replace(keep, "f", "", 0, 0600, false) == 0);
	CHECK(file_mkdirs(deep, 0700) == 0);
	CHECK(symlinkat(victim, dir, "x/link") == 0);
	CHECK(file_remove_tree(AT_FDCWD, path) == 0 && access(path, F_OK) < 0);
	CHECK(faccessat(keep, "f", F_OK, 0) == 0);
	CHECK(file_remove_tree(AT_FDCWD, victim) == 0);
	CHECK(file_remove_tree(AT_FDCWD, victim) == 0);
}

/* A container may make its tree as deep as it likes. */
TEST(removing_a_tree_deeper_than_the_stack)
{
	char path[] = "/tmp/casco-deep-XXXXXX";
	int dir = scratch(path);

	for (int i = 0; i < 3000; i++) {
		CHECK(mkdirat(dir, i % 64 == 63 ? ".deep-0" : "d", 0700) == 0);
		int next = openat(dir, i % 64 == 63 ? ".deep-0" : "d",
				  O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		CHECK(next >= 0);
		close(dir);
		dir = next;
	}
	close(dir);
	CHECK(file_remove_tree(AT_FDCWD, path) == 0 && access(path, F_OK) < 0);
}

TEST(a_real_path_from_relative_ones)
{
	char path[] = "/tmp/casco-real-XXXXXX", here[4096];
	AUTO_FD int dir = scratch(path), before = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_FREE char *absolute = file_real_path(path);

	CHECK_STR(absolute, path);
	CHECK(!file_real_path("/nowhere/at/all") && errno == ENOENT);
	CHECK(mkdirat(dir, "d", 0700) == 0 && fchdir(dir) == 0);
	AUTO_FREE char *relative = file_real_path("./d/..");
	CHECK_STR(relative, path);
	CHECK(!file_real_path("e") && errno == ENOENT);

	/* entered by a descriptor of another mount namespace: no way from our root */
	int pid = fork(), status;
	if (pid == 0) {
		if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
			_exit(0); /* not allowed here */
		CHECK(fchdir(dir) == 0);
		CHECK(syscall(SYS_getcwd, here, sizeof here) > 0 && here[0] == '(');
		AUTO_FREE char *far = file_real_path("d");
		AUTO_FREE char *want = xasprintf("%s/d", path);
		CHECK(far);
		CHECK_STR(far, want);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	CHECK(fchdir(before) == 0 && file_remove_tree(AT_FDCWD, path) == 0);
}

/* A process that locks, makes a child which keeps all descriptors, and is killed: the child's pid.
 */
static int killed_owner(const char *path)
{
	int pipefd[2], fd, child = 0;

	CHECK(pipe2(pipefd, O_CLOEXEC) == 0);
	int pid = fork();
	if (pid == 0) {
		CHECK(file_lock(path, &fd) == 0);
		child = fork();
		if (child == 0)
			for (;;)
				pause();
		CHECK(write(pipefd[1], &child, sizeof child) == sizeof child);
		for (;;)
			pause();
	}
	CHECK(read(pipefd[0], &child, sizeof child) == sizeof child);
	CHECK(file_lock(path, &fd) == -EAGAIN);
	CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
	close(pipefd[0]);
	close(pipefd[1]);
	return child;
}

TEST(a_lock_dies_with_its_process_not_with_the_children)
{
	char dir[] = "/tmp/casco-file-XXXXXX";
	int fd = -1;

	CHECK(mkdtemp(dir));
	AUTO_FREE char *path = xasprintf("%s/lock", dir);
	int child = killed_owner(path);
	int r = file_lock(path, &fd);
	CHECK(kill(child, SIGKILL) == 0);
	CHECK(r == 0 && fd >= 0);
	close(fd);
	CHECK(file_remove_tree(AT_FDCWD, dir) == 0);
}
