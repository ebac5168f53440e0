/* ctr logs */
#include "cmd/ctr/logs.h"

#include "base/num.h"
#include "base/timefmt.h"
#include "os/fd.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <unistd.h>

struct show {
	bool timestamps, is_inside[2]; /* a partial line has been begun */
	struct timespec since;
	bool is_closed; /* nobody reads our output any more */
};

static bool is_before(struct timespec a, struct timespec b)
{
	return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

static int show_record(const struct log_record *r, void *arg)
{
	struct show *s = arg;
	FILE *out = r->is_stderr ? stderr : stdout;
	char buf[TIMEFMT_MAX];

	if (is_before(r->time, s->since))
		return 0;
	if (s->timestamps && !s->is_inside[r->is_stderr])
		fprintf(out, "%s ", timefmt_rfc3339(r->time, buf));
	fwrite(r->text, 1, r->len, out);
	if (!r->is_partial)
		putc('\n', out);
	s->is_inside[r->is_stderr] = r->is_partial;
	s->is_closed = ferror(stdout) != 0;
	return s->is_closed ? -1 : 0;
}

/* "10m" ago, or a time. */
static int parse_since(const char *text, struct timespec *ret, struct err *e)
{
	uint64_t ns;

	*ret = (struct timespec){ 0 };
	if (!*text || timefmt_parse(text, ret) == 0)
		return 0;
	if (duration_parse(text, &ns) < 0)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "invalid value \"%s\" for flag -since: a duration (10m) or a time "
			       "(2026-11-23T10:20:30Z) is expected",
			       text);
	clock_gettime(CLOCK_REALTIME, ret);
	ret->tv_sec -= (time_t)(ns / 1000000000u);
	return 0;
}

static int parse_tail(const char *text, size_t *ret, struct err *e)
{
	uint64_t n;

	*ret = SIZE_MAX;
	if (!strcmp(text, "all"))
		return 0;
	if (num_u64(text, &n) < 0)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "invalid value \"%s\" for flag -tail: a number or \"all\"", text);
	*ret = n;
	return 0;
}

static int show_new(struct log_reader *r, struct show *s, struct err *e)
{
	if (log_reader_run(r, show_record, s, e) < 0)
		return -1;
	s->is_closed |= fflush(stdout) != 0;
	return 0;
}

/* Until the container's task has ended.  The shim has written all of its output by then. */
static int follow(struct ctr *ctr, const char *id, const char *dir, struct log_reader *r,
		  struct show *s, struct err *e)
{
	struct grpc_stream *wait AUTO_GRPC_STREAM = NULL;
	struct task_io io = { .ctr = ctr, .id = id, .exec_id = "" };
	int fd AUTO_FD = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char events[4096];

	if (fd < 0 || inotify_add_watch(fd, dir, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
		return err_sys(e, errno, "watch %s", dir);
	if (task_wait_open(&io, &wait, e) < 0)
		return -1;
	while (!s->is_closed && !grpc_stream_ready(wait)) {
		struct pollfd p[] = { { fd, POLLIN, 0 },
				      { grpc_fd(ctr->client), grpc_events(ctr->client), 0 },
				      { STDOUT_FILENO, 0, 0 } };

		if (show_new(r, s, e) < 0)
			return -1;
		if (poll(p, ARRAY_LEN(p), -1) < 0 && errno != EINTR)
			return err_sys(e, errno, "poll");
		if (p[2].revents & (POLLERR | POLLHUP | POLLNVAL))
			return 0;
		while (read(fd, events, sizeof events) > 0)
			;
		if (grpc_pump(ctr->client, e) < 0)
			return -1;
	}
	return s->is_closed ? 0 : show_new(r, s, e);
}

static bool has_task(struct ctr *ctr, const char *id)
{
	Containerd__V1__Types__Process *p;
	struct err none = { 0 };

	return task_get(ctr, id, "", &p, &none) == 0 &&
	       p->status != CONTAINERD__V1__TYPES__STATUS__STOPPED;
}

int logs_run(struct ctr *ctr, const struct args *args, struct err *e)
{
	struct show s = { .timestamps = args_bool(args, "timestamps") };
	const char *id = args_at(args, 0), *dir;
	struct log_reader *r;
	size_t tail;
	int rc;

	if (!*id)
		return err_set(e, ERR_UNKNOWN, "container id must be provided");
	if (parse_since(args_string(args, "since"), &s.since, e) < 0 ||
	    parse_tail(args_string(args, "tail"), &tail, e) < 0 || log_folder(ctr, id, &dir, e) < 0)
		return -1;
	r = log_reader_new(dir, tail);
	if (args_bool(args, "follow") && has_task(ctr, id))
		rc = follow(ctr, id, dir, r, &s, e);
	else
		rc = show_new(r, &s, e);
	log_reader_free(r);
	return rc;
}

const struct flag logs_flags[] = {
	{ "follow", FLAG_BOOL, "f", "go on until the container ends" },
	{ "since", FLAG_STRING, NULL, "only what came after a time, or within a duration (10m)" },
	{ "tail", FLAG_STRING, NULL, "only the last lines: a number, or \"all\"", "all" },
	{ "timestamps", FLAG_BOOL, "t", "show when each line came" },
	{ NULL },
};
