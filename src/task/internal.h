/* Inside of task/: the registry, one task, one connection, and who may touch what.
 *
 * struct tasks: `lock` guards the table of tasks and the table of waits.
 * struct task: what never changes after it is in the registry needs no lock; `lock` guards the
 * rest.  Order: task.lock, then tasks.lock, then nothing; no call to a shim under either.
 *
 * Life of a task (task_set_phase() in registry.c is the only writer of ->phase):
 *
 *	STARTING ──► ALIVE ──► DELETING ──► GONE
 *	    │          └─────► LOST ────────► │      the shim died: clean-up runs
 *	    └────────────────────────────────►       create failed
 *
 * DELETING may go back to ALIVE: the shim refused, since something still runs. */
#pragma once

#include "task/task.h"

#include "base/str.h"
#include "containerd/runtime/task/v3/shim.pb-c.h"
#include "wire/ttrpc_client.h"

#include <pthread.h>
#include <stdatomic.h>

enum task_phase { PHASE_STARTING, PHASE_ALIVE, PHASE_DELETING, PHASE_LOST, PHASE_GONE };

#define SECOND 1000000000ull
#define TASK_LIST_NS (SECOND / 2)
#define TASK_CALL_NS (15 * SECOND)
#define TASK_START_MS 30000 /* of the shim binary */
#define TASK_DIAL_NS (10 * SECOND)

enum { TASK_BUCKETS = 256, TASK_SPEC_MAX = 16 * 1024 * 1024 };

/* A connection is shared by the calls that run on it; the last one out closes it. */
struct conn {
	_Atomic unsigned refs;
	struct ttrpc_client *client;
	struct task *task; /* a reference: whose shim it is */
	const char *service; /* "containerd.task.v3.Task" */
};

struct shim_log; /* log.c */
struct again; /* again.c */

struct task {
	_Atomic unsigned refs;
	struct tasks *ts;
	struct task *next; /* in its bucket: tasks.lock */
	char *ns, *id, *bundle, *work;
	char *shim_path; /* of the shim binary */
	char *socket; /* where the shim listens, once that is known; set before ALIVE */
	bool is_sandboxed; /* its shim is a sandbox's, and outlives it */
	int starter; /* pidfd of the shim's `start`, which has answered; -1.  Its creator's alone */
	bool is_again; /* holds the name while remains are cleaned up (again.c) */

	pthread_mutex_t lock;
	enum task_phase phase;
	struct conn *conn;
	struct shim_log *log;
	struct task_state last; /* as last seen; strings owned below */
	char *in, *out, *err;
	bool is_slow; /* did not answer a list in time; cleared by its next answer */
	bool has_ended; /* a sandbox, and its event is out */
	uint64_t watch; /* our own wait for init's end; 0: none */
	struct task_question *questions; /* of its waits to the shim (wait.c): tasks.lock */
};

struct task_wait {
	_Atomic unsigned refs;
	uint64_t id;
	struct task_wait *next; /* in its bucket: tasks.lock, as are the flags */
	bool is_begun, is_ended, is_cancelled;
	struct task *task;
	char *exec_id;
	task_wait_fn *fn;
	void *arg;
};

struct tasks {
	const struct tasks_env *env;
	const char *folder; /* below root and state */
	const char *service; /* of the shims; NULL: the task service, by version */
	pthread_mutex_t lock;
	struct task *buckets[TASK_BUCKETS];
	struct task_wait *waits[TASK_BUCKETS];
	uint64_t last_wait;
	struct ttrpc_server *events; /* loop thread */
	struct loop_timer *sweep; /* loop thread */
	struct again *again; /* loop thread */
	bool is_closed; /* loop thread */
	pthread_cond_t removed; /* a task from the table: lock */
};

/* registry.c */
struct task *task_new(struct tasks *ts, const char *ns, const char *id);
/* The table's own reference.  Waits for one that only cleans up (again.c). */
int tasks_add(struct tasks *ts, struct task *t, struct err *e);
void tasks_remove(struct tasks *ts, struct task *t);
size_t tasks_of(struct tasks *ts, const char *ns, struct arena *a, struct task ***ret); /* refs */
bool task_set_phase(struct task *t, enum task_phase to); /* false: not allowed from here */
enum task_phase task_phase(struct task *t);
void task_note_status(struct task *t, enum task_status status, uint32_t pid);
void task_note_exit(struct task *t, const struct task_exit *x);
void task_note_io(struct task *t, const struct task_io *io);

/* bundle.c: folders and small files */
struct bootstrap {
	int version; /* of the task service */
	char address[512]; /* "unix://…" */
};
int bundle_make(struct task *t, const struct any *spec, struct err *e);
int bundle_open(const struct task *t, struct err *e); /* an O_PATH-like folder fd for cwd */
int bundle_write(const struct task *t, const char *name, const void *p, size_t n, struct err *e);
char *bundle_read(const struct task *t, const char *name); /* NULL when there is none; malloc'd */
int bundle_save_bootstrap(const struct task *t, const struct bootstrap *b, struct err *e);
int bundle_load_bootstrap(const struct task *t, struct bootstrap *ret, struct err *e);
void bundle_unmount(const struct task *t); /* its rootfs */
void bundle_remove(const struct task *t); /* all that the task left; failures are logged */

/* Where the shim of a living task or sandbox listens; -1: there is none. */
int tasks_endpoint(struct tasks *ts, const char *ns, const char *id, struct bootstrap *ret);

/* remains.c: outside of the bundle */
bool remains_note_fifos(const struct task *t, const char *exec_id, const struct task_io *io);
void remains_forget_fifos(const struct task *t, const char *exec_id); /* they are the client's */
void remains_remove_fifos(const struct task *t, const char *exec_id); /* an exec's */
void remains_remove(const struct task *t); /* all; before the bundle */

/* sweep.c */
void sweep_begin(struct tasks *ts); /* dead shims' sockets, on a pool thread, now and later */
void sweep_end(struct tasks *ts);
/* Work folders without a bundle; before there are calls. */
void sweep_works(const struct tasks *ts);

/* again.c */
void again_note(struct task *t); /* its shim's delete verb failed; any thread */
void again_stop(struct tasks *ts); /* loop thread, before the pool ends its last job's posts */
void again_free_all(struct tasks *ts);

/* bootstrap.c: the shim binary */
int runtime_to_shim(const char *runtime, const char *self, char **ret, struct err *e);
int bootstrap_parse(const void *out, size_t n, struct bootstrap *ret, struct err *e);
int shim_start(struct task *t, const struct any *options, struct bootstrap *ret, struct err *e);
void shim_start_end(struct task *t); /* waits for the end of `start`; once the shim was asked */
int shim_delete(const struct task *t, struct task_exit *ret, struct err *e);

/* log.c: the fifo on which a shim logs, copied to our stderr */
struct shim_log *shim_log_open(const struct task *t, struct err *e);
void shim_log_close(struct shim_log *l); /* NULL is fine; any thread */

/* conn.c */
int conn_open(struct task *t, const struct bootstrap *b, uint64_t timeout, struct conn **ret,
	      struct err *e);
struct conn *conn_ref(struct conn *c);
void conn_unref(struct conn *c); /* NULL is fine */
struct conn *task_conn(struct task *t, struct err *e); /* a reference; ERR_UNAVAILABLE without */
int conn_call(struct conn *c, const char *ns, const char *method, uint64_t timeout, const void *req,
	      const ProtobufCMessageDescriptor *rsp, void *ret_rsp, struct err *e);
int task_call(struct task *t, const char *method, uint64_t timeout, const void *req,
	      const ProtobufCMessageDescriptor *rsp, void *ret_rsp, struct err *e);

/* create.c */
Containerd__Types__Mount **task_mounts_to(const struct mounts *from, struct arena *a);
void task_any_to(const struct any *from, Google__Protobuf__Any *to); /* borrows from */
struct any task_any_from(const Google__Protobuf__Any *from,
			 struct arena *a); /* NULL: an empty one */
int task_start_shim(struct task *t, const struct any *options, struct err *e);
uint64_t task_time_left(const struct task *t, uint64_t deadline); /* of timeouts.start */
void task_alive(struct task *t); /* STARTING is over */
bool task_undo_shim(struct task *t); /* Shutdown, then the delete verb; false: that failed */

/* sandbox.c */
int sandbox_ask(struct task *t, struct err *e); /* after a restart: does it live? */
void sandbox_note_end(struct task *t, const struct task_exit *x); /* and its event, once */
static inline bool task_is_sandbox(const struct task *t)
{
	return t->ts->service;
}

/* wedged.c */
void task_kill_wedged(struct task *t); /* its shim did not answer Shutdown in time */

/* watch.c */
void task_watch(struct task *t); /* once its shim knows the init process */
void task_unwatch(struct task *t);

/* end.c */
void task_publish(struct task *t, const char *topic, const char *type, const ProtobufCMessage *m);
void task_lost(struct task *t); /* pool thread: the connection broke */
/* Bundle and registry entry go; the bundle stays when not all could be cleaned up, until that
 * has been done. */
void task_bury(struct task *t, const struct task_exit *x, bool is_clean);

/* list.c: asks again in the background; until the answer lists show what was last seen */
void task_probe(struct task *t);

/* wait.c */
void task_waits_end(struct task *t, const struct task_exit *x);

/* convert.c: between plain structs and the shim's messages */
struct timespec task_time(const Google__Protobuf__Timestamp *t);
void task_state_from(const Containerd__Task__V3__StateResponse *r, const char *id, struct arena *a,
		     struct task_state *ret);
void task_note_state(struct task *t, const Containerd__Task__V3__StateResponse *r);
