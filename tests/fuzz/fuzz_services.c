/* Every method of every service: what a client may put into its messages, against the daemon's
 * engine, database and folders.
 *
 * An input is a list of calls: two bytes that choose the service and the method, one of flags, one
 * or two (when the first has its high bit) for the length of the message, then the message.  Calls
 * see what the ones before them did; the folders are made anew after a while.
 *
 * Nothing here can be run: the daemon's threads have a root of their own, with no program in it,
 * and mount and network namespaces, so that whatever is mounted or connected stays theirs. */
#include "api/containerd/attach.h"
#include "api/containerd/history.h"
#include "api/containerd/services.h"
#include "api/containerd/streaming.h"
#include "calls.h"
#include "cmd/containerd/config_load.h"
#include "engine/collector.h"
#include "engine/engine.h"
#include "engine/nri.h"
#include "engine/restart.h"
#include "loop/loop.h"
#include "loop/pool.h"
#include "os/file.h"
#include "wire/grpc_server.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum {
	INPUTS = 500, /* until the folders are made anew */
	CALLS = 40, /* of one input */
	WAITING_MS = 2, /* what may wait for ever is left then */
	ANSWER_MS = 60000,
	SKIPPED = 77,
};
enum {
	NO_NAMESPACE = 1,
	OTHER_NAMESPACE = 2,
	BAD_NAMESPACE = 4,
	LEASE = 8,
	GOES_ON = 16, /* the next call's message is one more of this stream */
	COMPRESSED = 32,
	STAYS_OPEN = 64, /* a stream, beside the calls that follow */
};

struct daemon {
	struct config cfg;
	struct loop *loop;
	struct pool *pool;
	struct engine *engine;
	struct grpc_server *server;
	pthread_t thread;
	struct calls client;
	int their_fd; /* the other end of the client's socket */
};

static char folder[] = "/tmp/casco-fuzz-XXXXXX";
static struct daemon d;
static int inputs;

static void require(bool is_true, const char *what)
{
	if (is_true)
		return;
	fprintf(stderr, "fuzz_services: %s: %m\n", what);
	_exit(SKIPPED);
}

/* --- the place ----------------------------------------------------------------------------------
 */

static void remove_folder(void)
{
	(void)file_remove_tree(AT_FDCWD, folder);
}

/* While there is one thread: who is not root becomes it in a user namespace. */
__attribute__((constructor)) static void become_root(void)
{
	AUTO_FREE char *uids = xasprintf("0 %u 1", geteuid()),
		       *gids = xasprintf("0 %u 1", getegid());

	if (geteuid() == 0)
		return;
	require(unshare(CLONE_NEWUSER) == 0, "unshare the user namespace");
	require(file_poke(AT_FDCWD, "/proc/self/setgroups", "deny") == 0, "write setgroups");
	require(file_poke(AT_FDCWD, "/proc/self/uid_map", uids) == 0, "write uid_map");
	require(file_poke(AT_FDCWD, "/proc/self/gid_map", gids) == 0, "write gid_map");
}

/* What this thread and those that it makes see: an empty folder in memory, which goes with them.
 * What they write into their working folder stays: a fuzzer's report of a crash. */
static void enter_folder(void)
{
	AUTO_FREE char *root = xasprintf("%s/root", folder), *out = xasprintf("%s/out", root);
	AUTO_FREE char *proc = xasprintf("%s/proc", root), *tmp = xasprintf("%s/tmp", root);

	require(unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC) == 0, "unshare namespaces");
	require(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "make mounts private");
	require(file_mkdirs(root, 0700) >= 0, "mkdir");
	require(mount("tmpfs", root, "tmpfs", 0, "size=128m,mode=700") == 0, "mount a tmpfs");
	require(!mkdir(out, 0700) && !mkdir(proc, 0700) && !mkdir(tmp, 0700), "mkdir");
	require(mount(folder, out, NULL, MS_BIND, NULL) == 0, "bind the folder");
	require(mount("/proc", proc, NULL, MS_BIND | MS_REC, NULL) == 0, "bind /proc");
	require(!chroot(root) && !chdir("/out"), "enter the folder");
}

/* --- the daemon ---------------------------------------------------------------------------------
 */

/* With CASCO_FUZZ_TELL set: to see how far an input gets. */
static void tell(const struct rpc_call *c, const struct err *e)
{
	fprintf(stderr, "%s: %d %s\n", c->method->name, e ? (int)e->code : 0, e ? e->msg : "");
}

/* On the loop's thread. */
static void opened(UNUSED void *arg)
{
	struct err e = { 0 };

	api_attach(d.engine);
	d.engine->streams = streams_new();
	d.server = grpc_server_new(d.loop, d.pool, api_services, d.engine);
	if (getenv("CASCO_FUZZ_TELL"))
		grpc_server_log(d.server, tell);
	require(history_start(d.engine, &e) == 0, e.msg);
	require(grpc_server_add(d.server, d.their_fd) == 0, "serve");
}

/* On one of the pool: tasks need the loop meanwhile. */
static void open_engine(UNUSED void *arg)
{
	struct err e = { 0 };

	require(engine_open(&d.cfg, d.loop, d.pool, &d.engine, &e) == 0, e.msg);
	loop_post(d.loop, opened, NULL);
}

/* The pool's threads are made by this one, and see what it sees. */
static void *run_loop(UNUSED void *arg)
{
	enter_folder();
	pool_run(d.pool, open_engine, NULL);
	loop_run(d.loop);
	return NULL;
}

static void open_daemon(void)
{
	struct err e = { 0 };
	int fds[2];

	d = (struct daemon){ 0 };
	const struct config_flags flags = {
		.file = "/dev/null", .root = "/root", .state = "/state", .address = "/state/c.sock"
	};
	require(config_load(&flags, &d.cfg, &e) == 0, e.msg);
	d.cfg.nri.disable = true; /* what plugins say is not the clients' */
	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0,
		"socketpair");
	calls_open(&d.client, fds[0]);
	d.their_fd = fds[1];
	d.loop = loop_new();
	d.pool = pool_new(POOL_MAX, POOL_IDLE_NS);
	require(pthread_create(&d.thread, NULL, run_loop, NULL) == 0, e.msg);
}

static void stop(void *arg)
{
	loop_stop(((struct daemon *)arg)->loop);
}

static void stop_server(UNUSED void *arg)
{
	grpc_server_stop(d.server, 0, stop, &d);
}

static void close_daemon(void)
{
	calls_close(&d.client);
	loop_post(d.loop, stop_server, NULL);
	pthread_join(d.thread, NULL);
	restarter_stop(d.engine->restarter);
	history_stop(d.engine->history);
	collector_stop(d.engine->collector);
	pool_free(d.pool);
	tasks_close(d.engine->tasks);
	tasks_close(d.engine->sandboxes);
	for (int i = 0; i < 2; i++) { /* what the ends above posted, and what that posted */
		loop_post(d.loop, stop, &d);
		loop_run(d.loop);
	}
	grpc_server_free(d.server);
	streams_free(d.engine->streams);
	history_free(d.engine->history);
	engine_close(d.engine);
	arena_free(d.cfg.arena);
	loop_free(d.loop);
}

static void at_exit(void)
{
	close_daemon();
	remove_folder();
}

/* --- an input -----------------------------------------------------------------------------------
 */

struct one {
	const char *service;
	const struct rpc_method *method;
	uint8_t flags;
	const uint8_t *data;
	size_t n;
};

static bool next_call(const uint8_t **data, size_t *left, struct one *ret)
{
	const uint8_t *p = *data;
	size_t services = 1, methods = 1, head = 4; /* no table is empty */

	if (*left < head)
		return false;
	while (api_services[services].name)
		services++;
	const struct rpc_service *s = &api_services[p[0] % services];
	while (s->methods[methods].name)
		methods++;
	size_t n = p[3];
	if (n & 0x80 && *left > head)
		n = (n & 0x7f) << 8 | p[head++];
	if (n > *left - head)
		n = *left - head;
	*ret = (struct one){ s->name, &s->methods[p[1] % methods], p[2], p + head, n };
	*data += head + n;
	*left -= head + n;
	return true;
}

static struct calls_meta meta_of(uint8_t flags)
{
	const char *ns = flags & OTHER_NAMESPACE ? "other" : "default";

	if (flags & BAD_NAMESPACE)
		ns = "../no such name";
	return (struct calls_meta){ flags & NO_NAMESPACE ? NULL : ns,
				    flags & LEASE ? "held" : NULL };
}

/* Waits for what may never come. */
static bool may_wait(const struct rpc_method *m)
{
	static const char *const names[] = { "Stream", "Subscribe", "Transfer", "Wait", "Watch" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (!strcmp(m->name, names[i]))
			return true;
	return false;
}

/* Leaves the call open, or sees its end. */
static void finish(const struct one *o, uint32_t id, uint32_t *open, size_t *n_open)
{
	bool waits = may_wait(o->method);

	if (o->flags & STAYS_OPEN && o->method->kind != RPC_KIND_UNARY) {
		open[(*n_open)++] = id;
		return;
	}
	calls_end(&d.client, id);
	if (!calls_wait(&d.client, id, waits ? WAITING_MS : ANSWER_MS) && !waits) {
		fprintf(stderr, "no answer from %s/%s\n", o->service, o->method->name);
		__builtin_trap();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	uint32_t id = 0, open[CALLS];
	size_t n_open = 0;
	struct one o, first = { 0 };

	if (!inputs) {
		require(mkdtemp(folder) != NULL, "mkdtemp");
		(void)atexit(at_exit);
		open_daemon();
	}
	if (++inputs % INPUTS == 0) {
		close_daemon();
		open_daemon();
	}
	for (int i = 0; i < CALLS && next_call(&data, &n, &o); i++) {
		const struct calls_meta meta = meta_of(o.flags);

		if (!id) {
			first = o;
			id = calls_begin(&d.client, o.service, o.method->name, &meta);
		}
		calls_message(&d.client, id, o.data, o.n, o.flags & COMPRESSED);
		if (o.flags & GOES_ON && first.method->kind != RPC_KIND_UNARY && n)
			continue;
		first.flags = o.flags;
		finish(&first, id, open, &n_open);
		id = 0;
	}
	if (id)
		finish(&first, id, open, &n_open);
	while (n_open)
		(void)calls_wait(&d.client, open[--n_open], 0);
	return 0;
}
