/* runc events: a line of JSON every few seconds, and one whenever memory runs out. */
#include "cmd/runc/events.h"
#include "cmd/runc/cli.h"

#include "base/log.h"
#include "cgroup/cgroup.h"
#include "os/fd.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/timerfd.h>

#define E(field) offsetof(struct options, events.field)
#define NS_PER_S 1000000000ULL
enum { LINE_MAX_BYTES = 16 << 20, INTERVAL_SECONDS = 5 };

static const struct option events_options[] = {
	{ "interval", NULL, OPTION_STRING, E(interval),
	  "set the stats collection interval (default: 5s)" },
	{ "stats", NULL, OPTION_BOOL, E(stats), "display the container's stats then exit" },
	{ NULL },
};

struct watched {
	const char *id;
	struct cgroup *cgroup;
	struct cgroup_oom oom;
	int timer;
};

static void watched_done(struct watched *w)
{
	cgroup_oom_close(&w->oom);
	close_fd(&w->timer);
	cgroup_free(w->cgroup);
}

static int print_line(const struct str *line, struct err *e)
{
	int r = fd_write_all(STDOUT_FILENO, str_c(line), line->len);

	return r < 0 ? err_sys(e, -r, "write the event") : 0;
}

static int print_stats(const struct watched *w, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_STR struct str line = STR_INIT(LINE_MAX_BYTES);
	struct cgroup_stat s;

	if (cgroup_stat(w->cgroup, a, &s, e) < 0)
		return -1;
	event_stats(w->id, &s, &line);
	return print_line(&line, e);
}

static int print_oom(const struct watched *w, struct err *e)
{
	AUTO_STR struct str line = STR_INIT(LINE_MAX_BYTES);

	event_oom(w->id, &line);
	return print_line(&line, e);
}

static int start_timer(struct watched *w, uint64_t ns, struct err *e)
{
	const struct timespec t = { (time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S) };
	const struct itimerspec every = { t, t };

	w->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (w->timer < 0 || timerfd_settime(w->timer, 0, &every, NULL) < 0)
		return err_sys(e, errno, "start a timer");
	return 0;
}

/* Until the cgroup is gone, or our reader is. */
static int watch(struct watched *w, struct err *e)
{
	struct pollfd p[] = { { .fd = w->oom.fd, .events = POLLIN },
			      { .fd = w->timer, .events = POLLIN } };

	for (;;) {
		uint64_t kills, ticks;
		bool gone;

		if (poll(p, ARRAY_LEN(p), -1) < 0 && errno != EINTR)
			return err_sys(e, errno, "poll");
		if (p[0].revents) {
			if (cgroup_oom_read(&w->oom, &kills, &gone, e) < 0)
				return -1;
			if (kills && print_oom(w, e) < 0)
				return -1;
			if (gone)
				return 0;
		}
		if (p[1].revents && read(w->timer, &ticks, sizeof ticks) > 0 &&
		    print_stats(w, e) < 0)
			return e->code == ERR_NOT_FOUND ? (err_clear(e), 0) : -1;
	}
}

static int run_events(struct invocation *in, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	CLEANUP(watched_done)
	struct watched w = { .id = in->args[0],
			     .timer = -1,
			     .oom = { .fd = -1, .event_fd = -1, .populated_fd = -1 } };
	const char *text = in->o.events.interval;
	uint64_t interval = INTERVAL_SECONDS * NS_PER_S;
	bool is_negative = false;
	struct runtime_state s;

	if (text && !duration_parse(text, &interval, &is_negative))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "invalid value \"%s\" for flag -interval: parse error", text);
	if (runtime_state(&in->global->runtime, a, w.id, &s, e) < 0)
		return -1;
	if (!interval || is_negative)
		return err_set(e, ERR_INVALID_ARGUMENT, "duration interval must be greater than 0");
	if (s.status == RUNTIME_STOPPED)
		return err_set(e, ERR_FAILED_PRECONDITION, "container with id %s is not running",
			       w.id);
	if (cgroup_load(&s.cgroup_paths, &w.cgroup, e) < 0)
		return -1;
	if (in->o.events.stats)
		return print_stats(&w, e);
	if (cgroup_oom_open(w.cgroup, &w.oom, e) < 0 || start_timer(&w, interval, e) < 0)
		return -1;
	return watch(&w, e);
}

const struct command command_events = {
	.name = "events",
	.usage = "<container-id>\n\n"
		 "Where \"<container-id>\" is the name for the instance of the container.",
	.summary = "display container events such as OOM notifications, cpu, memory, and IO usage "
		   "statistics",
	.description = "   The events command displays information about the container. By default "
		       "the\n   information is displayed once every 5 seconds.",
	.options = events_options,
	.min_args = 1,
	.max_args = 1,
	.run = run_events,
};
