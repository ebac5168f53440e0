/* ROOT/ID/state.json: what other calls need to know of a container that one call made.
 *
 * The folder is the lock on the id: mkdir succeeds for one.  The file is replaced as a whole, not
 * flushed to disk: ROOT is on a tmpfs and means nothing after a reboot. */
#pragma once

#include "cgroup/cgroup.h"
#include "runtime/plan.h"
#include "runtime/rdt.h"
#include "runtime/runtime.h"
#include "runtime/seccomp.h"

#define STATE_FIFO "exec.fifo"
/* The folder of the socket for sd_notify(), and where the container sees it. */
#define STATE_NOTIFY "notify"
#define STATE_NOTIFY_INSIDE "/run/notify"

struct state {
	struct runtime_state pub;
	pid_t init_pid; /* also when stopped */
	uint64_t start_time; /* of init: a pid comes again, this pair does not */
	uint64_t ns; /* CLONE_NEW… it is in, other than ours */
	struct plan_caps caps; /* what exec has unless told otherwise */
	struct tune tune; /* the same */
	const char *apparmor, *selinux; /* the same; NULL: none */
	struct cgroup_unit unit; /* systemd's; name NULL or "": none */
	bool no_new_keyring; /* exec keeps the caller's session keyring, as init did */
	struct oci_hook_list poststart, poststop;
	const char *resources; /* linux.resources without devices, as JSON; NULL: none */
	struct rdt_state rdt;
	const char *listener_path, *listener_metadata; /* of a filter that notifies; or NULL */
	int dirfd; /* ROOT/ID */
};
#define STATE_SECCOMP_CACHE ".seccomp" /* beside the containers: no id */
#define STATE_NONE ((struct state){ .dirfd = -1 })
void state_done(struct state *s);
#define AUTO_STATE CLEANUP(state_done)

/* Makes ROOT (0700) and ROOT/ID; returns its fd.  ERR_ALREADY_EXISTS "container with given ID
 * already exists". */
int state_make_dir(const char *root, const char *id, struct err *e);

/* From state_make_dir() on the container is RUNTIME_CREATING to all others, state.json or not,
 * until this or the end of who makes it: its first process is not yet where it belongs, and
 * nobody may follow it there. */
void state_made(const struct state *s);
/* 0 when nobody makes that container (any more), -EBUSY when somebody still does after so long. */
int state_wait_folder_made(const char *root, const char *id, unsigned timeout_ms);
int state_remove_dir(const char *root, const char *id, struct err *e);

int state_write(const struct state *s, struct err *e);

/* With the status of this moment. procfd: the host's. ERR_NOT_FOUND "container does not exist". */
int state_load(const struct runtime *rt, struct arena *a, const char *id, int procfd,
	       struct state *ret, struct err *e);

/* While it is RUNTIME_CREATING, up to ms milliseconds: its process may run before its maker hears
 * of that. */
int state_wait_made(struct state *s, int procfd, unsigned ms, struct err *e);

/* A pidfd of init; ERR_FAILED_PRECONDITION "container not running" when it is gone. */
int state_open_init(const struct state *s, int procfd, struct err *e);

/* Before state.json is there: the cgroups that are about to be made, for who clears up. */
int state_add_place(const struct state *s, const char *controller, const char *path, struct err *e);
int state_load_places(int dirfd, struct arena *a, struct oci_pairs *ret, struct err *e);

/* The filter that exec needs again. */
int state_save_seccomp(const struct state *s, const struct seccomp_filter *f, struct err *e);
int state_load_seccomp(const struct state *s, struct seccomp_filter *ret, struct err *e);

/* state_json.c: the file's text, and the spec's state object. */
void state_print(const struct state *s, struct str *out);
int state_parse(struct arena *a, const char *text, size_t n, struct state *ret, struct err *e);
