/* What the death of several processes at once may have left, and no bundle tells of. */
#include "task/internal.h"

#include "base/ident.h"
#include "base/log.h"
#include "loop/loop.h"
#include "loop/pool.h"
#include "os/dir.h"
#include "os/file.h"
#include "os/socket.h"

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

static bool is_old_socket(const char *path, const char *name)
{
	struct stat st;

	return strlen(name) == NAME_LEN && strspn(name, "0123456789abcdef") == NAME_LEN &&
	       lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) &&
	       st.st_mtim.tv_sec + YOUNG_SECONDS < time(NULL);
}

/* Whoever serves answers: other daemons' shims as well as our own. */
static void sweep_sockets(UNUSED void *arg)
{
	AUTO_STRV struct strv names = { 0 };

	(void)dir_names(AT_FDCWD, SOCKETS, &names); /* not there: no shim yet */
	for (size_t i = 0; i < names.n; i++) {
		AUTO_FREE char *path = xasprintf(SOCKETS "/%s", names.v[i]);

		if (is_old_socket(path, names.v[i]) && socket_remove_dead(path) == 0)
			log_info(LOG({ "path", path }), "removed the socket of a dead shim");
	}
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

static void sweep_namespace(const struct tasks *ts, const char *top, const char *ns)
{
	AUTO_FREE char *path = xasprintf("%s/%s", top, ns);
	AUTO_STRV struct strv ids = { 0 };

	(void)dir_names(AT_FDCWD, path, &ids); /* it went meanwhile */
	for (size_t i = 0; i < ids.n; i++) {
		AUTO_FREE char *work = xasprintf("%s/%s", path, ids.v[i]);
		AUTO_FREE char *bundle =
			xasprintf("%s/%s/%s/%s", ts->env->state, ts->folder, ns, ids.v[i]);

		if (!ident_is_valid(ids.v[i]) || access(bundle, F_OK) == 0 || errno != ENOENT)
			continue;
		int r = file_remove_tree(AT_FDCWD, work);

		if (r < 0)
			log_warn(LOG({ "error", err_errno_text(-r) }), "cannot remove %s", work);
	}
}

void sweep_works(const struct tasks *ts)
{
	AUTO_FREE char *top = xasprintf("%s/%s", ts->env->root, ts->folder);
	AUTO_STRV struct strv namespaces = { 0 };

	(void)dir_names(AT_FDCWD, top, &namespaces); /* not there: no task yet */
	for (size_t i = 0; i < namespaces.n; i++)
		if (ident_is_valid(namespaces.v[i]))
			sweep_namespace(ts, top, namespaces.v[i]);
}
