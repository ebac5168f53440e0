/* What a shim says about itself: its `-info`. */
#include "task/internal.h"

#include "os/fd.h"
#include "os/file.h"
#include "os/spawn.h"
#include "os/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

enum { INFO_MAX = 1 << 20, INFO_TIMEOUT_MS = 10000 };

/* Files in memory instead of pipes: nobody has to read while the shim writes. */
static int memory_file(const void *p, size_t n, struct err *e)
{
	AUTO_FD int fd = memfd_create("shim-info", MFD_CLOEXEC);

	if (fd < 0)
		return err_sys(e, errno, "memfd_create");
	if (n && (fd_write_all(fd, p, n) < 0 || lseek(fd, 0, SEEK_SET) < 0))
		return err_sys(e, errno, "write shim's input");
	return TAKE_FD(fd);
}

static int run(const char *shim, int *fds, int *ret_status, struct err *e)
{
	const char *argv[] = { shim, "-info", NULL };
	const struct spawn s = { .path = shim,
				 .argv = (char *const *)(uintptr_t)argv,
				 .envp = environ,
				 .cwd_fd = -1,
				 .fds = fds,
				 .n_fds = 3,
				 .new_group = true,
				 .parent_death_signal = SIGKILL };
	AUTO_FD int pidfd = -1;
	pid_t pid;
	int r = spawn_start(&s, &pidfd, &pid);

	if (r < 0)
		return err_sys(e, -r, "exec %s", shim);
	r = spawn_wait(pidfd, INFO_TIMEOUT_MS, ret_status);
	if (r == -ETIMEDOUT) {
		(void)sys_pidfd_send_signal(pidfd, SIGKILL, NULL, 0); /* may have just ended */
		(void)spawn_wait(pidfd, -1, ret_status);
		return err_set(e, ERR_DEADLINE_EXCEEDED,
			       "failed to run [%s -info]: no answer in %d s", shim,
			       INFO_TIMEOUT_MS / 1000);
	}
	return r < 0 ? err_sys(e, -r, "wait for %s", shim) : 0;
}

int tasks_shim_info(const struct tasks *ts, const char *runtime, const void *options, size_t n,
		    struct arena *a, struct any *ret, struct err *e)
{
	AUTO_FD int in = -1, out = -1, log = -1;
	AUTO_FREE char *shim = NULL;
	int status = 0;

	if (runtime_to_shim(runtime, ts->env->self, &shim, e) < 0)
		return -1;
	if ((in = memory_file(options, n, e)) < 0 || (out = memory_file(NULL, 0, e)) < 0 ||
	    (log = memory_file(NULL, 0, e)) < 0)
		return -1;
	int fds[] = { in, out, log };
	if (run(shim, fds, &status, e) < 0)
		return -1;
	AUTO_FREE char *bytes = NULL;
	int answer = status ? log : out;
	size_t got = 0;
	int r = lseek(answer, 0, SEEK_SET) < 0 ? -errno
					       : file_read_fd(answer, INFO_MAX, &bytes, &got);
	if (r < 0)
		return err_sys(e, -r, "read the answer of %s", shim);
	if (status)
		return err_set(e, ERR_UNKNOWN,
			       "failed to run [%s -info]: exit status %d (stderr: \"%.500s\")",
			       shim, status, bytes);
	*ret = (struct any){ .type_url = "containerd.types.RuntimeInfo",
			     .value = arena_memdup(a, bytes, got),
			     .n = got };
	return 0;
}
