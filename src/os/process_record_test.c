#include "os/process_record.h"

#include "base/mem.h"
#include "base/test.h"
#include "os/file.h"
#include "os/pidfd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>

TEST(found_until_it_ends)
{
	char dir[] = "/tmp/record-XXXXXX";
	CHECK(mkdtemp(dir));
	AUTO_FD int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_FD int fd = -1;
	pid_t pid = fork();

	if (pid == 0) {
		(void)prctl(PR_SET_NAME, ") 1 2) ("); /* names hold anything */
		pause();
	}
	usleep(20000);
	CHECK(process_record_open(dirfd, "r") == -ENOENT);
	CHECK(process_record_write(dirfd, "r", pid) == 0);
	fd = process_record_open(dirfd, "r");
	CHECK(fd >= 0);
	CHECK(pidfd_signal(fd, SIGKILL) == 0);
	CHECK(waitpid(pid, NULL, 0) == pid);
	CHECK(process_record_open(dirfd, "r") == -ESRCH);
	CHECK(process_record_write(dirfd, "r", pid) == -ESRCH);
	/* a later one of that pid */
	CHECK(process_record_write(dirfd, "r", getpid()) == 0);
	AUTO_FREE char *text = NULL;
	CHECK(file_read(dirfd, "r", 64, &text, NULL) == 0);
	text[strlen(text) - 1] = text[strlen(text) - 1] == '1' ? '2' : '1';
	CHECK(file_replace(dirfd, "r", text, strlen(text), 0600, false) == 0);
	CHECK(process_record_open(dirfd, "r") == -ESRCH);
	CHECK(file_replace(dirfd, "r", "1 1", 3, 0600, false) == 0);
	CHECK(process_record_open(dirfd, "r") == -EINVAL);
	CHECK(file_replace(dirfd, "r", "x", 1, 0600, false) == 0);
	CHECK(process_record_open(dirfd, "r") == -EINVAL);
	CHECK(file_remove_tree(AT_FDCWD, dir) == 0);
}

TEST(a_start_tells_processes_apart)
{
	uint64_t first, again, other;
	pid_t pid = fork();

	if (pid == 0) {
		pause();
		_exit(0);
	}
	CHECK(process_start(1, &first) == 0 && process_start(1, &again) == 0);
	CHECK(first == again);
	CHECK(process_start(pid, &other) == 0 && other > first);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	CHECK(process_start(pid, &other) == -ESRCH);
}
