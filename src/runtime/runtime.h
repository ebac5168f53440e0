/* The OCI runtime as a library: what cmd/runc and the shim call.
 *
 * Single-threaded callers only: each call may fork, and blocks until the container has come as far
 * as the call's name says (a few milliseconds; longer where hooks run).  A process that a call
 * returns is a child of the caller, who reaps it; hooks and helpers are reaped here, by pidfd, so
 * a caller's SIGCHLD handling must ignore pids it does not know.  No call changes the caller's
 * namespaces, working directory, umask or signal mask for good.
 *
 * On failure nothing is left of what the call began: no process, mount, cgroup or state folder.
 * Error sentences are runc's where runc has one ("container does not exist").
 *
 * State lives in ROOT/ID/: state.json, and exec.fifo from create until start. */
#pragma once

#include "base/err.h"
#include "base/mem.h"
#include "oci/spec.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/* What all calls share; the caller fills it once.  Strings are borrowed. */
struct runtime {
	const char *root; /* "/run/runc", or the shim's ROOT/NAMESPACE; made when missing */
	bool systemd_cgroup; /* cgroupsPath is slice:prefix:name */
	bool rootless; /* cgroup permission errors are forgiven */
	struct steps
		*steps; /* where it and its children note what they are at (os/steps.h), or NULL */
};

/* First thing in main() of a program that uses this library: goes on as a copy of the program
 * that nothing inside a container can write (mapped anew from a detached read-only mount; where
 * the kernel refuses that, executed again, once, from there or from a sealed memfd), and makes
 * the process non-dumpable.  argv and
 * environment pass through unchanged.  Only returns in the protected program, or -1. */
int runtime_protect_self(char **argv, struct err *e);

/* Lets go of the mount that the program was executed from (it lasts as long as the program does).
 * The kernel waits until no processor looks at a mount before it frees one, 0.1 ms: so when there
 * is nothing else to do.  Without this call the end of the process does it. */
void runtime_release_self(void);

/* Where a process's terminal goes, if it has one (oci_process.terminal). */
enum runtime_console {
	RUNTIME_CONSOLE_NONE, /* the process has no terminal; asking for one is an error */
	RUNTIME_CONSOLE_SOCKET, /* the master's fd is sent to `console_socket` */
	RUNTIME_CONSOLE_RETURN, /* the master's fd is returned */
	/* the same, and "\n" is not made "\r\n": for a caller whose own terminal does that */
	RUNTIME_CONSOLE_RETURN_PLAIN,
};

/* How a process is connected to its caller. */
struct runtime_io {
	int stdio[3]; /* without a terminal: becomes 0, 1, 2; -1 is the caller's own; borrowed */
	enum runtime_console console;
	const char *console_socket; /* path */
	const char *pid_file; /* written when the process exists; NULL: none */
	const char *pidfd_socket; /* path: a pidfd of the process is sent there; NULL: none */
	unsigned preserve_fds; /* fds 3 … 3+n-1 of the caller stay open in the process */
};
#define RUNTIME_IO_INHERIT ((struct runtime_io){ .stdio = { -1, -1, -1 } })

/* A process that a call made.  The caller owns the fds. */
struct runtime_process {
	pid_t pid; /* in the caller's pid namespace */
	int pidfd;
	int console; /* master, with RUNTIME_CONSOLE_RETURN…; else -1 */
};
#define RUNTIME_PROCESS_NONE ((struct runtime_process){ .pidfd = -1, .console = -1 })
void runtime_process_done(struct runtime_process *p); /* closes the fds */

struct runtime_create {
	const char *id;
	const char *bundle; /* folder; relative is from the working directory */
	/* Parsed from BUNDLE/config.json by the caller, see runtime_load_spec(). */
	const struct oci_spec *spec;
	struct runtime_io io;
	bool no_pivot, no_new_keyring;
	/* Called when ROOT/ID was made, before anything of the container exists: for files of the
	 * caller's that shall go with it.  NULL: none. */
	int (*on_dir)(int dirfd, void *arg, struct err *e);
	void *on_dir_arg;
	/* Called when state and cgroup are made and the rootfs is what is needed next: for a caller
	 * that makes it meanwhile, to wait.  NULL: it is there. */
	int (*on_root)(void *arg, struct err *e);
	void *on_root_arg;
};

/* BUNDLE/config.json read and parsed into the arena; spec->warnings are the caller's to log. */
int runtime_load_spec(struct arena *a, const char *bundle, struct oci_spec **ret, struct err *e);

/* Everything up to the container's execve: it waits there for runtime_start(), from any process. */
int runtime_create(const struct runtime *rt, const struct runtime_create *c,
		   struct runtime_process *ret, struct err *e);

/* create and start in one: no fifo, and execve's own failure is an error of this call. */
int runtime_run(const struct runtime *rt, const struct runtime_create *c,
		struct runtime_process *ret, struct err *e);

int runtime_start(const struct runtime *rt, const char *id, struct err *e);

/* The same for a caller that must not wait: 1 when it is started; 0, and nothing was done, when it
 * has poststart hooks, which are waited for. */
int runtime_start_now(const struct runtime *rt, const char *id, struct err *e);

/* The init process, or all processes of the container's cgroup.
 * Stopped: ERR_FAILED_PRECONDITION "container not running", which for all means nobody left. */
int runtime_kill(const struct runtime *rt, const char *id, int sig, bool all, struct err *e);

/* A stopped container, or a created one, which has not run anything: its cgroup, state folder and
 * poststop hooks.  force: kills it first, and a
 * container that does not exist is fine. */
int runtime_delete(const struct runtime *rt, const char *id, bool force, struct err *e);

/* The same for a caller that must not wait, of a stopped container without poststop hooks: false
 * when it could not be done at once; runtime_delete() does the rest, or says why not. */
bool runtime_delete_now(const struct runtime *rt, const char *id);

/* For callers that share a root with others.  By force, but only what was made from that bundle (a
 * real path): another's is left alone, which is no error; one that is being made is waited for,
 * then ERR_FAILED_PRECONDITION.  And one that has ended only, ERR_FAILED_PRECONDITION otherwise. */
int runtime_delete_of(const struct runtime *rt, const char *id, const char *bundle, struct err *e);
int runtime_delete_ended(const struct runtime *rt, const char *id, struct err *e);

/* The same by who waits for the container's end: what has to be read is read before.  expect may
 * say NULL; end_delete takes what it said.  was_seen: init was waited for, and has ended. */
struct runtime_end *runtime_end_expect(const struct runtime *rt, const char *id);
int runtime_end_delete(const struct runtime *rt, const char *id, struct runtime_end *end,
		       bool was_seen, struct err *e);

struct runtime_exec {
	const char *id;
	const struct oci_process *process;
	struct runtime_io io;
	bool ignore_paused;
	/* Controller → existing path below the container's; "" for all of them. None: its own. */
	struct oci_pairs cgroups;
};
/* One more process in a running container.  Returns when it has executed its program. */
int runtime_exec(const struct runtime *rt, const struct runtime_exec *x,
		 struct runtime_process *ret, struct err *e);

int runtime_pause(const struct runtime *rt, const char *id, struct err *e);
int runtime_resume(const struct runtime *rt, const char *id, struct err *e);

/* New limits for a container: what `update` and the task API's Update carry.  All of r or nothing
 * takes effect; what it leaves out stays, and devices are left alone.  The state file remembers
 * the sum for the next update.  Stopped: "container not running". */
int runtime_update(const struct runtime *rt, const char *id, const struct oci_resources *r,
		   struct err *e);

/* All processes of the container, in the caller's pid namespace.  The caller frees *ret. */
int runtime_pids(const struct runtime *rt, const char *id, pid_t **ret, size_t *ret_n,
		 struct err *e);

enum runtime_status {
	RUNTIME_CREATING,
	RUNTIME_CREATED,
	RUNTIME_RUNNING,
	RUNTIME_PAUSED,
	RUNTIME_STOPPED,
};
extern const char *const runtime_status_names[];

struct runtime_state {
	const char *id, *bundle, *rootfs;
	const char *oci_version; /* of the spec that this state complies with, whatever
				    config.json's is */
	pid_t pid; /* 0 when stopped */
	enum runtime_status status;
	struct timespec created;
	uid_t owner;
	struct oci_pairs annotations;
	struct oci_pairs cgroup_paths; /* for cgroup_load() */
};

/* All strings in the arena.  ERR_NOT_FOUND "container does not exist". */
int runtime_state(const struct runtime *rt, struct arena *a, const char *id,
		  struct runtime_state *ret, struct err *e);

/* Every container below root, by id; what cannot be read is skipped with a warning. */
int runtime_list(const struct runtime *rt, struct arena *a, struct runtime_state **ret,
		 size_t *ret_n, struct err *e);

/* The state as the spec's JSON object (what hooks get on stdin).  Bound of its text: what
 * config.json may hold, each byte escaped, and our own. */
enum { RUNTIME_STATE_TEXT_MAX = (6 * 16 + 1) << 20 };
struct str;
void runtime_state_json(const struct runtime_state *s, struct str *out);
