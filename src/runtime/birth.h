/* What create and exec have in common on the parent's side: the child's birth, its terminal, its
 * end when something goes wrong. */
#pragma once

#include "runtime/launch.h"
#include "runtime/stage.h"

/* To whom the listener of a filter that notifies is sent. */
struct birth_listener {
	const char *path, *metadata; /* NULL: none is expected */
	const struct runtime_state *state; /* the container's, for the receiver */
	bool is_init; /* the process is the container's own: its pid is the state's */
};

struct birth {
	struct birth_listener listener;
	pid_t pid;
	int pidfd, sync; /* the parent's end */
	int console_socket; /* connected; -1 */
	int pidfd_socket; /* the same for the pidfd */
	int console; /* the master, once it came */
	int tree; /* what came with STAGE_OWNERS */
	const struct cgroup *cgroup; /* asked why init was killed; NULL: not known */
	bool enters; /* it enters its cgroups by itself: where it is born does not matter */
	bool in_cgroup; /* it was born in cgroup_dirfd() */
};
#define BIRTH_NONE                             \
	((struct birth){ .pidfd = -1,          \
			 .sync = -1,           \
			 .console_socket = -1, \
			 .pidfd_socket = -1,   \
			 .console = -1,        \
			 .tree = -1 })

/* Kills and reaps the child unless birth_take() has taken it. */
void birth_done(struct birth *s);
#define AUTO_BIRTH CLEANUP(birth_done)
void birth_take(struct birth *s, struct runtime_process *ret);

/* Whether io and the process agree about a terminal. */
int birth_check_console(const struct plan_process *p, const struct runtime_io *io, struct err *e);

/* That and more checks, and gets what a terminal needs: the connected socket and an fd of the
 * host's ptmx. */
int birth_prepare_io(const struct plan_process *p, const struct runtime_io *io, struct birth *s,
		     int *ret_host_ptmx, struct err *e);

/* May we come back after we went into another pid namespace?  Root may; a user, and somebody's root
 * in a user namespace, sends a child ahead instead. */
bool birth_may_join_pid(void);

/* clone3 with these flags, into the cgroup where that is possible (else it is attached by pid).
 * pidns: an fd of the pid namespace to be born in, or -1.  Returns in the child with 0. */
int birth_clone(struct birth *s, uint64_t flags, int cgroupfd, int pidns, struct err *e);

/* The child has cloned its successor as our child, and ends: from now on that one is meant. */
int birth_adopt(struct birth *s, struct err *e);

/* The next step of the child; the terminal is dealt with in here. */
int birth_next(struct birth *s, enum runtime_console console, enum stage *ret, struct err *e);

/* The master goes to *console, in place of what is there, or to the connected socket. */
int birth_take_console(enum runtime_console how, int socket, int master_take, int *console,
		       struct err *e);

/* Lets the child execute its program as soon as it is READY; before it is, too, where nobody needs
 * to do anything in between. */
int birth_permit(struct birth *s, struct err *e);

/* After a step of ours has failed with e: a child that failed before us said why, and that is then
 * the error in e.  Returns -1. */
int birth_explain(struct birth *s, struct err *e);

/* Waits until a READY child with the permit has executed its program. */
int birth_started(struct birth *s, struct err *e);

/* To the one who asked for it; kind says what it is of, in runc's words ("standard", "setns"). */
int birth_send_pidfd(const struct birth *s, const char *kind, struct err *e);

int birth_write_pid_file(const char *path, pid_t pid, struct err *e);
