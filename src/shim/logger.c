#include "shim/logger.h"

#include "base/mem.h"
#include "base/str.h"
#include "loop/loop.h"
#include "os/fd.h"
#include "os/spawn.h"
#include "shim/log_uri.h"
#include "shim/logger_record.h"
#include "shim/reaper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

enum { READY_SECONDS = 30, STOP_SECONDS = 10 };

struct logger {
	struct loop *loop;
	struct reaper *reaper;
	pid_t pid; /* 0: reaped */
	char *path; /* of the program */
	int bundlefd;
	int ready_fd;
	struct loop_io *ready_io;
	struct loop_timer *timer;
	bool must_speak; /* binary-v2: an end without a byte is a failure */
	bool is_stopping;
	logger_ready_fn *ready;
	void *arg;
};

/* "/path?k=v&k2=v2" as argv: /path k v k2 v2; empty values are left out. */
static void uri_argv(const char *rest, struct strv *argv)
{
	size_t n = strcspn(rest, "?#");

	strv_add_take(argv, uri_unescape(rest, n, false));
	if (rest[n] != '?')
		return;
	for (const char *p = rest + n + 1; *p && *p != '#';) {
		size_t len = strcspn(p, "&#"), key = strcspn(p, "=&#");

		if (key)
			strv_add_take(argv, uri_unescape(p, key, true));
		if (key + 1 < len)
			strv_add_take(argv, uri_unescape(p + key + 1, len - key - 1, true));
		p += len;
		p += *p == '&';
	}
}

static void ready_close(struct logger *g)
{
	loop_io_remove(g->ready_io);
	g->ready_io = NULL;
	close_fd(&g->ready_fd);
	g->ready_fd = -1;
}

static void tell(struct logger *g, const struct err *e)
{
	ready_close(g);
	loop_timer_remove(g->timer);
	g->timer = NULL;
	g->ready(e, g->arg);
}

static void on_ready(UNUSED struct loop_io *io, UNUSED uint32_t events, void *arg)
{
	struct logger *g = arg;
	struct err e = { 0 };
	char byte;
	ssize_t n = read(g->ready_fd, &byte, 1);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0)
		err_sys(&e, errno, "failed to read from logging binary %s", g->path);
	else if (n == 0 && g->must_speak)
		err_set(&e, ERR_UNKNOWN, "logging binary %s ended before it was ready", g->path);
	tell(g, e.code ? &e : NULL);
}

static void on_late(UNUSED struct loop_timer *t, void *arg)
{
	struct logger *g = arg;
	struct err e = { 0 };

	err_set(&e, ERR_DEADLINE_EXCEEDED, "logging binary %s was not ready within %d seconds",
		g->path, READY_SECONDS);
	tell(g, &e);
}

static void logger_free(struct logger *g)
{
	close_fd(&g->bundlefd);
	free(g->path);
	free(g);
}

static void on_logger_end(UNUSED uint32_t status, UNUSED struct timespec at, void *arg)
{
	struct logger *g = arg;
	struct reaper *r = g->reaper;

	logger_record_remove(g->bundlefd, g->pid);
	g->pid = 0;
	if (!g->is_stopping)
		return;
	loop_timer_remove(g->timer);
	logger_free(g);
	reaper_ended(r);
}

static int start(struct logger *g, const struct logger_config *cfg, const int fds[6], struct err *e)
{
	AUTO_STRV struct strv argv = { 0 }, env = { 0 };
	AUTO_FD int pidfd = -1;

	uri_argv(strstr(cfg->uri, "://") + 3, &argv);
	strv_addf(&env, "CONTAINER_ID=%s", cfg->id);
	strv_addf(&env, "CONTAINER_NAMESPACE=%s", cfg->ns);
	g->path = xstrdup(argv.v[0]);

	struct spawn s = { .path = argv.v[0],
			   .argv = argv.v,
			   .envp = env.v,
			   .cwd_fd = -1,
			   .fds = fds,
			   .n_fds = 6 };
	int r = spawn_start(&s, &pidfd, &g->pid);

	if (r < 0)
		return err_sys(e, -r, "failed to start binary process: fork/exec %s", argv.v[0]);
	logger_record(g->bundlefd, g->pid);
	return 0;
}

int logger_start(struct loop *l, struct reaper *r, const struct logger_config *cfg,
		 logger_ready_fn *ready, void *arg, struct logger **ret, int ret_fds[2],
		 struct err *e)
{
	int p[3][2] = { { -1, -1 }, { -1, -1 }, { -1, -1 } };
	struct logger *g = NEW(struct logger);
	int rc = 0;

	*g = (struct logger){ .loop = l,
			      .reaper = r,
			      .bundlefd = fd_copy(cfg->bundlefd),
			      .ready_fd = -1,
			      .ready = ready,
			      .arg = arg,
			      .must_speak = str_starts(cfg->uri, "binary-v2:") };
	for (int i = 0; i < 3 && !rc; i++)
		if (pipe2(p[i], O_CLOEXEC) < 0)
			rc = err_sys(e, errno, "failed to create pipes of logging binary");
	if (!rc)
		rc = start(g, cfg, (const int[]){ -1, -1, -1, p[0][0], p[1][0], p[2][1] }, e);
	close_fd(&p[0][0]);
	close_fd(&p[1][0]);
	close_fd(&p[2][1]);
	if (rc) {
		close_fd(&p[0][1]);
		close_fd(&p[1][1]);
		close_fd(&p[2][0]);
		logger_free(g);
		return -1;
	}
	ret_fds[0] = p[0][1];
	ret_fds[1] = p[1][1];
	g->ready_fd = p[2][0];
	if (loop_io_add(l, g->ready_fd, EPOLLIN, on_ready, g, &g->ready_io) < 0)
		BUG("a pipe cannot be watched");
	g->timer = loop_timer_add(l, READY_SECONDS * 1000000000ull, on_late, g);
	reaper_watch(r, g->pid, on_logger_end, g);
	*ret = g;
	return 0;
}

static void on_stubborn(UNUSED struct loop_timer *t, void *arg)
{
	struct logger *g = arg;

	(void)kill(g->pid, SIGKILL); /* ours until it is reaped */
}

void logger_stop(struct logger *g)
{
	if (!g)
		return;
	ready_close(g);
	loop_timer_remove(g->timer);
	g->timer = NULL;
	if (!g->pid) {
		logger_free(g);
		return;
	}
	g->is_stopping = true;
	reaper_ending(g->reaper);
	(void)kill(g->pid, SIGTERM);
	g->timer = loop_timer_add(g->loop, STOP_SECONDS * 1000000000ull, on_stubborn, g);
}
