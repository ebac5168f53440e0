/* runc create, runc run. */
#include "cmd/runc/cli.h"
#include "cmd/runc/notify.h"

#include "base/log.h"
#include "base/num.h"

#include <string.h>

#define O(field) offsetof(struct options, field)
#define ID_TEXT                                                                              \
	"Where \"<container-id>\" is your name for the instance of the container that you\n" \
	"are starting. It must be unique on your host."
#define BUNDLE_TEXT                                                                       \
	"   Makes a container of a bundle: a folder with a config.json and a root file\n" \
	"system."

#define CREATE_OPTIONS                                                                           \
	{ "bundle", "b", OPTION_STRING, O(bundle),                                               \
	  "path to the root of the bundle directory, defaults to the current directory" },       \
		{ "console-socket", NULL, OPTION_STRING, O(console_socket),                      \
		  "path to an AF_UNIX socket which will receive a file descriptor referencing "  \
		  "the "                                                                         \
		  "master end of the console's pseudoterminal" },                                \
		{ "pidfd-socket", NULL, OPTION_STRING, O(pidfd_socket),                          \
		  "path to an AF_UNIX socket which will receive a file descriptor referencing "  \
		  "the init process" },                                                          \
		{ "pid-file", NULL, OPTION_STRING, O(pid_file),                                  \
		  "specify the file to write the process id to" },                               \
		{ "no-pivot", NULL, OPTION_BOOL, O(no_pivot),                                    \
		  "do not use pivot root to jail process inside rootfs.  This should be used "   \
		  "whenever "                                                                    \
		  "the rootfs is on top of a ramdisk" },                                         \
		{ "no-new-keyring", NULL, OPTION_BOOL, O(no_new_keyring),                        \
		  "do not create a new session keyring for the container.  This will cause the " \
		  "container to inherit the calling processes session key" },                    \
	{                                                                                        \
		"preserve-fds", NULL, OPTION_INT, O(preserve_fds),                               \
			"Pass N additional file descriptors to the container (stdio + "          \
			"$LISTEN_FDS + N in "                                                    \
			"total) (default: 0)"                                                    \
	}

static const struct option create_options[] = { CREATE_OPTIONS, { NULL } };

static const struct option run_options[] = {
	CREATE_OPTIONS,
	{ "detach", "d", OPTION_BOOL, O(detach), "detach from the container's process" },
	{ "keep", NULL, OPTION_BOOL, O(keep), "do not delete the container after it exits" },
	{ "no-subreaper", NULL, OPTION_BOOL, O(no_subreaper),
	  "disable the use of the subreaper used to reap reparented processes" },
	{ NULL },
};

/* Sockets that a service manager gave us go on to the container, in front of --preserve-fds. */
static int add_listen_fds(struct arena *a, struct oci_process *p, unsigned *preserve, struct err *e)
{
	const char *text = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID");
	uint32_t n, to;

	if (!text || !p || (pid && (num_u32(pid, &to) < 0 || to != (uint32_t)getpid())))
		return 0;
	if (num_u32(text, &n) < 0 || n > 1024)
		return err_set(e, ERR_INVALID_ARGUMENT, "LISTEN_FDS is not a number: %s", text);
	const char *const env[] = { arena_printf(a, "LISTEN_FDS=%u", n), "LISTEN_PID=1" };
	process_append(a, &p->env, env, ARRAY_LEN(env));
	*preserve += n;
	return 0;
}

int run_prepare(struct invocation *in, struct arena *a, bool detach, struct runtime_create *c,
		struct notify *n, struct err *e)
{
	struct oci_spec *spec = NULL;

	*c = (struct runtime_create){
		.id = in->args[0],
		.bundle = in->o.bundle && *in->o.bundle ? in->o.bundle : ".",
		.no_pivot = in->o.no_pivot,
		.no_new_keyring = in->o.no_new_keyring,
	};
	if (runtime_load_spec(a, c->bundle, &spec, e) < 0 || cli_check_rootless(in->global, e) < 0)
		return -1;
	for (size_t i = 0; i < spec->warnings.n; i++)
		log_warn(LOG_NONE, "%s", spec->warnings.v[i]);
	c->spec = spec;
	if (process_choose_io(in, spec->process, detach, &c->io, e) < 0 ||
	    notify_prepare(n, a, &in->global->runtime, spec, c, e) < 0)
		return -1;
	return add_listen_fds(a, spec->process, &c->io.preserve_fds, e);
}

static int run_create(struct invocation *in, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	CLEANUP(runtime_process_done) struct runtime_process p = RUNTIME_PROCESS_NONE;
	CLEANUP(notify_done) struct notify n = notify_from_env();
	struct runtime_create c;

	n.is_create = true;
	if (runtime_protect_self(in->argv, e) < 0 || run_prepare(in, a, true, &c, &n, e) < 0)
		return -1;
	return runtime_create(&in->global->runtime, &c, &p, e);
}

int run_to_its_end(struct invocation *in, struct runtime_process *p, int signals, struct notify *n,
		   struct err *e)
{
	const struct runtime *rt = &in->global->runtime;
	struct runtime_end *end = in->o.keep ? NULL : runtime_end_expect(rt, in->args[0]);
	int status = foreground_wait(p, signals, n, e);
	struct err gone = { 0 };

	if (!in->o.keep && runtime_end_delete(rt, in->args[0], end, status >= 0, &gone) < 0) {
		if (status < 0)
			return -1; /* the first error is the one to tell */
		return err_copy(e, &gone);
	}
	return status;
}

static int run_run(struct invocation *in, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	CLEANUP(runtime_process_done) struct runtime_process p = RUNTIME_PROCESS_NONE;
	CLEANUP(notify_done) struct notify n = notify_from_env();
	AUTO_FD int signals = -1;
	struct runtime_create c;

	if (runtime_protect_self(in->argv, e) < 0 ||
	    run_prepare(in, a, in->o.detach, &c, &n, e) < 0)
		return -1;
	if (!in->o.detach) {
		signals = foreground_begin(!in->o.no_subreaper, e);
		if (signals < 0)
			return -1;
	}
	if (runtime_run(&in->global->runtime, &c, &p, e) < 0)
		return -1;
	if (in->o.detach)
		return notify_wait(&n, p.pid, e);
	return run_to_its_end(in, &p, signals, &n, e);
}

const struct command command_create = {
	.name = "create",
	.usage = "<container-id>\n\n" ID_TEXT,
	.summary = "create a container",
	.description = BUNDLE_TEXT " The container waits there for `runc start`.",
	.options = create_options,
	.min_args = 1,
	.max_args = 1,
	.run = run_create,
	.failure = "runc create failed",
};

const struct command command_run = {
	.name = "run",
	.usage = "<container-id>\n\n" ID_TEXT,
	.summary = "create and run a container",
	.description = BUNDLE_TEXT " Runs it, and deletes it when it has ended.",
	.options = run_options,
	.min_args = 1,
	.max_args = 1,
	.run = run_run,
	.failure = "runc run failed",
};
