/* What the files of cri/ share: pods and their containers in memory.
 *
 * A container is a "box" here: struct container_record and its functions are the store's.
 *
 * Locks: cri->lock guards the lists, the reference counts and what is marked so below; it is never
 * held across anything slow.  A pod's and a box's turn orders what is done to it (run, stop,
 * remove); it is held while shims and networks work.  A box's turn comes after its pod's.  Whoever
 * waits for an end waits on cri->changed, under cri->lock alone. */
#pragma once

#include "cri/message.h"
#include "cri/selinux.h"
#include "engine/engine.h"
#include "oci/spec.h"
#include "task/task.h"

#include <pthread.h>

#define CRI_RUNTIME "runc" /* the one that is there without any configuration */
#define CRI_PAUSE_IMAGE "casco/pause" /* built in: there is no such image */
#define CRI_FOLDER "io.casco.cri" /* below root and state */
#define EXTENSION_POD "casco.cri.pod"
#define EXTENSION_BOX "casco.cri.container"
#define EXTENSION_STATUS "casco.cri.status"
#define KIND_LABEL "io.cri-containerd.kind"
#define LEVEL_LABEL "casco.cri.selinux-level"

enum { ID_SIZE = 65, UNKNOWN_EXIT = 255, START_ERROR_EXIT = 128 };

struct cri;
struct watcher;

/* Processor time at one moment. */
struct sample {
	int64_t at;
	uint64_t cpu_ns;
};

/* One that a later process of its pid is not taken for. */
struct process {
	uint32_t pid; /* 0: none, or not known */
	uint64_t start;
};

/* Of a writable layer, when it was last measured. */
struct layer_usage {
	int64_t at; /* 0: not yet */
	uint64_t bytes, inodes;
};

/* What the runtime of a handler can do. */
struct handler_features {
	const char *name; /* the handler's; NULL: not known */
	bool has_rro, has_userns;
};

struct pod {
	struct pod *next;
	unsigned refs; /* lock */
	struct cri *cri;
	struct arena *arena; /* all that follows, and never changes */
	const char *id, *name;
	const char *dir; /* STATE/io.casco.cri/sandboxes/ID: shared memory */
	const char *files; /* ROOT/io.casco.cri/sandboxes/ID: hosts, hostname, resolv.conf */
	const CRI(RunPodSandboxRequest) * request;
	const CRI(PodSandboxConfig) * config; /* the request's */
	int64_t created; /* ns */
	pthread_mutex_t turn;
	/* lock: */
	bool is_made; /* shown in lists */
	bool is_ready, is_removed;
	bool is_closing; /* nothing new begins in it */
	struct sample sample;
	struct process process; /* its first */
	char level[SELINUX_LEVEL_MAX]; /* of SELinux; "" without one; set before it is made */
	struct strv ips;
	uint64_t wait;
};

struct box {
	struct box *next;
	unsigned refs; /* lock */
	struct arena *arena; /* all that follows, and never changes */
	struct pod *pod; /* a reference */
	const char *id, *name, *dir; /* dir: STATE/io.casco.cri/containers/ID */
	const CRI(CreateContainerRequest) * request; /* without sandbox_config */
	const CRI(ContainerConfig) * config; /* the request's */
	const char *image_id, *image_ref, *log_path, *snapshotter;
	const CRI(ContainerUser) * user; /* or NULL */
	int stop_signal;
	int64_t created; /* ns */
	pthread_mutex_t turn;
	pthread_mutex_t saving; /* after the turn: of its record, as an end takes no turn */
	/* lock: */
	bool is_made, is_removed, is_oom;
	CRI(ContainerState) state;
	int64_t started, finished; /* ns */
	int32_t exit_code;
	struct process process;
	const char *reason; /* a constant */
	struct sample sample;
	struct layer_usage layer; /* usage.c */
	char *message; /* or NULL */
	struct arena *resources_arena; /* NULL: those of the request */
	const CRI(LinuxContainerResources) * resources; /* or NULL */
	uint64_t wait;
};

struct cri {
	struct engine *en;
	/* Those who wait for ends have the daemon's threads, and may have all of them: what they
	 * wait for runs on threads of its own. */
	struct pool *exits;
	char *root, *state; /* ROOT/io.casco.cri and STATE/io.casco.cri */
	char *pause_root; /* the root folder of pods' first processes */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct pod *pods; /* newest first */
	struct box *boxes;
	struct watcher *watchers; /* events.c */
	struct stop *stops; /* box_stop.c */
	struct loop_timer *stop_timer; /* the loop's thread: of the first whose time comes */
	struct events_sub *oom; /* events.c */
	bool is_stopping;
	size_t exec_bytes; /* lock: exec.c: output that is kept */
	unsigned n_execs; /* lock */
	struct image_cache *image_cache; /* image_read.h */
	int64_t oom_floor; /* security_oom_floor() */
	bool has_said_floor; /* lock */
	bool has_selinux; /* wanted, and there */
	struct handler_features *features; /* lock; features.c */
	size_t n_features, features_cap;
	bool is_measuring; /* lock; usage.c */
	int64_t next_measure; /* lock; monotonic */
};

/* cri.c: fn(arg) on one of the threads for ends; false, and nothing, when the daemon ends. */
bool cri_run_exit(struct cri *cri, void (*fn)(void *), void *arg);

/* --- registry.c --- */

void cri_new_id(char ret[ID_SIZE]);
int64_t cri_now(void);

struct pod *pod_new(struct cri *cri, const char *id, const CRI(RunPodSandboxRequest) * request);
struct box *box_new(struct pod *pod, const char *id, const CRI(CreateContainerRequest) * request);

/* Into the list, not yet shown.  ERR_FAILED_PRECONDITION when the name is taken. */
int pod_add(struct pod *pod, struct err *e);
int box_add(struct box *box, struct err *e);
/* Out of it, and the list's reference goes. */
void pod_drop(struct pod *pod);
void box_drop(struct box *box);

/* A reference, by the id or the beginning of one alone.  NULL: ERR_NOT_FOUND. */
struct pod *pod_find(struct cri *cri, const char *id, struct err *e);
struct box *box_find(struct cri *cri, const char *id, struct err *e);
void pod_ref(struct pod *pod);
void box_ref(struct box *box);
void pod_unref(struct pod *pod); /* NULL is fine */
void box_unref(struct box *box);
static inline void pod_unrefp(struct pod **p)
{
	pod_unref(*p);
}
static inline void box_unrefp(struct box **b)
{
	box_unref(*b);
}
#define AUTO_POD CLEANUP(pod_unrefp)
#define AUTO_BOX CLEANUP(box_unrefp)

/* References to everything that is shown (of a pod, where one is given), oldest first. */
void hold_pods(struct cri *cri, struct cri_hold *h);
void hold_boxes(struct cri *cri, const struct pod *pod, struct cri_hold *h);

/* A call of the daemon's own, or of a client's. */
struct call cri_call(struct cri *cri, struct arena *a, struct cancel *c);

/* --- pods --- */

/* pod_files.c: its folders with hosts, hostname, resolv.conf and the shared memory. */
int pod_files_make(const struct pod *pod, struct err *e);
void pod_files_unmount(const struct pod *pod);
void pod_files_remove(const struct pod *pod);
int pause_root_make(struct cri *cri, struct err *e);

/* pod_spec.c */
struct oci_idmappings cri_idmappings(struct arena *a, size_t n, CRI(IDMapping) *const *v);
bool pod_has_host(const struct pod *pod, enum oci_ns type);
bool pod_shares_pid(const struct pod *pod);
/* NULL where the pod has none */
const CRI(UserNamespace) * pod_userns(const struct pod *pod);
int pod_spec(const struct pod *pod, struct arena *a, struct any *ret, struct err *e);
const char *pod_hostname(const struct pod *pod, struct arena *a);
/* The group of a task by the pod's parent, in the way of the runtime's driver. */
const char *cri_cgroups_path(const struct pod *pod, const char *id, struct arena *a);
/* The runtime of a handler, or NULL: the built-in default. */
int cri_runtime(struct cri *cri, const char *handler, const struct config_runtime **ret,
		struct err *e);
/* What a record of this handler says of its runtime. */
int cri_set_runtime(struct cri *cri, const char *handler, struct arena *a,
		    struct container_record *r, struct err *e);

/* process.c */
struct process process_of(uint32_t pid);
/* The first of a pod that is ready. */
int pod_process(struct pod *pod, struct arena *a, struct process *ret, struct err *e);
/* Does whose namespaces the box joins still live, so that they were what it has joined? */
int box_check_joined(const struct box *box, struct arena *a, struct err *e);

/* pod_run.c: its first process runs; shown from now on */
void pod_set_ready(struct pod *pod, uint32_t pid);
/* Labels of a record. */
struct labels cri_labels(struct arena *a, size_t n, const void *entries, const char *kind);

/* recover.c: the pods of before the start */
int cri_recover(struct cri *cri, struct err *e);

/* pod_end.c; with the pod's turn */
int pod_stop(struct pod *pod, struct err *e);
/* The exit of its first process is noticed; the pod has a running task. */
void pod_watch(struct pod *pod, struct task *t);
/* Kills a task that may have ended and deletes it. */
int cri_end_task(const struct call *call, struct task *t, struct err *e);
/* One that has ended; none being there is fine. */
int cri_delete_task(const struct call *call, struct task *t, struct err *e);

/* --- boxes --- */

/* box_spec.c */
struct image_facts;
int box_spec(const struct box *box, const struct image_facts *image, const struct oci_user *user,
	     struct arena *a, struct any *ret, struct err *e);
const char *box_target(const struct box *box); /* whose processes it sees: an id, or NULL */
int box_target_process(const struct box *box, const char *target, struct process *ret,
		       struct err *e);
/* box_end.c */
/* Its log: a folder of the host's, a way below it, a name; in a.  false: it has none. */
struct box_log {
	const char *base, *below, *file;
};
bool box_log_place(const struct box *box, struct arena *a, struct box_log *ret);
int box_kill(struct box *box, struct err *e); /* until it has ended */
int box_remove(struct box *box, struct err *e); /* with its turn */
int box_discard(struct box *box, struct err *e); /* its record, snapshot and folder: never ran */
void box_watch(struct box *box, struct task *t);
void box_set_exited(struct box *box, int32_t code, const char *reason, const char *message,
		    int64_t at);
/* box_stop.c: whoever waits for its end is told */
void box_end_stops(struct box *box);
/* box_record.c: what must survive the daemon. */
int box_save(struct box *box, struct err *e);
void box_save_or_warn(struct box *box);
int box_load(struct cri *cri, const struct container_record *r, struct box **ret, struct err *e);
struct extension box_extension(const struct box *box, struct arena *a);
struct extension box_status_extension(struct box *box, struct arena *a);

/* status of one, as in lists of events: strings are the box's. */
CRI(ContainerStatus) * box_status(struct box *box, struct arena *a);
CRI(PodSandboxStatus) * pod_status(struct pod *pod, struct arena *a);

/* --- features.c --- */

/* Asks its shim the first time. */
struct handler_features cri_features(struct cri *cri, const char *handler);
/* Of a features document; for tests, too. */
int cri_features_parse(const char *text, size_t n, struct handler_features *ret, struct err *e);

/* --- usage.c --- */

/* The last figures, and the next ones are asked for. */
struct layer_usage box_layer_usage(struct box *box);

/* --- events.c --- */

int cri_watch_oom(struct cri *cri, struct err *e);

void cri_tell(struct cri *cri, CRI(ContainerEventType) type, struct pod *pod, const char *id);
void cri_drain_oom(struct cri *cri);
