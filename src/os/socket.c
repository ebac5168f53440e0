#include "os/socket.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* Fills addr; a path too long for it goes through an fd of its folder, which the caller closes. */
static int address(const char *path, struct sockaddr_un *addr, int *ret_dirfd)
{
	const char *slash = strrchr(path, '/');

	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (!*path)
		return -EINVAL;
	if (strlen(path) < sizeof addr->sun_path) {
		memcpy(addr->sun_path, path, strlen(path) + 1);
		return 0;
	}
	if (!slash || strlen(slash) > 64)
		return -ENAMETOOLONG;

	AUTO_FREE char *dir = xstrndup(path, (size_t)(slash - path));
	*ret_dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*ret_dirfd < 0)
		return -errno;
	snprintf(addr->sun_path, sizeof addr->sun_path, "/proc/self/fd/%d%s", *ret_dirfd, slash);
	return 0;
}

int socket_listen(const char *path, mode_t mode, int backlog)
{
	AUTO_FD int dirfd = -1;
	struct sockaddr_un addr;
	int r = address(path, &addr, &dirfd);

	if (r < 0)
		return r;
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* The mode is right from the first moment: fchmod on the unbound socket sets what bind
	 * creates, whatever the umask takes away further. */
	if (fchmod(fd, mode) < 0 || bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0 ||
	    chmod(addr.sun_path, mode) < 0 || listen(fd, backlog) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static int connect_with(const char *path, int flags)
{
	AUTO_FD int dirfd = -1;
	struct sockaddr_un addr;
	int r = address(path, &addr, &dirfd);

	if (r < 0)
		return r;
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int socket_connect(const char *path)
{
	return connect_with(path, 0);
}

int socket_connect_now(const char *path)
{
	return connect_with(path, SOCK_NONBLOCK);
}

int socket_remove_dead(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return -errno;
	if (!S_ISSOCK(st.st_mode))
		return -ENOTSOCK; /* connect() refuses these just so */

	AUTO_FD int fd = socket_connect_now(path);

	if (fd != -ECONNREFUSED)
		return fd >= 0 || fd == -EAGAIN ? -EBUSY : fd;
	return unlink(path) < 0 ? -errno : 0;
}

int socket_peer(int fd, struct socket_peer *ret)
{
	struct ucred cred;
	socklen_t n = sizeof cred;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) < 0)
		return -errno;
	*ret = (struct socket_peer){ cred.pid, cred.uid, cred.gid };
	return 0;
}

/* A kilobyte: only what is used of it is written. */
union control {
	struct cmsghdr head;
	char room[CMSG_SPACE(sizeof(int) * SOCKET_MAX_FDS)];
};

ssize_t socket_send_fds(int sock, const void *bytes, size_t n, const int *fds, size_t n_fds)
{
	struct iovec iov = { (void *)bytes, n };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control control;

	if (n_fds > SOCKET_MAX_FDS)
		return -EINVAL;
	if (n_fds) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		memset(&control, 0, msg.msg_controllen);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
	}
	ssize_t r;
	do
		r = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

/* CMSG_NXTHDR: musl's compares a size with a difference of pointers, which clang warns of. */
static struct cmsghdr *next_control(const struct msghdr *msg, struct cmsghdr *c)
{
	size_t left = msg->msg_controllen - (size_t)((char *)c - (char *)msg->msg_control);
	size_t step = CMSG_ALIGN((size_t)c->cmsg_len);

	if (c->cmsg_len < sizeof *c || step >= left || left - step < sizeof *c)
		return NULL;
	return (void *)((char *)c + step);
}

ssize_t socket_recv_fds(int sock, void *bytes, size_t n, int *fds, size_t *n_fds)
{
	struct iovec iov = { bytes, n };
	union control control;
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof control };
	size_t room = *n_fds, got = 0;
	bool dropped = false;
	ssize_t r;

	do
		r = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (r < 0 && errno == EINTR);
	*n_fds = 0;
	if (r < 0)
		return -errno;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = next_control(&msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
			if (got < room) {
				fds[got++] = fd;
			} else {
				close(fd); /* more than we asked for: none may leak */
				dropped = true;
			}
		}
	}
	if (dropped || (msg.msg_flags & MSG_CTRUNC)) {
		for (size_t i = 0; i < got; i++)
			close(fds[i]);
		return -EPROTO;
	}
	*n_fds = got;
	return r;
}
