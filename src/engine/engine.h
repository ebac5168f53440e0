/* The daemon: what every use case needs, opened in a written order and closed in reverse.
 *
 * One struct engine a process.  It is complete before the first call comes in and its pointers
 * never change after that, so handlers on any thread read them without a lock; what they point to
 * guards itself.  The order of locks is in docs/threading.md. */
#pragma once

#include "base/err.h"
#include "base/mem.h"
#include "engine/config.h"
#include "loop/cancel.h"
#include "task/task.h"

#include <stdatomic.h>

struct loop;
struct pool;
struct events;
struct store;
struct streams;
struct collector;
struct flights;
struct verifier;
struct restarter;
struct history;
struct engine_nri;
struct engine_network;
struct cri;
struct cri_pulls;
struct stream_server;

struct engine {
	const struct config *cfg;
	struct loop *loop;
	struct pool *pool;
	struct events *events; /* engine/events.h */
	struct store *store; /* store/store.h: database, content, snapshots */
	struct tasks *tasks; /* task/task.h: shims and their processes */
	struct tasks *sandboxes; /* task/sandbox.h: shims that hold tasks together */
	struct tasks_env tasks_env; /* what tasks borrows */
	struct streams *streams; /* api/containerd/streaming.h: the program's, set before serving */
	struct history *history; /* api/containerd/history.h: likewise */
	struct cri *cri; /* cri/cri.h: likewise */
	struct cri_pulls *cri_pulls; /* api/cri/image.h: likewise */
	struct stream_server *stream_server; /* api/cri/stream.h: likewise; NULL: CRI is off */
	struct collector *collector; /* engine/collector.h: background collection */
	struct engine_nri *nri; /* engine/nri.h; NULL: disabled */
	struct engine_network *network; /* engine/network.h */
	struct verifier *verifier; /* image/verify.h; NULL: every image may come in */
	struct flights *flights; /* image/flight.h: pulls that are going on */
	struct restarter *restarter; /* engine/restart.h */
	atomic_uint n_elsewhere; /* calls that wait for another program's answer */
	char uuid[37]; /* the daemon's identity: ROOT/io.containerd.grpc.v1.introspection/uuid */
	int lock_fd; /* of ROOT/.lock: one daemon a root */
};

/* One request on its way through the daemon.  Lives on the handler's stack; what it points to
 * lives as long as the call. */
struct call {
	struct engine *engine;
	const char *ns; /* a valid identifier, or NULL where the method needs none */
	const char *lease; /* id of the lease that new resources join, or NULL */
	struct arena *arena; /* freed after the reply */
	uint64_t deadline; /* CLOCK_MONOTONIC ns; 0: none */
	struct cancel *cancel; /* NULL: nobody can cancel */
};

/* Folders (0700), the lock, store, events, tasks (with the shims that are still alive).  cfg, loop
 * and pool are borrowed and outlive the engine.  May take as long as the slowest living shim needs
 * (bounded); the loop must be running in another thread, or answers of shims do not arrive. */
int engine_open(const struct config *cfg, struct loop *loop, struct pool *pool, struct engine **ret,
		struct err *e);

/* After the servers have stopped and the pool is idle. Running containers keep running. */
void engine_close(struct engine *en);

/* ROOT/checkpoints: images on their way into content.  Its maker makes the folder; what a daemon
 * that was killed left in it goes when the next one opens. */
const char *engine_checkpoints(const struct engine *en, struct arena *a);
