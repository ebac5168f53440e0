/* What a shim writes to its log fifo, passed on to ours. */
#include "task/internal.h"

#include "loop/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

struct shim_log {
	struct loop *loop;
	struct loop_io *io;
	int fd;
};

/* Loop thread.  A flood is cut to one buffer a turn; stderr is written as it comes, whole lines as
 * the shim wrote them. */
static void on_readable(struct loop_io *io, uint32_t events, void *arg)
{
	struct shim_log *l = arg;
	char buf[4096];
	ssize_t n = read(l->fd, buf, sizeof buf);

	(void)io;
	(void)events;
	if (n > 0)
		(void)!write(STDERR_FILENO, buf, (size_t)n); /* nobody to tell */
}

static void start(void *arg)
{
	struct shim_log *l = arg;

	(void)loop_io_add(l->loop, l->fd, EPOLLIN, on_readable, l, &l->io); /* only a log */
}

static void stop(void *arg)
{
	struct shim_log *l = arg;

	loop_io_remove(l->io);
	close_fd(&l->fd);
	free(l);
}

struct shim_log *shim_log_open(const struct task *t, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/log", t->bundle);

	if (mkfifo(path, 0700) < 0 && errno != EEXIST) {
		err_sys(e, errno, "mkfifo %s", path);
		return NULL;
	}
	/* Both ends: the fifo outlives a shim that closes it, and the open never waits. */
	int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0) {
		err_sys(e, errno, "open %s", path);
		return NULL;
	}
	struct shim_log *l = NEW(struct shim_log);

	l->loop = t->ts->env->loop;
	l->fd = fd;
	loop_post(l->loop, start, l);
	return l;
}

void shim_log_close(struct shim_log *l)
{
	if (l)
		loop_post(l->loop, stop, l);
}
