#include "image/start.h"

#include "base/mem.h"
#include "base/str.h"
#include "os/spawn.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

int transfer_find_worker(struct arena *a, const char *libexec, const char *self, const char **ret,
			 struct err *e)
{
	const char *slash = self ? strrchr(self, '/') : NULL;
	const char *first = arena_printf(a, "%s/containerd-transfer", libexec ? libexec : "");
	const char *second = arena_printf(a, "%.*s/containerd-transfer",
					  slash ? (int)(slash - self) : 0, self ? self : "");

	if (access(first, X_OK) == 0)
		*ret = first;
	else if (access(second, X_OK) == 0)
		*ret = second;
	else
		return err_set(e, ERR_NOT_FOUND, "containerd-transfer is neither %s nor %s", first,
			       second);
	return 0;
}

int worker_start(const char *path, int sock, int *ret_pidfd, struct err *e)
{
	static const char *const keep[] = { "HTTP_PROXY",  "HTTPS_PROXY", "NO_PROXY", "http_proxy",
					    "https_proxy", "no_proxy",    "TZ" };
	char *argv[] = { (char *)"containerd-transfer", NULL };
	AUTO_STRV struct strv env = { 0 };
	const int fds[] = { -1, -1, 2, sock };
	struct spawn s = { .path = path,
			   .argv = argv,
			   .cwd_fd = -1,
			   .fds = fds,
			   .n_fds = ARRAY_LEN(fds),
			   .new_group = true,
			   .parent_death_signal = SIGKILL };

	strv_add(&env, "PATH=/usr/sbin:/usr/bin:/sbin:/bin");
	for (size_t i = 0; i < ARRAY_LEN(keep); i++)
		if (getenv(keep[i]))
			strv_addf(&env, "%s=%s", keep[i], getenv(keep[i]));
	s.envp = env.v;
	int r = spawn_start(&s, ret_pidfd, NULL);
	return r < 0 ? err_sys(e, -r, "start %s", path) : 0;
}
