/* What the runtime says it knows: our own by its tables, another by its `features`. */
#include "shim/runtime_features.h"

#include "os/fd.h"
#include "os/file.h"
#include "os/spawn.h"
#include "os/syscall.h"
#include "runtime/features.h"
#include "shim/oci.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FEATURES_MAX = 1 << 20, FEATURES_TIMEOUT_MS = 5000 };

static int ask(const char *binary, struct str *out, struct err *e)
{
	const char *argv[] = { binary, "features", NULL };
	AUTO_FD int none = open("/dev/null", O_RDWR | O_CLOEXEC), said = -1, pidfd = -1;
	AUTO_FREE char *bytes = NULL;
	int status = 0;
	size_t n = 0;
	pid_t pid;

	/* a file in memory instead of a pipe: nobody has to read while it writes */
	said = memfd_create("features", MFD_CLOEXEC);
	if (none < 0 || said < 0)
		return err_sys(e, errno, "memfd_create");

	const int fds[] = { none, said, none };
	const struct spawn s = { .path = binary,
				 .argv = (char *const *)(uintptr_t)argv,
				 .envp = environ,
				 .cwd_fd = -1,
				 .fds = fds,
				 .n_fds = 3,
				 .parent_death_signal = SIGKILL };
	int r = spawn_start(&s, &pidfd, &pid);

	if (r < 0)
		return err_sys(e, -r, "exec %s", binary);
	r = spawn_wait(pidfd, FEATURES_TIMEOUT_MS, &status);
	if (r < 0) {
		(void)sys_pidfd_send_signal(pidfd, SIGKILL, NULL, 0); /* may have just ended */
		(void)spawn_wait(pidfd, -1, &status);
		return err_sys(e, -r, "wait for %s", binary);
	}
	if (status)
		return err_set(e, ERR_UNKNOWN, "%s features: exit status %d", binary, status);
	r = lseek(said, 0, SEEK_SET) < 0 ? -errno : file_read_fd(said, FEATURES_MAX, &bytes, &n);
	if (r < 0)
		return err_sys(e, -r, "read the features of %s", binary);
	str_addn(out, bytes, n);
	return 0;
}

int shim_features(const struct shim_options *o, const char *own_binary, struct str *out,
		  struct err *e)
{
	struct oci_runtime rt;
	int r = 0;

	oci_runtime_init(&rt, o, "features", "", own_binary);
	if (rt.binary)
		r = ask(rt.binary, out, e);
	else
		features_print(out);
	oci_runtime_done(&rt);
	return r;
}
