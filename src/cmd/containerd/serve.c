#include "cmd/containerd/serve.h"

#include "api/containerd/attach.h"
#include "api/containerd/history.h"
#include "api/containerd/plugins.h"
#include "api/containerd/services.h"
#include "api/containerd/streaming.h"
#include "api/cri/image.h"
#include "api/cri/stream.h"
#include "base/log.h"
#include "cmd/containerd/debug.h"
#include "cmd/containerd/http.h"
#include "cmd/containerd/otlp.h"
#include "cmd/containerd/process.h"
#include "cmd/containerd/tcp.h"
#include "cri/cri.h"
#include "engine/collector.h"
#include "engine/engine.h"
#include "engine/network.h"
#include "engine/nri.h"
#include "engine/restart.h"
#include "loop/loop.h"
#include "loop/pool.h"
#include "os/file.h"
#include "os/socket.h"
#include "task/task.h"
#include "wire/grpc_server.h"

#include <errno.h>
#include <libgen.h>
#include <string.h>
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
	struct debug debug;
	struct http *metrics, *debugging; /* NULL: not configured */
	struct otlp *traces; /* the same */
	uint64_t started;
	struct tcp *tcp; /* the same */
	bool is_open, is_serving, is_stopping;
	unsigned n_stopping; /* servers with calls */
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

/* --- start
 * ---------------------------------------------------------------------------------------- */

/* The pages that the configuration asks for. */
static int listen_http(struct daemon *d, struct err *e)
{
	int fd;

	if (*d->cfg->metrics_address) {
		if (http_listen_tcp(d->cfg->metrics_address, &fd, e) < 0 ||
		    http_serve(d->loop, d->pool, fd, debug_metrics_page, &d->debug, &d->metrics,
			       e) < 0)
			return err_wrap(e, "failed to get listener for metrics endpoint");
		log_info(LOG({ "address", d->cfg->metrics_address }), "serving metrics...");
	}
	if (*d->cfg->debug.address) {
		if (listen_on(&d->cfg->debug, &fd, e) < 0 ||
		    http_serve(d->loop, d->pool, fd, debug_page, &d->debug, &d->debugging, e) < 0)
			return err_wrap(e, "failed to get listener for debug endpoint");
		log_info(LOG({ "address", d->cfg->debug.address }), "serving debug...");
	}
	return 0;
}

static void set_up(struct grpc_server *s, const struct config *cfg)
{
	grpc_server_on_start(s, requests_started);
	grpc_server_log(s, requests_ended);
	grpc_server_limits(s, cfg->max_recv, cfg->max_send);
}

static int listen_all(struct daemon *d, struct err *e)
{
	int fd;

	if (listen_http(d, e) < 0)
		return -1;
	if (listen_on(&d->cfg->ttrpc, &fd, e) < 0)
		return -1;
	tasks_listen(d->engine->tasks, fd);
	if (listen_on(&d->cfg->grpc, &fd, e) < 0)
		return -1;
	int r = grpc_server_listen(d->server, fd);
	if (r < 0)
		return err_sys(e, -r, "serve %s", d->cfg->grpc.address);
	return tcp_new(d->engine, set_up, &d->tcp, e);
}

/* By the name of any of its parts. */
static bool is_cri_disabled(const struct config *cfg)
{
	static const char *const names[][2] = { { "io.containerd.grpc.v1", "cri" },
						{ "io.containerd.cri.v1", "runtime" },
						{ "io.containerd.cri.v1", "images" } };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (config_plugin_is_disabled(cfg, names[i][0], names[i][1]))
			return true;
	/* as Docker's packages of containerd write it, from version 1 of the file */
	for (size_t i = 0; i < cfg->n_disabled_plugins; i++)
		if (!strcmp(cfg->disabled_plugins[i], "cri"))
			return true;
	return false;
}

static int start_streams(struct daemon *d)
{
	if (is_cri_disabled(d->cfg))
		return 0;
	return stream_server_start(d->engine, &d->engine->stream_server, &d->failure);
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
	d->engine->cri_pulls = cri_pulls_new();
	d->server = grpc_server_new(d->loop, d->pool, api_services, d->engine);
	d->debug = (struct debug){ d->engine, requests_new(api_services, d->cfg->metrics_histogram),
				   d->started };
	requests_watch(d->debug.requests);
	set_up(d->server, d->cfg);
	if (otlp_new(&d->cfg->tracing, d->loop, d->pool, &d->traces, &d->failure) < 0 ||
	    history_start(d->engine, &d->failure) < 0 ||
	    plugins_check_required(d->engine, &d->failure) < 0 || start_streams(d) < 0 ||
	    listen_all(d, &d->failure) < 0) {
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

	d->is_open =
		engine_open(d->cfg, d->loop, d->pool, &d->engine, &d->failure) == 0 &&
		(is_cri_disabled(d->cfg) || cri_open(d->engine, &d->engine->cri, &d->failure) == 0);
	loop_post(d->loop, opened, d);
}

/* --- end
 * ------------------------------------------------------------------------------------------- */

static void drained(void *arg)
{
	struct daemon *d = arg;

	loop_stop(d->loop);
}

static void stopped(void *arg)
{
	struct daemon *d = arg;

	if (!--d->n_stopping)
		loop_stop(d->loop);
}

static void on_signal(const struct signalfd_siginfo *si, void *arg)
{
	struct daemon *d = arg;

	if (si->ssi_signo == SIGUSR1)
		debug_dump(d->cfg->state);
	if (si->ssi_signo == SIGUSR1 || si->ssi_signo == SIGPIPE || d->is_stopping)
		return;
	d->is_stopping = true;
	log_info(LOG({ "signal", sigabbrev_np((int)si->ssi_signo) }), "stop serving");
	(void)sd_notify(0, "STOPPING=1");
	if (!d->is_serving)
		return; /* opened() sees it */
	d->n_stopping = 2;
	grpc_server_stop(d->server, GRACE_NS, stopped, d);
	tcp_stop(d->tcp, GRACE_NS, stopped, d);
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
		if (d->debugging)
			(void)unlink(d->cfg->debug.address);
	}
	tcp_close(d->tcp);
	if (d->engine && d->engine->tasks)
		tasks_unlisten(d->engine->tasks);
	otlp_stop(d->traces);
	if (d->engine && d->engine->restarter)
		restarter_stop(d->engine->restarter);
	if (d->engine)
		history_stop(d->engine->history);
	if (d->engine)
		stream_server_stop(d->engine->stream_server);
	if (d->engine)
		cri_stop(d->engine->cri);
	if (d->engine && d->engine->network)
		network_stop(d->engine->network);
	if (d->engine && d->engine->nri)
		engine_nri_stop(d->engine->nri);
	if (d->engine && d->engine->collector)
		collector_stop(d->engine->collector);
	pool_free(d->pool);
	if (d->engine && d->engine->tasks)
		tasks_close(d->engine->tasks);
	if (d->engine && d->engine->sandboxes)
		tasks_close(d->engine->sandboxes);
	drain_loop(d);
	http_free(d->metrics);
	http_free(d->debugging);
	tcp_free(d->tcp);
	if (d->server)
		grpc_server_free(d->server);
	otlp_free(d->traces);
	requests_watch(NULL);
	requests_free(d->debug.requests);
	if (d->engine) {
		streams_free(d->engine->streams);
		stream_server_free(d->engine->stream_server);
		cri_pulls_free(d->engine->cri_pulls);
		history_free(d->engine->history);
		cri_free(d->engine->cri);
		engine_close(d->engine);
	}
	loop_free(d->loop);
}

int serve(const struct config *cfg, struct err *e)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGPIPE, SIGUSR1 };
	struct daemon d = { .cfg = cfg, .started = loop_now() };

	if (process_setup(cfg, e) < 0)
		return -1;
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
