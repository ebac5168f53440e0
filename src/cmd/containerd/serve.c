#include "cmd/containerd/serve.h"

#include "api/containerd/attach.h"
#include "api/containerd/services.h"
#include "api/containerd/streaming.h"
#include "base/log.h"
#include "engine/engine.h"
#include "engine/restart.h"
#include "loop/loop.h"
#include "loop/pool.h"
#include "os/file.h"
#include "os/socket.h"
#include "task/task.h"
#include "wire/grpc_server.h"

#include <errno.h>
#include <libgen.h>
#include <malloc.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

enum { BACKLOG = 512 };
#define GRACE_NS 2000000000ull

struct daemon {
	const struct config *cfg;
	struct loop *loop;
	struct pool *pool;
	struct engine *engine;
	struct grpc_server *server;
	uint64_t started;
	bool is_open, is_serving, is_stopping;
	struct err failure;
};

/* --- sockets ------------------------------------------------------------------------------------
 */

/* A socket nobody answers on is what a killed daemon left; a living one is not ours to take. */
static int clear_stale(const char *path, struct err *e)
{
	int fd = socket_connect(path);

	if (fd >= 0) {
		close(fd);
		return err_set(e, ERR_ALREADY_EXISTS, "%s: another daemon answers there", path);
	}
	if (fd == -ENOENT)
		return 0;
	if (fd != -ECONNREFUSED)
		return err_sys(e, -fd, "connect %s", path);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_sys(e, errno, "unlink %s", path);
	return 0;
}

static int listen_on(const struct config_socket *s, int *ret, struct err *e)
{
	AUTO_FREE char *copy = xstrdup(s->address);
	int r = file_mkdirs(dirname(copy), 0700);

	if (r < 0)
		return err_sys(e, -r, "mkdir for %s", s->address);
	if (clear_stale(s->address, e) < 0)
		return -1;
	/* Root's alone unless the operator named somebody. */
	r = socket_listen(s->address, s->uid || s->gid ? 0660 : 0600, BACKLOG);
	if (r < 0)
		return err_sys(e, -r, "listen on %s", s->address);
	if ((s->uid || s->gid) && chown(s->address, s->uid, s->gid) < 0) {
		close(r);
		return err_sys(e, errno, "chown %s", s->address);
	}
	*ret = r;
	return 0;
}

/* --- the access log ------------------------------------------------------------------------------
 */

static void log_call(const struct rpc_call *c, const struct err *e)
{
	const char *ns = rpc_meta(c, "containerd-namespace");
	bool is_ours = e && (e->code == ERR_UNKNOWN || e->code == ERR_INTERNAL);
	char took[32], method[256], text[1200] = "";

	if (log_level() < LOG_DEBUG && !is_ours)
		return;
	snprintf(took, sizeof took, "%.3fms", (double)(loop_now() - c->started) / 1e6);
	snprintf(method, sizeof method, "/%s/%s", c->service ? c->service->name : "?",
		 c->method ? c->method->name : "?");
	if (e && e->code)
		err_text(e, text, sizeof text);
	const struct log_field fields[] = { { "method", method },
					    { "ns", ns ? ns : "" },
					    { "took", took },
					    { text[0] ? "error" : NULL, text },
					    { NULL, NULL } };
	log_write(is_ours ? LOG_ERROR : LOG_DEBUG, fields, text[0] ? "call failed" : "call");
}

/* --- start
 * ---------------------------------------------------------------------------------------- */

static int listen_all(struct daemon *d, struct err *e)
{
	int fd;

	if (listen_on(&d->cfg->ttrpc, &fd, e) < 0)
		return -1;
	tasks_listen(d->engine->tasks, fd);
	if (listen_on(&d->cfg->grpc, &fd, e) < 0)
		return -1;
	int r = grpc_server_listen(d->server, fd);
	if (r < 0)
		return err_sys(e, -r, "serve %s", d->cfg->grpc.address);
	return 0;
}

/* On the loop's thread, after the engine has been opened (or not). */
static void opened(void *arg)
{
	struct daemon *d = arg;
	char took[32];

	if (!d->is_open || d->is_stopping) {
		loop_stop(d->loop);
		return;
	}
	api_attach(d->engine);
	d->engine->streams = streams_new();
	d->server = grpc_server_new(d->loop, d->pool, api_services, d->engine);
	grpc_server_log(d->server, log_call);
	if (listen_all(d, &d->failure) < 0) {
		loop_stop(d->loop);
		return;
	}
	d->is_serving = true;
	snprintf(took, sizeof took, "%.6fs", (double)(loop_now() - d->started) / 1e9);
	log_info(LOG({ "address", d->cfg->grpc.address }), "serving...");
	log_info(LOG_NONE, "containerd successfully booted in %s", took);
	(void)sd_notify(0, "READY=1"); /* nobody asked, or nobody listens: both fine */
}

/* On a pool thread: recovering tasks needs the loop to run meanwhile. */
static void open_engine(void *arg)
{
	struct daemon *d = arg;

	d->is_open = engine_open(d->cfg, d->loop, d->pool, &d->engine, &d->failure) == 0;
	loop_post(d->loop, opened, d);
}

/* --- end
 * ------------------------------------------------------------------------------------------- */

static void drained(void *arg)
{
	struct daemon *d = arg;

	loop_stop(d->loop);
}

static void on_signal(const struct signalfd_siginfo *si, void *arg)
{
	struct daemon *d = arg;

	if (si->ssi_signo == SIGPIPE || d->is_stopping)
		return;
	d->is_stopping = true;
	log_info(LOG({ "signal", sigabbrev_np((int)si->ssi_signo) }), "stop serving");
	(void)sd_notify(0, "STOPPING=1");
	if (d->is_serving)
		grpc_server_stop(d->server, GRACE_NS, drained, d);
	/* else opened() sees it */
}

/* Runs what was posted so far, and what that posted. */
static void drain_loop(struct daemon *d)
{
	for (int i = 0; i < 2; i++) {
		loop_post(d->loop, drained, d);
		loop_run(d->loop);
	}
}

static void close_all(struct daemon *d)
{
	if (d->is_serving) {
		(void)unlink(d->cfg->grpc.address); /* best effort: a stale one is replaced */
		(void)unlink(d->cfg->ttrpc.address);
	}
	if (d->engine && d->engine->tasks)
		tasks_unlisten(d->engine->tasks);
	if (d->engine && d->engine->restarter)
		restarter_stop(d->engine->restarter);
	pool_free(d->pool);
	if (d->engine && d->engine->tasks)
		tasks_close(d->engine->tasks);
	drain_loop(d);
	if (d->server)
		grpc_server_free(d->server);
	if (d->engine) {
		streams_free(d->engine->streams);
		engine_close(d->engine);
	}
	loop_free(d->loop);
}

/* One connection and a few files a container: the soft limit of a shell would not last. */
static void raise_file_limit(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &l); /* the old limit serves, too */
	}
}

/* glibc would give each thread an arena, and keep what one large message took in the heap: after a
 * list of a thousand containers several times what the daemon needs. */
static void keep_memory_small(void)
{
	enum { ARENAS = 4, LARGE = 256 * 1024 };

	(void)mallopt(M_ARENA_MAX, ARENAS);
	(void)mallopt(M_MMAP_THRESHOLD, LARGE);
	(void)mallopt(M_TRIM_THRESHOLD, LARGE);
}

int serve(const struct config *cfg, struct err *e)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGPIPE };
	struct daemon d = { .cfg = cfg, .started = loop_now() };

	raise_file_limit();
	keep_memory_small();
	d.loop = loop_new();
	/* Before the first thread, so that all of them have these blocked. */
	for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
		int r = loop_signal(d.loop, signals[i], on_signal, &d);

		if (r < 0)
			return err_sys(e, -r, "signalfd");
	}
	d.pool = pool_new(POOL_MAX, POOL_IDLE_NS);
	log_info(LOG({ "version", CASCO_VERSION }), "starting containerd");
	pool_run(d.pool, open_engine, &d);
	loop_run(d.loop);
	close_all(&d);
	return d.failure.code ? err_copy(e, &d.failure) : 0;
}
