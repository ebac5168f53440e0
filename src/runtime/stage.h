/* The talk between the parent (runtime_create, _run, _exec) and the process it makes.
 *
 *	parent				child
 *	------				-----
 *	clone3
 *	id maps, cgroup
 *	        ---- GO ---->		(at once or before hooks, where these are
 *					needed: enum launch_go; exec has none)
 *	        <--- CHILD --		(a joined user namespace with new ones in it: the first
 *					child can only clone the real one, and ends)
 *	        ---- GO ---->		(to that one: before it says anything of its own)
 *	        <--- TIME ---		(a new time namespace with offsets, which can only be
 *	offsets				written from outside before anybody is in it)
 *	        --- RESUME ->
 *					joins namespaces, mounts
 *	        <--- OWNERS -		(an id-mapped mount of what an earlier mount has put into
 *	id maps				the rootfs: a detached copy goes with it)
 *	        --- RESUME ->
 *	        <-- CONSOLE -		(terminal) the master's fd goes with it
 *	        <--- HOOKS --		(if there are hooks for this moment)
 *	prestart, createRuntime
 *	        --- RESUME ->
 *					createContainer hooks, pivot, user, capabilities, seccomp
 *	        <-- SECCOMP -		(a filter that notifies: the number of the listener's fd,
 *					which the parent takes by pidfd_getfd and sends on)
 *	        <--- READY --
 *	state.json, pid file
 *	        ---- START ->		(run, exec; sent ahead of READY where nothing is to be done
 *					in between; a created container waits for its fifo)
 *					execve closes the socket: end of file is success
 *
 * At any time the child may send FAILED with its error, and ends.  One message is one packet:
 * nothing is ever half sent.  The parent's death is end of file for the child, which then ends. */
#pragma once

#include "base/err.h"

#include <sys/types.h>

enum stage {
	STAGE_GO = 1,
	STAGE_CHILD,
	STAGE_TIME,
	STAGE_OWNERS,
	STAGE_CONSOLE,
	STAGE_HOOKS,
	STAGE_RESUME,
	STAGE_SECCOMP,
	STAGE_READY,
	STAGE_START,
	STAGE_FAILED,
	STAGE_END, /* not sent: what stage_recv says at end of file */
};

/* ret[0] is the parent's end, ret[1] the child's. */
int stage_pair(int ret[2], struct err *e);

/* fd: -1, or what goes with it. */
int stage_send(int sock, enum stage step, int fd, struct err *e);

/* CHILD carries the process that goes on in the sender's place: its pid, and its pidfd. */
int stage_send_child(int sock, pid_t pid, int pidfd, struct err *e);
int stage_recv_child(int sock, pid_t *ret, int *ret_pidfd, struct err *e);

/* The child's READY and SECCOMP, which carries the number of the listener's fd in the child.  Only
 * write(2): the container's filter may be in force.  A parent that is gone kills by SIGPIPE. */
int stage_say(int sock, enum stage step, int number, struct err *e);

/* The child's last word; cannot fail in a way that anybody could hear. */
void stage_send_failed(int sock, const struct err *why);

/* The parent's: STAGE_FAILED makes it -1 with the child's error in e.  ret_fd may be NULL; with
 * SECCOMP it is the number in the child. */
int stage_recv(int sock, enum stage *ret, int *ret_fd, struct err *e);

/* The child's: waits for exactly this step.  Only read(2), so that it works under a filter. */
int stage_wait(int sock, enum stage step, struct err *e);
