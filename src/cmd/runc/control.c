/* runc start, kill, delete, pause, resume. */
#include "cmd/runc/cli.h"
#include "cmd/runc/notify.h"

#include "base/num.h"
#include "base/signame.h"

#include <signal.h>
#include <string.h>
#include <strings.h>

#define O(field) offsetof(struct options, field)
#define ID_TEXT "Where \"<container-id>\" is your name for the instance of the container."

static const struct option no_options[] = { { NULL } };

static const struct option kill_options[] = {
	/* every process of the container: the original keeps it for old callers only */
	{ "all", "a", OPTION_BOOL, O(all), NULL },
	{ NULL },
};

static const struct option delete_options[] = {
	{ "force", "f", OPTION_BOOL, O(force),
	  "Forcibly deletes the container if it is still running (uses SIGKILL)" },
	{ NULL },
};

static int run_start(struct invocation *in, struct err *e)
{
	const struct runtime *rt = &in->global->runtime;
	CLEANUP(notify_done) struct notify n = notify_from_env();
	AUTO_ARENA struct arena *a = arena_new();
	struct runtime_state s;

	if (n.host && (runtime_state(rt, a, in->args[0], &s, e) < 0 ||
		       (s.status == RUNTIME_CREATED && notify_bind(&n, rt, in->args[0], e) < 0)))
		return -1;
	if (runtime_start(rt, in->args[0], e) < 0)
		return -1;
	return n.host ? notify_wait(&n, s.pid, e) : 0;
}

/* "TERM", "SIGTERM", "sigterm", "15", "RTMIN+3" */
static int parse_signal(const char *text, int *ret, struct err *e)
{
	const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
	uint32_t n;

	if (num_u32(text, &n) == 0 && n <= (uint32_t)SIGRTMAX) {
		*ret = (int)n;
		return 0;
	}
	*ret = signal_by_name(name);
	if (*ret)
		return 0;
	if (strncasecmp(name, "RTMIN", 5) == 0 &&
	    (!name[5] || (name[5] == '+' && num_u32(name + 6, &n) == 0 && n <= 30))) {
		*ret = SIGNAL_RTMIN + (name[5] ? (int)n : 0);
		return 0;
	}
	return err_set(e, ERR_INVALID_ARGUMENT, "unknown signal \"%s\"", text);
}

static int run_kill(struct invocation *in, struct err *e)
{
	int sig = SIGTERM;

	if (in->n_args > 1) {
		struct runtime_state s;
		AUTO_ARENA struct arena *a = arena_new();

		/* a container that is not there is the worse mistake, and told first */
		if (runtime_state(&in->global->runtime, a, in->args[0], &s, e) < 0 ||
		    parse_signal(in->args[1], &sig, e) < 0)
			return -1;
	}
	return runtime_kill(&in->global->runtime, in->args[0], sig, in->o.all, e);
}

static int run_delete(struct invocation *in, struct err *e)
{
	return runtime_delete(&in->global->runtime, in->args[0], in->o.force, e);
}

static int run_pause(struct invocation *in, struct err *e)
{
	return runtime_pause(&in->global->runtime, in->args[0], e);
}

static int run_resume(struct invocation *in, struct err *e)
{
	return runtime_resume(&in->global->runtime, in->args[0], e);
}

const struct command command_start = {
	.name = "start",
	.usage = "<container-id>\n\n" ID_TEXT,
	.summary = "executes the user defined process in a created container",
	.description = "   The start command executes the user defined process in a created "
		       "container.",
	.options = no_options,
	.min_args = 1,
	.max_args = 1,
	.run = run_start,
};

const struct command command_kill = {
	.name = "kill",
	.usage = "<container-id> [signal]\n\n" ID_TEXT "\n\n"
		 "EXAMPLE:\n   # runc kill ubuntu01 KILL",
	.summary = "kill sends the specified signal (default: SIGTERM) to the container's init "
		   "process",
	.options = kill_options,
	.min_args = 1,
	.max_args = 2,
	.run = run_kill,
};

const struct command command_delete = {
	.name = "delete",
	.usage = "<container-id>\n\n" ID_TEXT,
	.summary = "delete any resources held by the container often used with detached container",
	.options = delete_options,
	.min_args = 1,
	.max_args = 1,
	.run = run_delete,
};

const struct command command_pause = {
	.name = "pause",
	.usage = "<container-id>\n\n" ID_TEXT,
	.summary = "pause suspends all processes inside the container",
	.options = no_options,
	.min_args = 1,
	.max_args = 1,
	.run = run_pause,
};

const struct command command_resume = {
	.name = "resume",
	.usage = "<container-id>\n\n" ID_TEXT,
	.summary = "resumes all processes that have been previously paused",
	.options = no_options,
	.min_args = 1,
	.max_args = 1,
	.run = run_resume,
};
