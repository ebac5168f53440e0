/* For tests of services: a client and a server on a socket pair, with a real store, exchange and
 * collector.  The test defines api_services[]: only what it links. */
#pragma once

#include "api/containerd/api.h"
#include "api/containerd/attach.h"
#include "api/containerd/services.h"
#include "base/test.h"
#include "engine/collector.h"
#include "engine/events.h"
#include "loop/loop.h"
#include "loop/pool.h"
#include "os/file.h"
#include "store/store.h"
#include "wire/grpc_client.h"
#include "wire/grpc_server.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>

struct bench {
	char root[32];
	struct config cfg;
	struct engine en;
	struct grpc_server *server;
	pthread_t thread;
	struct grpc_client *client;
	struct arena *a;
};

static inline void *loop_thread(void *arg)
{
	loop_run(arg);
	return NULL;
}

struct added {
	struct grpc_server *server;
	int fd;
};

static inline void add_socket(void *arg)
{
	struct added *a = arg;

	CHECK(grpc_server_add(a->server, a->fd) == 0);
	free(a);
}

static inline void add_client(struct bench *b, struct grpc_client **ret)
{
	struct added *a = NEW(struct added);
	struct err e = { 0 };
	int fds[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
	*a = (struct added){ b->server, fds[0] };
	loop_post(b->en.loop, add_socket, a);
	CHECK_OK(grpc_connect_fd(fds[1], ret, &e), &e);
}

static inline void open_bench(struct bench *b)
{
	struct err e = { 0 };

	*b = (struct bench){ .root = "/tmp/casco-test-XXXXXX", .a = arena_new() };
	CHECK(mkdtemp(b->root));
	b->cfg = (struct config){ .root = b->root, .timeouts = TASK_TIMEOUTS_DEFAULT };
	b->en = (struct engine){ .cfg = &b->cfg,
				 .loop = loop_new(),
				 .pool = pool_new(8, 100000000),
				 .events = events_new(),
				 .uuid = "01234567-89ab-4def-8123-456789abcdef" };
	CHECK_OK(store_open(b->root, &b->en.store, &e), &e);
	b->en.collector = collector_new(b->en.store, &b->cfg.gc, b->en.loop, b->en.pool);
	api_attach(&b->en);
	b->server = grpc_server_new(b->en.loop, b->en.pool, api_services, &b->en);
	add_client(b, &b->client);
	CHECK(pthread_create(&b->thread, NULL, loop_thread, b->en.loop) == 0);
}

static inline void stopped(void *arg)
{
	loop_stop(((struct bench *)arg)->en.loop);
}

static inline void stop(void *arg)
{
	grpc_server_stop(((struct bench *)arg)->server, 20000000, stopped, arg);
}

static inline void close_bench(struct bench *b)
{
	loop_post(b->en.loop, stop, b);
	pthread_join(b->thread, NULL);
	grpc_close(b->client);
	grpc_server_free(b->server);
	pool_free(b->en.pool);
	collector_free(b->en.collector);
	events_free(b->en.events);
	store_close(b->en.store);
	loop_free(b->en.loop);
	arena_free(b->a);
	CHECK(file_remove_tree(AT_FDCWD, b->root) == 0);
}

static inline int call(struct bench *b, const char *path, const void *req,
		       const ProtobufCMessageDescriptor *type, void *ret, struct err *e)
{
	err_clear(e);
	return grpc_call(b->client, path, req, type, b->a, ret, NULL, e);
}
