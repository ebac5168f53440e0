#include "cmd/ctr/list_json.h"

#include "base/log.h"
#include "os/fd.h"

#include <signal.h>

static const struct command top_commands[];

static const struct flag global_flags[] = {
	{ "debug", FLAG_BOOL, NULL, "enable debug output in logs" },
	{ "address", FLAG_STRING, "a", "address for containerd's GRPC server",
	  "/run/containerd/containerd.sock", "CONTAINERD_ADDRESS" },
	{ "timeout", FLAG_DURATION, NULL, "total timeout for ctr commands", "0s" },
	{ "connect-timeout", FLAG_DURATION, NULL,
	  "timeout for connecting to containerd: how long to wait for its socket", "0s" },
	{ "namespace", FLAG_STRING, "n", "namespace to use with commands", "default",
	  "CONTAINERD_NAMESPACE" },
	{ NULL },
};

static const struct flag app_flags[] = {
	{ "version", FLAG_BOOL, "v", "print the version" },
	{ NULL },
};

static const struct command app = {
	.name = "ctr",
	.usage = "casco's command line for containerd",
	.description =
		"ctr is an administrative client of the containerd daemon: images, containers,\n"
		"   tasks, snapshots and content, as the containerd project's ctr has them.",
	.flags = { global_flags },
	.commands = top_commands,
};

static int help_run(struct ctr *ctr, const struct args *args, struct err *e);

static const struct command top_commands[] = {
	{ .name = "plugins",
	  .aliases = "plugin",
	  .usage = "provides information about containerd plugins",
	  .commands = plugins_commands },
	{ .name = "version",
	  .usage = "print the client and server versions",
	  .flags = { list_format_flags },
	  .run = version_run },
	{ .name = "containers",
	  .aliases = "c container",
	  .usage = "manage containers",
	  .commands = containers_commands },
	{ .name = "content", .usage = "manage content", .commands = content_commands },
	{ .name = "events",
	  .aliases = "event",
	  .usage = "display containerd events",
	  .args_usage = "[<filter>, ...]",
	  .run = events_run },
	{ .name = "images",
	  .aliases = "image i",
	  .usage = "manage images",
	  .commands = images_commands },
	{ .name = "leases", .usage = "manage leases", .commands = leases_commands },
	{ .name = "namespaces",
	  .aliases = "namespace ns",
	  .usage = "manage namespaces",
	  .commands = namespaces_commands },
	{ .name = "registry",
	  .usage = "look at what answers behind a registry's name",
	  .commands = registry_commands },
	{ .name = "run",
	  .usage = "run a container",
	  .args_usage = "[flags] Image|RootFS ID [COMMAND] [ARG...]",
	  .flags = { run_flags, log_flags, platform_flags, snapshotter_flags, container_flags,
		     network_flags },
	  .run = run_run },
	{ .name = "logs",
	  .usage = "show what a detached container has said",
	  .args_usage = "[flags] CONTAINER",
	  .flags = { logs_flags },
	  .run = logs_run },
	{ .name = "inspect",
	  .usage = "show a container, its task and its past as JSON, or one value of it",
	  .args_usage = "CONTAINER [PATH]",
	  .description = "PATH is like Spec.process.args[0], Task.Pid or Labels[a.b/c]",
	  .run = inspect_run },
	{ .name = "ps",
	  .usage = "list containers that run, or (-a) all of them",
	  .args_usage = "[flags] [<filter>, ...]",
	  .flags = { ps_flags, list_format_flags },
	  .run = ps_run },
	{ .name = "why",
	  .usage = "tell why a container is not running",
	  .args_usage = "[flags] CONTAINER",
	  .flags = { list_format_flags },
	  .run = why_run },
	{ .name = "sandboxes",
	  .aliases = "sandbox sb s",
	  .usage = "manage sandboxes",
	  .commands = sandboxes_commands },
	{ .name = "snapshots",
	  .aliases = "snapshot",
	  .usage = "manage snapshots",
	  .commands = snapshots_commands,
	  .flags = { snapshotter_flags } },
	{ .name = "tasks",
	  .aliases = "t task",
	  .usage = "manage tasks",
	  .commands = tasks_commands },
	{ .name = "install",
	  .usage = "install a new package",
	  .args_usage = "[flags] <ref>",
	  .description =
		  "Programs that come as an image: what is in its bin/, into the folder that "
		  "the daemon\n"
		  "   has for them.",
	  .flags = { install_flags },
	  .run = install_run },
	{ .name = "oci", .usage = "OCI tools", .commands = oci_commands },
	{ .name = "shim",
	  .usage = "interact with a shim directly",
	  .commands = shim_commands,
	  .flags = { shim_flags } },
	{ .name = "info", .usage = "print the server info", .run = info_run },
	{ .name = "deprecations",
	  .usage = "warnings for what will go",
	  .commands = deprecations_commands },
	{ .name = "doctor",
	  .usage = "check this machine and its daemon, and say what to do",
	  .flags = { doctor_flags },
	  .run = doctor_run },
	{ .name = "help",
	  .aliases = "h",
	  .usage = "Shows a list of commands or help for one command",
	  .args_usage = "[command]",
	  .run = help_run },
	{ .name = NULL },
};

static int unknown_command(const char *word)
{
	ctr_print(stderr, "No help topic for '%s'\n", word);
	return 3;
}

/* Help for the command that words lead to. */
static int show_help(const char *const *words)
{
	struct str path AUTO_STR = STR_INIT(4096);
	const struct command *c = &app;

	str_add(&path, "ctr");
	for (; *words; words++) {
		c = c->commands ? command_find(c->commands, *words) : NULL;
		if (!c)
			return unknown_command(*words);
		str_addf(&path, " %s", c->name);
	}
	if (c == &app)
		help_app(stdout, c);
	else if (c->commands)
		help_group(stdout, c, str_c(&path));
	else
		help_command(stdout, c, str_c(&path));
	return 0;
}

static int help_run(struct ctr *ctr, const struct args *args, struct err *e)
{
	(void)e;
	ctr->exit_code = show_help(args->v);
	return 0;
}

/* What to do about failures that have one usual cause. */
static void print_advice(const struct err *e)
{
	static const struct {
		const char *part, *advice;
	} known[] = {
		{ "SSL peer certificate", "the registry's certificate is not trusted: name its "
					  "authority with --tlscacert or "
					  "in a hosts.toml (-k skips the check)" },
		{ "no match for platform", "the image is not here for that platform: see \"ctr "
					   "images ls\", and pull it with "
					   "--platform or --all-platforms" },
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strstr(e->msg, known[i].part)) {
			fprintf(stderr, "ctr: %s\n", known[i].advice);
			return;
		}
}

/* What most people need to hear when the daemon does not answer. */
static void print_hint(const struct ctr *c, const struct err *e)
{
	if (c->client) {
		print_advice(e);
		return;
	}
	if (strstr(e->msg, "permission denied"))
		fprintf(stderr, "ctr: only root may talk to containerd: try it with sudo\n");
	else if (strstr(e->msg, "failed to dial"))
		ctr_print(
			stderr,
			"ctr: no daemon answers at %s: start one (\"systemctl start containerd\", "
			"or "
			"\"containerd\" as root), or name its socket with --address or "
			"$CONTAINERD_ADDRESS\n",
			c->address);
}

static int report(const struct ctr *c, const struct err *e)
{
	char text[1100];

	fflush(stdout);
	ctr_print(stderr, "ctr: %s\n", err_text(e, text, sizeof text));
	print_hint(c, e);
	return 1;
}

/* A command line that does not parse: the sentence, the help, the sentence again at the end. */
static int usage_error(const struct command *c, const char *path, const struct err *e)
{
	if (e->code == ERR_UNIMPLEMENTED) {
		ctr_print(stderr, "ctr: %s\n", e->msg);
		return 1;
	}
	ctr_print(stdout, "Incorrect Usage: %s\n\n", e->msg);
	if (c == &app)
		help_app(stdout, c);
	else if (c->commands)
		help_group(stdout, c, path);
	else
		help_command(stdout, c, path);
	fflush(stdout);
	ctr_print(stderr, "ctr: %s\n", e->msg);
	return 1;
}

/* Options of a group ("ctr snapshots --snapshotter native ls") go to its commands as environment
 * would: by the one option there is. */
static void pass_group_options(const struct args *group)
{
	if (group->command->flags[0] == snapshotter_flags && args_is_set(group, "snapshotter"))
		setenv("CONTAINERD_SNAPSHOTTER", args_string(group, "snapshotter"), 1);
}

static int run_command(struct ctr *ctr, const struct command *c, const struct args *group,
		       const char *path, const char *const *argv)
{
	const struct command *sub;
	struct err e = { 0 };
	struct args args;
	bool help = false;

	if (args_parse(ctr->arena, c, argv, &args, &help, &e) < 0)
		return usage_error(c, path, &e);
	if (!c->commands) {
		if (help) {
			help_command(stdout, c, path);
			return 0;
		}
		args.group = group;
		if (c->run(ctr, &args, &e) < 0)
			return report(ctr, &e);
		return ctr->exit_code;
	}
	if (help || !args.n || !strcmp(args.v[0], "help") || !strcmp(args.v[0], "h")) {
		help_group(stdout, c, path);
		return 0;
	}
	pass_group_options(&args);
	sub = command_find(c->commands, args.v[0]);
	if (!sub)
		return unknown_command(args.v[0]);
	return run_command(ctr, sub, &args, arena_printf(ctr->arena, "%s %s", path, sub->name),
			   args.v + 1);
}

static int run_app(struct ctr *ctr, const char *const *argv)
{
	struct command with_version = app;
	const struct command *c;
	struct err e = { 0 };
	struct args args;
	bool help = false;
	size_t n = 0;

	with_version.flags[1] = app_flags;
	while (argv[n])
		n++;
	if (n && !strcmp(argv[n - 1], "--generate-bash-completion"))
		return complete_run(ctr, &with_version, argv, n - 1);
	if (args_parse(ctr->arena, &with_version, argv, &args, &help, &e) < 0)
		return usage_error(&app, "ctr", &e);
	if (args_bool(&args, "version")) {
		printf("ctr github.com/containerd/containerd %s\n", CASCO_VERSION);
		return 0;
	}
	if (help || !args.n) {
		help_app(stdout, &app);
		return 0;
	}
	ctr->address = args_string(&args, "address");
	ctr->ns = args_string(&args, "namespace");
	ctr->timeout_ns = args_duration(&args, "timeout");
	ctr->connect_timeout_ns = args_duration(&args, "connect-timeout");
	log_setup(STDERR_FILENO, LOG_TEXT, args_bool(&args, "debug") ? LOG_DEBUG : LOG_INFO);
	c = command_find(app.commands, args.v[0]);
	if (!c)
		return unknown_command(args.v[0]);
	return run_command(ctr, c, NULL, arena_printf(ctr->arena, "ctr %s", c->name), args.v + 1);
}

int main(int argc, char **argv)
{
	struct ctr ctr = { 0 };
	int code;

	(void)argc;
	if (fd_fill_std() < 0)
		return 1;
	signal(SIGPIPE,
	       SIG_IGN); /* a reader that goes away is an error of write(), not our death */
	ctr.arena = arena_new();
	code = run_app(&ctr, (const char *const *)argv + 1);
	ctr_lease_end(&ctr);
	grpc_close(ctr.client);
	arena_free(ctr.arena);
	if (fflush(stdout) != 0 && code == 0)
		code = 1;
	return code;
}
