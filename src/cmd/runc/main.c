/* runc: the OCI runtime's command line.  Reads options, calls the runtime library, says what went
 * wrong: on stderr, and in the log file when there is one. */
#include "cmd/runc/cli.h"

#include "base/log.h"
#include "os/fd.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* One row a line, in the order of the help text. */
/* clang-format off */
const struct command *const commands[] = {
	&command_checkpoint,
	&command_create,
	&command_delete,
	&command_events,
	&command_exec,
	&command_kill,
	&command_list,
	&command_pause,
	&command_ps,
	&command_restore,
	&command_resume,
	&command_run,
	&command_spec,
	&command_start,
	&command_state,
	&command_update,
	&command_features,
	NULL,
};
/* clang-format on */

#define G(field) offsetof(struct global, field)
const struct option global_options[] = {
	{ "debug", NULL, OPTION_BOOL, G(debug), "enable debug logging" },
	{ "log", NULL, OPTION_STRING, G(log),
	  "set the log file to write runc logs to (default is '/dev/stderr')" },
	{ "log-format", NULL, OPTION_STRING, G(log_format),
	  "set the log format ('text' (default), or 'json') (default: \"text\")" },
	{ "root", NULL, OPTION_STRING, G(root),
	  "root directory for storage of container state (this should be located in tmpfs) "
	  "(default: \"/run/runc\")" },
	{ "criu", NULL, OPTION_STRING, G(criu), NULL },
	{ "systemd-cgroup", NULL, OPTION_BOOL, G(systemd_cgroup),
	  "enable systemd cgroup support, expects cgroupsPath to be of form "
	  "\"slice:prefix:name\" for e.g. \"system.slice:runc:434234\"" },
	{ "rootless", NULL, OPTION_STRING, G(rootless),
	  "ignore cgroup permission errors ('true', 'false', or 'auto') (default: \"auto\")" },
	{ "help", "h", OPTION_BOOL, G(help), "show help" },
	{ "version", "v", OPTION_BOOL, G(version), "print the version" },
	{ NULL },
};

/* Once in the log, and on stderr if that is not where the log goes. */
static void say_error(const struct global *g, const char *text)
{
	log_error(LOG_NONE, "%s", text);
	if (g->log_fd != STDERR_FILENO)
		dprintf(STDERR_FILENO, "%s\n", text);
}

static int set_up_log(struct global *g, struct err *e)
{
	enum log_format format = LOG_TEXT;

	g->log_fd = STDERR_FILENO;
	if (g->log_format && strcmp(g->log_format, "json") == 0)
		format = LOG_JSON;
	else if (g->log_format && strcmp(g->log_format, "text") != 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid log-format: %s", g->log_format);
	if (g->log && *g->log && strcmp(g->log, "/dev/stderr") != 0) {
		int fd = open(g->log, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0644);

		if (fd < 0)
			return err_sys(e, errno, "open %s", g->log);
		g->log_fd = fd;
	}
	log_setup(g->log_fd, format, g->debug ? LOG_DEBUG : LOG_INFO);
	return 0;
}

/* The whole range of ids mapped to itself is the first one's. */
static bool is_in_user_namespace(void)
{
	static int known = -1; /* files of /proc are slow to open */
	AUTO_FREE char *map = NULL;

	if (known < 0)
		known = file_read(AT_FDCWD, "/proc/self/uid_map", 4096, &map, NULL) == 0 &&
			strcmp(map, "         0          0 4294967295\n") != 0;
	return known; /* without the file, the kernel has no user namespaces */
}

/* Who is not the machine's root keeps state where the login session lets him. */
static int choose_root(struct global *g, struct err *e)
{
	const char *xdg = getenv("XDG_RUNTIME_DIR"), *user = getenv("USER");

	g->runtime.root = g->root;
	if (g->root)
		return 0;
	bool is_own =
		geteuid() != 0 || ((!user || strcmp(user, "root") != 0) && is_in_user_namespace());
	g->runtime.root = "/run/runc";
	if (!is_own || !xdg || !*xdg)
		return 0;
	g->runtime.root = xasprintf("%s/runc", xdg);
	int r = file_mkdirs(g->runtime.root, 0700);
	/* sticky: what cleans up the session's folder leaves it alone */
	if (r == 0 && chmod(g->runtime.root, S_ISVTX | 0700) < 0)
		r = -errno;
	if (r < 0)
		return err_sys(e, -r,
			       "root directory for storage of container state: mkdir %s (the path "
			       "in $XDG_RUNTIME_DIR must be writable by the user)",
			       g->runtime.root);
	return 0;
}

static int set_up_global(struct global *g, struct err *e)
{
	if (set_up_log(g, e) < 0 || choose_root(g, e) < 0)
		return -1;
	if (!g->rootless || !cli_parse_bool(g->rootless, &g->runtime.rootless))
		g->runtime.rootless = geteuid() != 0 || is_in_user_namespace();
	g->runtime.systemd_cgroup = g->systemd_cgroup;
	return 0;
}

int cli_check_rootless(const struct global *g, struct err *e)
{
	bool ignored;

	if (!g->rootless || strcmp(g->rootless, "auto") == 0 ||
	    cli_parse_bool(g->rootless, &ignored))
		return 0;
	return err_set(e, ERR_INVALID_ARGUMENT, "strconv.ParseBool: parsing \"%s\": invalid syntax",
		       g->rootless);
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; commands[i]; i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

static int unknown_command(const struct global *g, const char *name)
{
	AUTO_FREE char *text = xasprintf("No help topic for '%s'\n", name);

	say_error(g, text);
	return 3;
}

static int help(const struct global *g, int argc, char **argv)
{
	const struct command *c = argc ? find_command(argv[0]) : NULL;

	if (argc && !c)
		return unknown_command(g, argv[0]);
	if (c)
		cli_help_command(STDOUT_FILENO, c);
	else
		cli_help_global(STDOUT_FILENO);
	return 0;
}

static int check_args(const char *self, const struct command *c, int n, struct err *e)
{
	if (c->min_args == c->max_args && n != c->min_args)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "%s: \"%s\" requires exactly %d argument(s)", self, c->name,
			       c->min_args);
	if (n < c->min_args)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "%s: \"%s\" requires a minimum of %d argument(s)", self, c->name,
			       c->min_args);
	if (c->max_args >= 0 && n > c->max_args)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "%s: \"%s\" requires a maximum of %d argument(s)", self, c->name,
			       c->max_args);
	return 0;
}

/* text: what stands behind "Incorrect Usage" */
static int usage_error(const struct global *g, const struct command *c, const char *text,
		       const struct err *e)
{
	dprintf(STDOUT_FILENO, "Incorrect Usage%s%s\n\n", text, *text == ':' ? e->msg : "");
	cli_help_command(STDOUT_FILENO, c);
	say_error(g, e->msg);
	return 1;
}

static int run_command(const struct global *g, const struct command *c, char **own, int argc,
		       char **argv)
{
	static struct invocation in; /* static: what options point to lives as long as we do */
	AUTO_FREE char **args = xcalloc((size_t)argc + 1, sizeof *args);
	struct err e = { 0 };

	in = (struct invocation){ .global = g, .command = c, .argv = own, .args = args };
	in.n_args =
		cli_parse(c->options, argc, argv, !c->keep_order, &in.o, &in.given, in.args, &e);
	if (in.n_args < 0)
		return usage_error(g, c, ": ", &e);
	if (in.o.help) {
		cli_help_command(STDOUT_FILENO, c);
		return 0;
	}
	if (check_args(own[0], c, in.n_args, &e) < 0)
		return usage_error(g, c, ".", &e);
	int status = c->run(&in, &e);
	if (status >= 0)
		return status;
	if (c->failure)
		err_wrap(&e, "%s", c->failure);
	say_error(g, e.msg);
	return c->failure_status ?: 1;
}

int main(int argc, char **argv)
{
	static struct global g = { .log_fd = STDERR_FILENO };
	struct err e = { 0 };

	log_whole_seconds();
	if (fd_fill_std() < 0)
		return 1;
	AUTO_FREE char **words = xcalloc((size_t)argc + 1, sizeof *words);
	int n = cli_parse(global_options, argc - 1, argv + 1, false, &g, NULL, words, &e);
	if (n < 0) {
		dprintf(STDOUT_FILENO, "Incorrect Usage. %s\n\n", e.msg);
		cli_help_global(STDOUT_FILENO);
		say_error(&g, e.msg);
		return 1;
	}
	if (g.version) {
		cli_version();
		return 0;
	}
	if (g.help || !n) {
		cli_help_global(STDOUT_FILENO);
		return 0;
	}
	if (strcmp(words[0], "help") == 0 || strcmp(words[0], "h") == 0)
		return help(&g, n - 1, words + 1);
	if (set_up_global(&g, &e) < 0) {
		say_error(&g, e.msg);
		return 1;
	}
	const struct command *c = find_command(words[0]);
	if (!c)
		return unknown_command(&g, words[0]);
	return run_command(&g, c, argv, n - 1, words + 1);
}
