/* Tasks: what runs, as the daemon sees it through shims.
 *
 * A task is a container's bundle (STATE/io.containerd.runtime.v2.task/NS/ID), the shim that keeps
 * its processes, and one ttrpc connection to that shim.  The registry holds a task from the moment
 * its bundle is made until the bundle is gone; it survives the daemon, since tasks_recover() finds
 * everything again on disk and asks the shims.
 *
 * Threads: all functions but those marked otherwise block and belong to pool threads.  One mutex
 * guards the registry, one each task; neither is held across a call to a shim, so that lists and
 * lookups wait for no busy container.  Every call to a shim has a deadline of its own: a shim that
 * does not answer costs its own callers that long and nobody else anything.
 *
 * Errors of shims come through as they are (`process already finished`, ERR_NOT_FOUND). */
#pragma once

#include "base/err.h"
#include "base/mem.h"
#include "store/container.h"
#include "store/snapshot.h"

#include <stdbool.h>
#include <time.h>

struct loop;
struct pool;
struct tasks;
struct task;

/* How long shims may take, in nanoseconds: what [timeouts] of config.toml sets. */
struct task_timeouts {
	uint64_t load; /* of one that a start of the daemon finds */
	uint64_t shutdown; /* to end, once told */
	uint64_t cleanup; /* for the delete verb of a dead one */
	uint64_t state, stats;
	uint64_t start; /* creation, start, exec, deletion: hooks and slow disks count */
};
#define TASK_TIMEOUTS_DEFAULT                            \
	((struct task_timeouts){ .load = 5000000000,     \
				 .shutdown = 3000000000, \
				 .cleanup = 5000000000,  \
				 .state = 5000000000,    \
				 .stats = 5000000000,    \
				 .start = 120000000000 })

/* What the registry needs of the daemon; borrowed for its life. */
struct tasks_env {
	const char *root, *state; /* daemon's folders */
	const char *address, *ttrpc_address; /* of the daemon's sockets, for shims */
	const char *self; /* the daemon's binary: -publish-binary */
	const char *const *shim_env; /* "K=V" */
	size_t n_shim_env;
	bool debug; /* shims get -debug */
	struct task_timeouts timeouts;
	struct loop *loop;
	struct pool *pool;
	/* Events of shims, and ours for dead shims.  Any thread; must not block. */
	int (*publish)(void *arg, struct timespec time, const char *ns, const char *topic,
		       const struct any *event, struct err *e);
	void *arg;
};

struct tasks *tasks_new(const struct tasks_env *env);

/* Reads all bundles, connects to their shims (in parallel, each within timeouts.load), and cleans
 * up behind those that are gone.  Problems with single bundles are logged, not returned. */
int tasks_recover(struct tasks *ts, struct err *e);

/* Closes the connections; shims and containers go on.  What that leaves to do is posted to the
 * loop, which must run once more before tasks_free(). */
void tasks_close(struct tasks *ts);
void tasks_free(struct tasks *ts); /* NULL is fine */

/* What the shim of a runtime (a name or a path) says about itself, a containerd.types.RuntimeInfo.
 * options: a google.protobuf.Any's bytes for it, or none.  Blocks until the shim has ended. */
int tasks_shim_info(const struct tasks *ts, const char *runtime, const void *options, size_t n,
		    struct arena *a, struct any *ret, struct err *e);

/* Is the shim of a runtime's name the one that came with this daemon?  PATH may lead to another. */
bool tasks_shim_is_own(const struct tasks *ts, const char *runtime);

/* Serves shims' events (ttrpc) on a listening socket.  The loop's thread only, both. */
void tasks_listen(struct tasks *ts, int fd_take);
void tasks_unlisten(struct tasks *ts);

enum task_status {
	TASK_UNKNOWN = 0, /* the numbers are the API's */
	TASK_CREATED = 1,
	TASK_RUNNING = 2,
	TASK_STOPPED = 3,
	TASK_PAUSED = 4,
	TASK_PAUSING = 5,
};

struct task_exit {
	uint32_t pid, status;
	struct timespec at; /* tv_sec 0: not known */
};

/* One process; strings live in the arena it was made in. */
struct task_state {
	const char *container_id, *exec_id; /* exec_id "" is the init */
	enum task_status status;
	uint32_t pid;
	const char *in, *out, *err;
	bool terminal;
	struct task_exit exit; /* of a stopped process */
};

struct task_io {
	const char *in, *out, *err; /* paths or URIs; "" is none */
	bool terminal;
};

struct task_new {
	const char *ns, *id;
	const char *runtime; /* "io.containerd.runc.v2" or a path */
	const char *runtime_path; /* of the shim binary, or NULL */
	struct any spec; /* value is config.json, byte for byte */
	struct any options; /* the task's own, else the container's; type_url NULL: none */
	struct mounts rootfs;
	struct task_io io;
	/* A sandbox to join, by its id ("" or NULL: none), and where its shim listens if the client
	 * says so ("unix://…" and the task service's version); else it is looked for in sandboxes.
	 */
	const char *sandbox, *sandbox_address;
	uint32_t sandbox_version;
	struct tasks *sandboxes;
	/* A checkpoint to go on from: a folder, or what fills one that lives as long as the task.
	 */
	const char *checkpoint; /* NULL: none */
	int (*unpack)(const char *dir, void *arg, struct err *e); /* NULL: none */
	void *unpack_arg;
	uint64_t deadline; /* CLOCK_MONOTONIC ns, 0: the default */
	bool has_network_failed; /* set by engine_task_create(), where that is why */
};

/* Bundle, shim, Create.  Whatever fails, nothing is left.  ERR_ALREADY_EXISTS `task ID`. */
int task_create(struct tasks *ts, const struct task_new *n, uint32_t *ret_pid, struct err *e);

/* A reference, or ERR_NOT_FOUND `task ID not found` (without class text, as containerd says it). */
int task_get(struct tasks *ts, const char *ns, const char *id, struct task **ret, struct err *e);
struct task *task_ref(struct task *t);
void task_unref(struct task *t); /* NULL is fine */
static inline void task_unrefp(struct task **t)
{
	task_unref(*t);
}
#define AUTO_TASK CLEANUP(task_unrefp)

const char *task_id(const struct task *t);
const char *task_bundle(const struct task *t);

/* The init processes of all tasks of a namespace, as known from our own calls and an open wait for
 * each.  Shims of which less is known are asked at the same time; one that does not answer within
 * TASK_LIST_NS is shown as it was last seen, and is not waited for again until it has answered. */
int task_list(struct tasks *ts, const char *ns, struct arena *a, struct task_state **ret,
	      size_t *ret_n, struct err *e);

/* exec_id "" or NULL is the init. */
int task_state(struct task *t, const char *exec_id, struct arena *a, struct task_state *ret,
	       struct err *e);
int task_start(struct task *t, const char *exec_id, uint32_t *ret_pid, struct err *e);
int task_kill(struct task *t, const char *exec_id, uint32_t signal, bool all, struct err *e);
int task_exec(struct task *t, const char *exec_id, const struct any *process,
	      const struct task_io *io, struct err *e);
int task_resize(struct task *t, const char *exec_id, uint32_t width, uint32_t height,
		struct err *e);
int task_close_io(struct task *t, const char *exec_id, struct err *e);
int task_pause(struct task *t, struct err *e);
int task_resume(struct task *t, struct err *e);
int task_update(struct task *t, const struct any *resources, const struct labels *annotations,
		struct err *e);

/* dir: where the images go.  options: containerd.runc.v1.CheckpointOptions, or none.  deadline as
 * of a new task. */
int task_checkpoint(struct task *t, const char *dir, const struct any *options, uint64_t deadline,
		    struct err *e);

struct task_pid {
	uint32_t pid;
	struct any info;
};
int task_pids(struct task *t, struct arena *a, struct task_pid **ret, size_t *ret_n, struct err *e);

/* io.containerd.cgroups.v1.Metrics or v2's. */
int task_stats(struct task *t, struct arena *a, struct any *ret, struct err *e);

/* An exec's record, or (exec_id "") the task itself: the shim ends with its last container, and
 * the bundle is removed. */
int task_delete(struct task *t, const char *exec_id, struct task_exit *ret, struct err *e);

/* Waiting without a thread.  task_wait_new() only reserves an id; task_wait_begin() asks the shim.
 * fn runs exactly once after begin, on the loop's thread or a pool thread: when the process has
 * ended (also when it had ended before), when its shim has died (the status is then what the
 * clean-up found), or after task_wait_cancel().  An id may be cancelled at any time, also when
 * nobody knows it any more. */
typedef void task_wait_fn(const struct err *e, const struct task_exit *x, void *arg);
uint64_t task_wait_new(struct task *t, const char *exec_id, task_wait_fn *fn, void *arg);
void task_wait_begin(struct tasks *ts, uint64_t id);
void task_wait_cancel(struct tasks *ts, uint64_t id); /* any thread, the loop's too */
