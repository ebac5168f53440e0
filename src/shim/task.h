/* What the shim keeps: containers, each with its init process and execs, all on the loop's thread.
 *
 * A process goes created → running ⇄ paused → stopped; every change is made by proc_set_state().
 * Slow steps (runtime calls, waiting for output) are operations: one at a time for each process.
 * A call that finds its process busy is parked and dispatched again when the operation ends.  Reads
 * and signals never wait. */
#pragma once

#include "base/err.h"
#include "cgroup/cgroup.h"
#include "shim/oci.h"
#include "shim/options.h"

#include <stdbool.h>
#include <time.h>

struct container;
struct events;
struct loop;
struct memory;
struct reaper;
struct sandbox;
struct streams;
struct ttrpc_call;
struct ttrpc_server;

struct shim {
	struct loop *loop;
	struct reaper *reaper;
	struct events *events;
	struct ttrpc_server *server;
	struct memory *memory;
	const char *ns;
	const char *own_runc; /* beside our own binary; "" when unknown */
	struct container *containers;
	struct sandbox *sandbox; /* shim/sandbox.h; NULL: a shim for containers alone */
	/* Shutdown, when nothing is left: first the socket's name goes, so that whoever was told
	 * that we end finds none, were we killed on our way, too. */
	void (*hide)(struct shim *s);
	void (*stop)(struct shim *s);
	int socket_fd; /* tells its name */
};

enum proc_state { PROC_CREATED, PROC_RUNNING, PROC_PAUSED, PROC_STOPPED };
extern const char *const proc_state_names[]; /* "created" … */

struct call_list {
	struct ttrpc_call *call;
	struct call_list *next;
};
void call_list_add(struct call_list **l, struct ttrpc_call *call);
void call_list_remove(struct call_list **l, const struct ttrpc_call *call); /* absent is fine */

struct proc {
	struct container *container;
	char *id; /* of an exec; "" for init */
	enum proc_state state;
	bool is_pausing;
	pid_t pid;
	int pidfd;
	char *in, *out, *err; /* as requested */
	bool terminal;
	struct streams *io;
	char *pid_file;
	char *spec; /* of an exec, until it starts */
	size_t spec_len;

	bool is_busy, is_starting;
	struct ttrpc_call *op; /* the call that is being served, while busy */
	struct call_list *queue; /* calls parked behind it, last one first */
	struct loop_timer *drain_timer;

	bool is_reaped; /* it has ended; not announced while others come first */
	uint32_t exit_status;
	struct timespec exited_at;
	struct call_list *waiters; /* Wait calls */
	struct proc *next;
};

struct container {
	struct shim *shim;
	char *id, *bundle;
	int bundlefd;
	bool is_creating; /* not to be seen yet */
	bool is_mounted;
	/* A shared pid namespace: the rest is killed after init's end. */
	bool was_killed_all, is_killing_all;
	bool is_pidns_known, shares_pidns;
	struct oci_runtime runtime;
	struct proc init;
	struct proc *execs;
	uid_t io_uid;
	gid_t io_gid;
	bool no_pivot_root, no_new_keyring;
	/* Created from a checkpoint: where it lies, and who will read it when it starts; else NULL.
	 */
	char *checkpoint, *parent_checkpoint;
	char *criu_work;
	/* Where init was born: later it may be deeper, in a cgroup of its own making. */
	struct arena *cgroup_arena;
	struct oci_pairs cgroup_paths;
	bool has_own_cgroup; /* another's runtime may leave it in ours */
	struct cgroup_oom oom;
	struct loop_io *oom_io;
	struct container *next;
};

/* Lookups with the task API's errors.  exec_id "" is init. */
struct container *container_get(struct shim *s, const char *id, struct err *e);
struct proc *proc_get(struct shim *s, const char *id, const char *exec_id, struct err *e);

struct container *container_new(struct shim *s, const char *id, const char *bundle);
/* Parked calls are dispatched once more, and find nothing. */
void container_free(struct container *c);

/* An exec in state created, in the container's list. */
struct proc *exec_new(struct container *c, const char *id);
void exec_free(struct proc *p);

bool proc_is_init(const struct proc *p);
void proc_set_state(struct proc *p, enum proc_state to);

/* true: the call is parked behind the operation at hand. */
bool proc_defer(struct proc *p, struct ttrpc_call *call);
void proc_begin(struct proc *p, struct ttrpc_call *call);
struct ttrpc_call *
proc_end(struct proc *p); /* returns what was served; the parked ones go on soon */

/* Wait: answered when the process's end is announced. */
void proc_add_waiter(struct proc *p, struct ttrpc_call *call);
void proc_answer_wait(const struct proc *p, struct ttrpc_call *call);
void proc_answer_waiters(struct proc *p);

/* From the moment its pid is known and its beginning is announced. */
void proc_watch(struct proc *p);
/* After a start: the end may have come in the meantime. */
void proc_started(struct proc *p);
/* One that will not start after all. */
void proc_abandoned(struct proc *p);

/* Whether it shares a pid namespace, which its end asks: noted while there is time. */
void container_note_pidns(struct container *c);

/* The container's cgroup: noted while init stands still before its program (best effort), and
 * opened from then on.  The caller frees *ret. */
void container_note_cgroup(struct container *c);
int container_load_cgroup(const struct container *c, struct cgroup **ret, struct err *e);

/* OOM events of the container's cgroup, best effort. */
void container_watch_oom(struct container *c);
