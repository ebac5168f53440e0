/* The shim proper: one thread, one loop, until Shutdown. */
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/loop.h"
#include "os/fd.h"
#include "shim/actions_priv.h"
#include "shim/events.h"
#include "shim/forsaken.h"
#include "shim/memory.h"
#include "shim/reaper.h"
#include "shim/sandbox.h"
#include "shim/service.h"
#include "shim/task.h"

#include <errno.h>
#include <fcntl.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { LISTEN_FD = 3 };

static void on_disconnected(void *arg)
{
	struct shim *s = arg;

	loop_stop(s->loop);
}

/* A log program that was told to end has its time, and is killed after that: none stays. */
static void on_left(void *arg)
{
	struct shim *s = arg;

	reaper_on_none_ending(s->reaper, on_disconnected, s);
}

/* What closing leaves to do is posted to the loop, and so is the end, behind it. */
static void on_drained(void *arg)
{
	struct shim *s = arg;

	events_disconnect(s->events);
	loop_post(s->loop, on_left, s);
}

static void on_flushed(void *arg)
{
	struct shim *s = arg;

	ttrpc_server_drain(s->server, on_drained, s);
}

/* Events first, while the daemon still listens; then the last answers. */
static void stop(struct shim *s)
{
	events_flush(s->events, on_flushed, s);
}

/* Asked to end from outside: containers go on, and `delete` cleans up behind them. */
static void on_signal(UNUSED const struct signalfd_siginfo *si, void *arg)
{
	stop(arg);
}

static void hide(struct shim *s)
{
	struct sockaddr_un addr = { 0 };
	socklen_t n = sizeof addr - 1;

	/* Once: the name may be a successor's the next time. */
	if (s->socket_fd >= 0 && getsockname(s->socket_fd, (struct sockaddr *)&addr, &n) == 0 &&
	    addr.sun_path[0] == '/')
		(void)unlink(addr.sun_path);
	close_fd(&s->socket_fd);
	s->socket_fd = -1;
}

/* The fifo that the daemon reads; it opened it before we were started.  A daemon that is away or
 * slow costs log lines and never stops us. */
static void open_log(const struct shim_args *args)
{
	int fd = open("log", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode)))
		close_fd(&fd);
	log_setup(fd, LOG_TEXT, args->debug ? LOG_DEBUG : LOG_INFO);
}

static int prepare(struct err *e)
{
	struct stat st;

	if (fstat(LISTEN_FD, &st) < 0 || !S_ISSOCK(st.st_mode))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "no socket on fd %d: to be started by `start`", LISTEN_FD);
	(void)fd_set_cloexec(LISTEN_FD, true);
	(void)fd_set_nonblock(LISTEN_FD, true);
	(void)signal(SIGPIPE, SIG_IGN);
	umask(077);
#ifdef __GLIBC__ /* musl has one way, which does that */
	/* Few, long-lived allocations: what is freed goes back to the kernel. */
	(void)mallopt(M_TRIM_THRESHOLD, 64 * 1024);
	(void)mallopt(M_TOP_PAD, 0);
	(void)mallopt(M_MMAP_THRESHOLD, 64 * 1024);
#endif
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return err_sys(e, errno, "become a subreaper");
	return 0;
}

int shim_serve(const struct shim_args *args, const char *self)
{
	static const int deadly[] = { SIGTERM, SIGINT };
	AUTO_FREE char *own_runc = shim_own_runc(self);
	AUTO_FREE char *events_address = xasprintf("%s.ttrpc", args->address);
	struct shim s = {
		.ns = args->ns, .own_runc = own_runc, .hide = hide, .stop = stop, .socket_fd = -1
	};
	struct err e = { 0 };

	open_log(args);
	if (prepare(&e) < 0)
		return shim_fail(&e);
	s.loop = loop_new();
	s.reaper = reaper_new(s.loop);
	s.memory = memory_new(s.loop);
	for (size_t i = 0; i < ARRAY_LEN(deadly); i++)
		if (loop_signal(s.loop, deadly[i], on_signal, &s) < 0)
			BUG("no signalfd");
	s.events = events_new(s.loop, args->ttrpc_address ? args->ttrpc_address : events_address,
			      args->ns);
	/* The socket is removed by name, but may be closed by the server before. */
	s.socket_fd = fd_copy(LISTEN_FD);
	s.server = ttrpc_server_new(s.loop, LISTEN_FD, service_methods, &s);

	struct forsaken *forsaken = forsaken_new(&s);

	loop_run(s.loop);
	forsaken_free(forsaken);
	hide(&s);
	/* Containers that are still there (a signal ended us) go on without us; their memory is
	 * the kernel's to take. */
	ttrpc_server_free(s.server);
	sandbox_free(s.sandbox);
	events_free(s.events);
	memory_free(s.memory);
	loop_free(s.loop);
	reaper_free(s.reaper);
	return 0;
}
