#include "shim/streams.h"

#include "base/mem.h"
#include "base/str.h"
#include "loop/loop.h"
#include "os/fd.h"
#include "os/file.h"
#include "shim/log_driver.h"
#include "shim/logger.h"
#include "shim/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

enum { IN, OUT, ERR };

/* A full fifo that nobody reads: who comes back from a restart does so within this. */
#define READER_PATIENCE 30000000000ull

struct streams {
	struct loop *loop;
	char *path[3];
	bool is_terminal;
	bool is_copied; /* false: nothing wanted, or a log program reads the pipes itself */
	int child[3]; /* the container's ends */
	int ours[3]; /* the pipes' other ends */
	int in_keep; /* a writer of the stdin fifo, so that a client's leaving is no end of file */
	int out[3]; /* what the client named, opened, until the copying begins */
	int out_keep[3]; /* readers of the output fifos, likewise */
	int console;
	struct pump *pump[3];
	struct output {
		struct streams *io;
		int n;
	} output[3]; /* what a pump's end is told about */
	struct logger *logger;
	struct plog *log; /* of the built-in log driver */
	streams_ready_fn *ready;
	void *ready_arg;
	void (*drained)(void *arg);
	void *drained_arg;
};

static int make_pipes(struct streams *s, const struct streams_config *cfg, struct err *e)
{
	for (int i = IN; i <= ERR; i++) {
		int p[2];

		if (!*s->path[i] && (i == IN || !s->log))
			continue;
		if (pipe2(p, O_CLOEXEC) < 0)
			return err_sys(e, errno, "pipe");
		s->child[i] = p[i == IN ? 0 : 1];
		s->ours[i] = p[i == IN ? 1 : 0];
		if (fchown(s->child[i], cfg->uid, cfg->gid) < 0)
			return err_sys(e, errno, "chown pipe to %u:%u", cfg->uid, cfg->gid);
	}
	s->is_copied = true;
	return 0;
}

/* file:///path: the folder and the file are made; both streams go there. */
static int open_file_uri(struct streams *s, const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');

	if (path[0] != '/')
		return err_set(e, ERR_INVALID_ARGUMENT, "log path %s is not absolute", path);

	AUTO_FREE char *copy = xstrdup(path);
	AUTO_FREE char *dir = xstrndup(path, (size_t)(slash - path));
	int r = *dir ? file_mkdirs(dir, 0755) : 0;

	if (r < 0)
		return err_sys(e, -r, "mkdir %s", dir);

	AUTO_FD int fd = open(copy, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644);

	if (fd < 0)
		return err_sys(e, errno, "open %s", copy);
	for (int i = OUT; i <= ERR; i++) {
		free(s->path[i]);
		s->path[i] = xstrdup(copy);
	}
	return 0;
}

/* From here on the outputs are the fifos for those who attach, if any. */
static int open_log(struct streams *s, struct reaper *r, const struct streams_config *cfg,
		    struct err *e)
{
	struct plog_options o;

	if (plog_options_parse(cfg->out, &o, e) < 0)
		return -1;
	if (plog_open(r, &o, &s->log, e) < 0)
		return err_wrap(e, "log of %s", cfg->id);
	for (int i = OUT; i <= ERR; i++) {
		const char *fifo = plog_fifo(s->log, i - OUT);

		free(s->path[i]);
		s->path[i] = xstrdup(fifo ? fifo : "");
	}
	return cfg->terminal ? 0 : make_pipes(s, cfg, e);
}

static void on_logger(const struct err *e, void *arg)
{
	struct streams *s = arg;

	s->ready(e, s->ready_arg);
}

static void strip_fifo_scheme(char *path)
{
	size_t n = strlen("fifo://");

	if (str_starts(path, "fifo://"))
		memmove(path, path + n, strlen(path + n) + 1);
}

static int open_streams(struct streams *s, struct reaper *r, const struct streams_config *cfg,
			bool *ret_wait, struct err *e)
{
	const char *out = s->path[OUT], *colon = strstr(out, "://");

	if (!*s->path[IN] && !*out && !*s->path[ERR])
		return 0;
	if (!colon || str_starts(out, "fifo://")) {
		strip_fifo_scheme(s->path[OUT]);
		strip_fifo_scheme(s->path[ERR]);
		return make_pipes(s, cfg, e);
	}
	if (str_starts(out, PLOG_SCHEME))
		return open_log(s, r, cfg, e);
	if (str_starts(out, "file://")) {
		if (open_file_uri(s, out + 7, e) < 0)
			return -1;
		return make_pipes(s, cfg, e);
	}
	if (!str_starts(out, "binary://") && !str_starts(out, "binary-v2://"))
		return err_set(e, ERR_UNKNOWN, "unknown STDIO scheme %.*s", (int)(colon - out),
			       out);

	const struct logger_config log = { out, cfg->id, cfg->ns, cfg->bundlefd };

	if (logger_start(s->loop, r, &log, on_logger, s, &s->logger, s->child + 1, e) < 0)
		return -1;
	*ret_wait = true;
	return 0;
}

/* The client's end of an output: a fifo held open both ways, or a file. */
static int open_output(struct streams *s, int n, struct err *e)
{
	struct stat st;
	const char *path = s->path[n];

	if (stat(path, &st) == 0 && S_ISFIFO(st.st_mode)) {
		/* The reader first: then opening for writing never waits for a client. */
		s->out_keep[n] = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (s->out_keep[n] < 0)
			return err_sys(e, errno, "containerd-shim: opening r/o fifo \"%s\" failed",
				       path);
		int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			return err_sys(e, errno, "containerd-shim: opening w/o fifo \"%s\" failed",
				       path);
		return fd;
	}

	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return err_sys(e, errno, "containerd-shim: opening file \"%s\" failed", path);
	return fd;
}

/* As early as can be: a client that opens its end only meets ours while it is open, and a process
 * may have come and gone by the time it is. */
static int open_outputs(struct streams *s, struct err *e)
{
	bool is_shared = *s->path[OUT] && strcmp(s->path[OUT], s->path[ERR]) == 0;

	for (int i = OUT; i <= ERR; i++) {
		bool is_wanted =
			s->is_terminal ? i == OUT && *s->path[i] && !s->logger : s->ours[i] >= 0;

		if (!is_wanted || !*s->path[i])
			continue;
		/* Two handles of one file would write over each other; fifos are opened twice. */
		if (i == ERR && is_shared && s->out[OUT] >= 0 && s->out_keep[OUT] < 0) {
			s->out[i] = fd_copy(s->out[OUT]);
			if (s->out[i] < 0)
				return err_sys(e, -s->out[i], "copy of %s", s->path[i]);
			continue;
		}
		s->out[i] = open_output(s, i, e);
		if (s->out[i] < 0)
			return -1;
	}
	return 0;
}

int streams_open(struct loop *l, struct reaper *r, const struct streams_config *cfg,
		 streams_ready_fn *ready, void *arg, struct streams **ret, struct err *e)
{
	struct streams *s = NEW(struct streams);
	bool must_wait = false;

	*s = (struct streams){
		.loop = l,
		.path = { xstrdup(cfg->in), xstrdup(cfg->out), xstrdup(cfg->err) },
		.is_terminal = cfg->terminal,
		.child = { -1, -1, -1 },
		.ours = { -1, -1, -1 },
		.in_keep = -1,
		.out = { -1, -1, -1 },
		.out_keep = { -1, -1, -1 },
		.console = -1,
		.ready = ready,
		.ready_arg = arg,
	};
	/* A terminal's only pipe is that to a log program, which the console's output goes to. */
	if (((!cfg->terminal || strstr(cfg->out, "://")) &&
	     open_streams(s, r, cfg, &must_wait, e) < 0) ||
	    open_outputs(s, e) < 0) {
		streams_free(s);
		return -1;
	}
	*ret = s;
	if (!must_wait)
		ready(NULL, arg);
	return 0;
}

const int *streams_child(const struct streams *s)
{
	return s->child;
}

static bool is_draining(const struct streams *s)
{
	return s->pump[OUT] || s->pump[ERR];
}

static void drained_check(struct streams *s)
{
	void (*fn)(void *arg) = s->drained;

	if (is_draining(s) || !fn)
		return;
	s->drained = NULL;
	fn(s->drained_arg);
}

void streams_on_drained(struct streams *s, void (*fn)(void *arg), void *arg)
{
	s->drained = fn;
	s->drained_arg = arg;
	drained_check(s);
}

static void on_pump_end(void *arg)
{
	struct output *o = arg;
	struct streams *s = o->io;

	pump_free(s->pump[o->n]);
	s->pump[o->n] = NULL;
	if (s->log && o->n != IN)
		plog_flush(s->log, o->n - OUT);
	close_fd(&s->out_keep[o->n]);
	s->out_keep[o->n] = -1;
	drained_check(s);
}

static void on_output(const char *bytes, size_t n, void *arg)
{
	const struct output *o = arg;

	plog_write(o->io->log, o->n - OUT, bytes, n);
}

static void start_output(struct streams *s, int n, int from, int to)
{
	struct pump_tee tee = { s->log ? on_output : NULL, &s->output[n], &s->out_keep[n],
				READER_PATIENCE };
	bool is_fifo = s->out_keep[n] >= 0;

	s->output[n] = (struct output){ s, n };
	s->pump[n] = pump_new_tee(s->loop, from, to, s->log || is_fifo ? &tee : NULL, on_pump_end,
				  &s->output[n]);
}

static int start_input(struct streams *s, int to, struct err *e)
{
	const char *path = s->path[IN];
	AUTO_FD int from = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

	if (from < 0) {
		close(to);
		return err_sys(e, errno, "containerd-shim: opening %s failed", path);
	}
	s->in_keep = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (s->in_keep < 0) {
		close(to);
		return err_sys(e, errno, "failed to open stdin fifo %s", path);
	}
	s->output[IN] = (struct output){ s, IN };
	s->pump[IN] = pump_new(s->loop, TAKE_FD(from), to, on_pump_end, &s->output[IN]);
	return 0;
}

static int start_console(struct streams *s, int console, struct err *e)
{
	AUTO_FD int to = -1;

	s->console = console;
	if (s->logger)
		to = TAKE_FD(s->child[OUT]);
	else if (*s->path[OUT])
		to = TAKE_FD(s->out[OUT]);
	else if (!s->log)
		to = open("/dev/null", O_WRONLY | O_CLOEXEC); /* unread, it must still flow */
	if (to < 0 && !s->log)
		return err_sys(e, errno, "open /dev/null");
	start_output(s, OUT, fd_copy(console), TAKE_FD(to));
	return *s->path[IN] ? start_input(s, fd_copy(console), e) : 0;
}

static int start_pipes(struct streams *s, struct err *e)
{
	for (int i = OUT; i <= ERR; i++)
		if (s->ours[i] >= 0)
			start_output(s, i, TAKE_FD(s->ours[i]), TAKE_FD(s->out[i]));
	return s->ours[IN] >= 0 ? start_input(s, TAKE_FD(s->ours[IN]), e) : 0;
}

int streams_start(struct streams *s, int console, struct err *e)
{
	int r = 0;

	if (console >= 0)
		r = start_console(s, console, e);
	else if (s->is_copied)
		r = start_pipes(s, e);
	for (int i = IN; i <= ERR; i++) {
		close_fd(&s->child[i]);
		s->child[i] = -1;
	}
	return r;
}

void streams_close_stdin(struct streams *s)
{
	close_fd(&s->in_keep);
	s->in_keep = -1;
}

void streams_show(const struct streams *s, char **out, char **err)
{
	if (!s->log || (!*s->path[OUT] && !*s->path[ERR]))
		return;
	free(*out);
	free(*err);
	*out = xstrdup(s->path[OUT]);
	*err = xstrdup(s->path[ERR]);
}

int streams_resize(struct streams *s, unsigned width, unsigned height, struct err *e)
{
	struct winsize ws = { .ws_row = (unsigned short)height, .ws_col = (unsigned short)width };

	if (s->console < 0)
		return 0;
	if (width > UINT16_MAX || height > UINT16_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "terminal size %ux%u is out of range",
			       width, height);
	if (ioctl(s->console, TIOCSWINSZ, &ws) < 0)
		return err_sys(e, errno, "resize terminal");
	return 0;
}

void streams_free(struct streams *s)
{
	if (!s)
		return;
	for (int i = IN; i <= ERR; i++) {
		pump_free(s->pump[i]);
		close_fd(&s->child[i]);
		close_fd(&s->ours[i]);
		close_fd(&s->out[i]);
		close_fd(&s->out_keep[i]);
		free(s->path[i]);
	}
	close_fd(&s->in_keep);
	close_fd(&s->console);
	logger_stop(s->logger);
	plog_close(s->log);
	free(s);
}
