/* Who ends the log programs of a shim that was killed. */
#include "shim/logger_record.h"

#include "base/test.h"
#include "os/file.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t start_logger(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* it does not outlive a test that fails */
		for (;;)
			pause();
	}
	return pid;
}

/* A shim's end, which its parent has not taken notice of yet. */
TEST(a_zombie_keeps_no_log_program)
{
	char dir[] = "/tmp/casco-logger-XXXXXX";
	siginfo_t how;

	CHECK(mkdtemp(dir));
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	pid_t logger = start_logger(), shim = fork();

	if (shim == 0) {
		logger_record(fd, logger);
		_exit(0);
	}
	CHECK(waitid(P_PID, (id_t)shim, &how, WEXITED | WNOWAIT) == 0);
	logger_record_end_all(fd);
	how.si_pid = 0;
	CHECK(waitid(P_PID, (id_t)logger, &how, WEXITED | WNOHANG) == 0 && how.si_pid == logger);
	CHECK(waitid(P_PID, (id_t)shim, &how, WEXITED) == 0);
	close(fd);
	CHECK(file_remove_tree(AT_FDCWD, dir) == 0);
}

/* One that lives ends its own. */
TEST(a_living_shim_keeps_its_log_program)
{
	char dir[] = "/tmp/casco-logger-XXXXXX";
	siginfo_t how = { 0 };

	CHECK(mkdtemp(dir));
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	pid_t logger = start_logger();

	logger_record(fd, logger);
	logger_record_end_all(fd);
	CHECK(waitid(P_PID, (id_t)logger, &how, WEXITED | WNOHANG) == 0 && how.si_pid == 0);
	(void)kill(logger, SIGKILL);
	CHECK(waitid(P_PID, (id_t)logger, &how, WEXITED) == 0);
	close(fd);
	CHECK(file_remove_tree(AT_FDCWD, dir) == 0);
}
