#include "cmd/runc/notify.h"

#include "base/log.h"
#include "base/str.h"
#include "cmd/runc/cli.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/pidfd.h"
#include "os/socket.h"
#include "runtime/state.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define SOCKET_NAME "notify.sock"

enum { MESSAGE_MAX = 4096, BARRIER_MS = 30000, LOOK_MS = 20 };

void notify_done(struct notify *n)
{
	close_fd(&n->fd);
}

struct notify notify_from_env(void)
{
	struct notify n = NOTIFY_NONE;
	const char *path = getenv("NOTIFY_SOCKET");

	n.host = path && *path ? path : NULL;
	return n;
}

/* Through the folder's descriptor, so that the length of its path does not matter. */
static int bind_in(struct notify *n, int dirfd, struct err *e)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (n->fd < 0)
		return err_sys(e, errno, "make the notify socket of container %s", n->id);
	snprintf(addr.sun_path, sizeof addr.sun_path, "/proc/self/fd/%d/" SOCKET_NAME, dirfd);
	if (unlinkat(dirfd, SOCKET_NAME, 0) < 0 && errno != ENOENT)
		return err_sys(e, errno, "remove the old notify socket of container %s", n->id);
	if (bind(n->fd, (struct sockaddr *)&addr, sizeof addr) < 0)
		return err_sys(e, errno, "bind the notify socket of container %s", n->id);
	/* whoever the container's process is, it may write; the folder above is root's */
	if (fchmodat(dirfd, SOCKET_NAME, 0777, 0) < 0)
		return err_sys(e, errno, "open the notify socket to container %s", n->id);
	return 0;
}

static int open_dir(const struct notify *n, int statefd, struct err *e)
{
	int fd = openat(statefd, STATE_NOTIFY, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? err_sys(e, errno, "open the notify folder of container %s", n->id) : fd;
}

static int make_dir(int statefd, void *arg, struct err *e)
{
	struct notify *n = arg;

	if (mkdirat(statefd, STATE_NOTIFY, 0755) < 0)
		return err_sys(e, errno, "make the notify folder of container %s", n->id);
	AUTO_FD int dir = open_dir(n, statefd, e);
	if (dir < 0)
		return -1;
	return n->is_create ? 0 : bind_in(n, dir, e);
}

int notify_prepare(struct notify *n, struct arena *a, const struct runtime *rt,
		   struct oci_spec *spec, struct runtime_create *c, struct err *e)
{
	static const char *options[] = { "bind", "nosuid", "noexec", "nodev", "ro", NULL };
	struct oci_process *p = spec->process;

	n->id = c->id;
	if (!n->host || !p)
		return 0;
	AUTO_FREE char *here = *rt->root == '/' ? xstrdup("") : file_real_path(".");
	if (!here)
		return err_sys(e, errno, "find where --root %s is: getcwd", rt->root);

	struct oci_mount *mounts = arena_array(a, spec->n_mounts + 1, sizeof *mounts);
	for (size_t i = 0; i < spec->n_mounts; i++)
		mounts[i] = spec->mounts[i];
	mounts[spec->n_mounts++] = (struct oci_mount){
		.destination = STATE_NOTIFY_INSIDE,
		.source = arena_printf(a, "%s%s%s/%s/" STATE_NOTIFY, here, *here ? "/" : "",
				       rt->root, c->id),
		.options = { options, ARRAY_LEN(options) - 1 },
	};
	spec->mounts = mounts;

	static const char *const env[] = { "NOTIFY_SOCKET=" STATE_NOTIFY_INSIDE "/" SOCKET_NAME };
	process_append(a, &p->env, env, ARRAY_LEN(env));
	c->on_dir = make_dir;
	c->on_dir_arg = n;
	return 0;
}

int notify_bind(struct notify *n, const struct runtime *rt, const char *id, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/%s", rt->root, id);
	AUTO_FD int state = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	n->id = id;
	if (state < 0)
		return err_sys(e, errno, "open %s", path);
	AUTO_FD int dir = open_dir(n, state, e);
	if (dir < 0 && e->errnum == ENOENT) { /* created without NOTIFY_SOCKET */
		err_clear(e);
		n->host = NULL;
		return 0;
	}
	return dir < 0 ? -1 : bind_in(n, dir, e);
}

static int connect_host(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	size_t n = strlen(path);
	AUTO_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (n >= sizeof addr.sun_path)
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, n);
	if (*path == '@') /* as systemd writes an abstract one */
		addr.sun_path[0] = 0;
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, len) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* The manager closes its copy of the pipe when it has read everything before it. */
static int wait_barrier(const char *path, int host, struct err *e)
{
	AUTO_FD int in = -1;
	AUTO_FD int out = -1;
	int pair[2];

	if (pipe2(pair, O_CLOEXEC) < 0)
		return err_sys(e, errno, "make the barrier for %s", path);
	in = pair[0];
	out = pair[1];
	ssize_t r = socket_send_fds(host, "BARRIER=1", 9, &out, 1);
	if (r < 0)
		return err_sys(e, (int)-r, "send the barrier to %s", path);
	close_fd(&out);
	out = -1;
	struct pollfd p = { .fd = in, .events = POLLIN };
	if (poll(&p, 1, BARRIER_MS) == 0)
		log_warn(LOG_NONE, "Timeout after waiting 30s for barrier. Ignored.");
	return 0;
}

static int tell_host(const struct notify *n, const char *ready, pid_t main_pid, bool barrier,
		     struct err *e)
{
	AUTO_FD int host = connect_host(n->host);
	char pid[32];

	if (host < 0)
		return err_sys(e, -host, "dial unixgram %s", n->host);
	int len = snprintf(pid, sizeof pid, "MAINPID=%d\n", (int)main_pid);
	if (send(host, ready, strlen(ready), MSG_NOSIGNAL) < 0 ||
	    send(host, pid, (size_t)len, MSG_NOSIGNAL) < 0)
		return err_sys(e, errno, "write to %s", n->host);
	return barrier ? wait_barrier(n->host, host, e) : 0;
}

static int take(struct notify *n, pid_t main_pid, bool barrier, struct err *e)
{
	char text[MESSAGE_MAX + 1];
	ssize_t got = recv(n->fd, text, MESSAGE_MAX, MSG_DONTWAIT);

	if (got < 0)
		return errno == EAGAIN || errno == EINTR
			       ? 0
			       : err_sys(e, errno, "read the notify socket of container %s", n->id);
	text[got] = 0;
	for (char *line = text, *next; *line; line = next) {
		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = 0;
		if (strncmp(line, "READY=", 6) != 0)
			continue;
		AUTO_FREE char *ready = xasprintf("%s\n", line);

		n->is_done = true;
		return tell_host(n, ready, main_pid, barrier, e);
	}
	return 0;
}

int notify_take(struct notify *n, pid_t main_pid, struct err *e)
{
	return take(n, main_pid, false, e);
}

int notify_wait(struct notify *n, pid_t pid, struct err *e)
{
	AUTO_FD int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_FD int init = proc < 0 ? -errno : pidfd_of(proc, pid);
	bool has_ended = init == -ESRCH;

	/* What it said before its end is still there then.  Looked at, and not polled: the handle
	 * need not be a pidfd. */
	while (n->host && n->fd >= 0 && !n->is_done) {
		struct pollfd p = { n->fd, POLLIN, 0 };
		int got = poll(&p, 1, has_ended ? 0 : LOOK_MS);

		if (got < 0 && errno != EINTR)
			return err_sys(e, errno, "poll the notify socket of container %s", n->id);
		if (take(n, pid, true, e) < 0)
			return -1;
		if (got == 0 && has_ended)
			return 0;
		has_ended = has_ended || pidfd_wait_end(init, 0) == 0;
	}
	return 0;
}
