#include "runtime/netns.h"

#include "base/mem.h"
#include "os/rawcall.h"
#include "os/socket.h"
#include "os/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

enum { STACK = 16 * 1024 };

union control {
	struct cmsghdr head;
	char room[CMSG_SPACE(sizeof(int))];
};

/* The kernel leaves the loopback interface of a new namespace down.  For helper(), as that. */
__attribute__((no_sanitize("address", "undefined"), no_stack_protector)) static inline long
loopback_up(void)
{
	/* any socket's ioctl; what is open here ends with us */
	long sock = raw_syscall5(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, 0, 0);
	struct ifreq r;

	r.ifr_name[0] = 'l';
	r.ifr_name[1] = 'o';
	r.ifr_name[2] = 0;
	r.ifr_flags = IFF_UP;
	return sock < 0 ? sock : raw_syscall5(SYS_ioctl, sock, SIOCSIFFLAGS, (long)&r, 0, 0);
}

/* Runs on our memory and beside us, thread pointer and all: no libc function that may touch errno,
 * no lock, no allocation.  What it opens is in a descriptor table of its own. */
__attribute__((no_sanitize("address", "undefined"), no_stack_protector)) static int
helper(void *arg)
{
	int sock = *(int *)arg;
	long error = raw_syscall5(SYS_unshare, CLONE_NEWNET, 0, 0, 0, 0);
	long fd = error < 0 ? -1
			    : raw_syscall5(SYS_openat, AT_FDCWD, (long)"/proc/thread-self/ns/net",
					   O_RDONLY | O_CLOEXEC, 0, 0);
	if (fd >= 0)
		error = loopback_up();
	int word = (int)(error < 0 ? error : fd < 0 ? fd : 0);
	struct iovec iov = { &word, sizeof word };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	/* the kernel's length is a word, musl's is half of one beside padding */
	union control control = { .room = { 0 } };

	if (fd >= 0) {
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int));
		*(int *)(void *)CMSG_DATA(&control.head) = (int)fd;
		msg.msg_control = &control;
		msg.msg_controllen = sizeof control;
	}
	/* nobody left to tell: then nobody waits */
	(void)raw_syscall5(SYS_sendmsg, sock, (long)&msg, MSG_NOSIGNAL, 0, 0);
	(void)raw_syscall5(SYS_exit, 0, 0, 0, 0, 0);
	return 0;
}

int netns_begin(struct netns *n, struct err *e)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, errno, "make the network namespace's socket");
	n->parent_end = pair[0];
	n->child_end = pair[1];
	n->stack = xmalloc(STACK); /* giving a mapping back would interrupt its processor */
	*(int *)n->stack = pair[0]; /* the far end of its stack: n may have changed when it looks */
	/* no exit signal: it is reaped by us alone, and no caller's handler hears of it */
	if (clone(helper, (char *)n->stack + STACK, CLONE_VM | CLONE_PIDFD, n->stack, &n->pidfd) <
	    0) {
		n->pidfd = -1;
		return err_sys(e, errno, "start the network namespace's helper");
	}
	return 0;
}

void netns_handed(struct netns *n)
{
	close_fd(&n->parent_end);
	close_fd(&n->child_end);
	n->parent_end = n->child_end = -1;
}

int netns_enter(struct netns *n, struct err *e)
{
	int word = 0, fds[1] = { -1 };
	size_t n_fds = 1;

	if (n->child_end < 0)
		return 0;
	close_fd(&n->parent_end); /* our copy: the helper's is the last one */
	n->parent_end = -1;
	ssize_t r = socket_recv_fds(n->child_end, &word, sizeof word, fds, &n_fds);
	AUTO_FD int fd = r >= 0 && n_fds ? fds[0] : -1;
	close_fd(&n->child_end);
	n->child_end = -1;
	if (r < 0)
		return err_sys(e, (int)-r, "receive the network namespace");
	if (word < 0)
		return err_sys(e, -word, "make the network namespace");
	if (fd < 0)
		return err_set(e, ERR_INTERNAL, "the network namespace's helper ended early");
	if (setns(fd, CLONE_NEWNET) < 0)
		return err_sys(e, errno, "enter the network namespace");
	return 0;
}

void netns_done(struct netns *n)
{
	siginfo_t how;

	close_fd(&n->parent_end);
	close_fd(&n->child_end);
	if (n->pidfd >= 0)
		while (waitid(P_PIDFD, (id_t)n->pidfd, &how, WEXITED | __WALL) < 0 &&
		       errno == EINTR)
			;
	close_fd(&n->pidfd);
	free(n->stack);
	*n = NETNS_NONE;
}
