/* A shim that answers nothing any more, not even that it is to end: it is made to. */
#include "task/internal.h"

#include "base/log.h"
#include "os/pidfd.h"
#include "os/process_record.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>

enum { END_MS = 2000 };

/* A pod's containers have one shim: it is not for one of them to take it from the others. */
static bool is_shared(struct task *t)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct task **v;
	size_t n = tasks_of(t->ts, t->ns, a, &v);
	bool r = t->is_sandboxed || task_is_sandbox(t);

	for (size_t i = 0; i < n; i++) {
		r = r || (v[i] != t && v[i]->socket && t->socket &&
			  strcmp(v[i]->socket, t->socket) == 0);
		task_unref(v[i]);
	}
	return r;
}

void task_kill_wedged(struct task *t)
{
	struct err e = { 0 };

	if (is_shared(t))
		return;
	AUTO_FD int dirfd = bundle_open(t, &e);
	AUTO_FD int fd = dirfd < 0 ? -1 : process_record_open(dirfd, "shim.pid");

	if (fd < 0 || pidfd_signal(fd, SIGKILL) < 0)
		return; /* another's shim, which says nowhere who it is; or it has ended now */
	log_warn(LOG({ "id", t->id }, { "namespace", t->ns }),
		 "the shim does not answer and was killed");
	(void)pidfd_wait_end(fd, END_MS); /* before it is cleaned up behind it */
}
