/* Unix stream sockets: always in the file system, never abstract.  All return -errno on failure. */
#pragma once

#include "base/macros.h"

#include <sys/types.h>

/* Paths longer than sun_path (107 bytes) work: they are reached through /proc/self/fd. */
int socket_listen(const char *path, mode_t mode, int backlog); /* non-blocking */
int socket_connect(const char *path);
int socket_connect_now(const char *path); /* -EAGAIN where it would wait; non-blocking after */

/* Unlinks a socket that nobody serves any more.  0; -EBUSY: somebody does; -ENOTSOCK. */
int socket_remove_dead(const char *path);

struct socket_peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
};
int socket_peer(int fd, struct socket_peer *ret); /* SO_PEERCRED */

/* Bytes with up to SOCKET_MAX_FDS descriptors.  recv: *n_fds is in: room, out: count; received
 * fds are close-on-exec.  Returns the byte count; 0 is end of file. */
enum { SOCKET_MAX_FDS = 253 }; /* the kernel's SCM_MAX_FD */
ssize_t socket_send_fds(int sock, const void *bytes, size_t n, const int *fds, size_t n_fds);
ssize_t socket_recv_fds(int sock, void *bytes, size_t n, int *fds, size_t *n_fds);
