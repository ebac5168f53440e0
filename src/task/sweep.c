/* What the death of several processes at once may have left, and no bundle tells of. */
#include "task/internal.h"

#include "base/ident.h"
#include "base/log.h"
#include "loop/loop.h"
#include "loop/pool.h"
#include "os/file.h"
#include "os/socket.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define SOCKETS "/run/containerd/s" /* all shims' of the machine */

enum {
	NAME_LEN = 64, /* a sha256 in hex */
	YOUNG_SECONDS = 2, /* it may be bound, and is not listening yet */
	AGAIN_SECONDS = 30, /* shims that nobody wants have gone by then */
};

static bool is_old_socket(int dirfd, const char *name)
{
	struct stat st;

	return strlen(name) == NAME_LEN && strspn(name, "0123456789abcdef") == NAME_LEN &&
	       fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK(st.st_mode) &&
	       st.st_mtim.tv_sec + YOUNG_SECONDS < time(NULL);
}

/* Whoever serves answers: other daemons' shims as well as our own. */
static void sweep_sockets(UNUSED void *arg)
{
	DIR *d = opendir(SOCKETS);

	if (!d)
		return; /* there was no shim yet */
	for (struct dirent *x; (x = readdir(d));) {
		AUTO_FREE char *path = xasprintf(SOCKETS "/%s", x->d_name);

		if (is_old_socket(dirfd(d), x->d_name) && socket_remove_dead(path) == 0)
			log_info(LOG({ "path", path }), "removed the socket of a dead shim");
	}
	closedir(d);
}

static void on_again(UNUSED struct loop_timer *t, void *arg)
{
	struct tasks *ts = arg;

	pool_run(ts->env->pool, sweep_sockets, NULL);
}

void sweep_begin(struct tasks *ts)
{
	pool_run(ts->env->pool, sweep_sockets, NULL);
	ts->sweep = loop_timer_add(ts->env->loop, AGAIN_SECONDS * SECOND, on_again, ts);
}

void sweep_end(struct tasks *ts)
{
	loop_timer_remove(ts->sweep);
	ts->sweep = NULL;
}

static void sweep_namespace(const struct tasks *ts, const char *path, const char *ns)
{
	DIR *d = opendir(path);

	if (!d)
		return; /* it went meanwhile */
	for (struct dirent *x; (x = readdir(d));) {
		AUTO_FREE char *bundle =
			xasprintf("%s/%s/%s/%s", ts->env->state, ts->folder, ns, x->d_name);

		if (!ident_is_valid(x->d_name) /* also "." and ".." */ ||
		    access(bundle, F_OK) == 0 || errno != ENOENT)
			continue;
		int r = file_remove_tree(dirfd(d), x->d_name);

		if (r < 0)
			log_warn(LOG({ "error", err_errno_text(-r) }), "cannot remove %s/%s", path,
				 x->d_name);
	}
	closedir(d);
}

void sweep_works(const struct tasks *ts)
{
	AUTO_FREE char *top = xasprintf("%s/%s", ts->env->root, ts->folder);
	DIR *d = opendir(top);

	if (!d)
		return; /* there was no task yet */
	for (struct dirent *x; (x = readdir(d));) {
		AUTO_FREE char *path = xasprintf("%s/%s", top, x->d_name);

		if (ident_is_valid(x->d_name))
			sweep_namespace(ts, path, x->d_name);
	}
	closedir(d);
}
