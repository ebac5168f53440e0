/* The command line of runc: one table a command makes the parser and its help text. */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "runtime/runtime.h"

enum option_type {
	OPTION_BOOL, /* bool */
	OPTION_STRING, /* const char * */
	OPTION_INT, /* int */
	OPTION_LIST, /* struct strv */
};

struct option {
	const char *name, *alias; /* alias: one letter, or NULL */
	enum option_type type;
	size_t at; /* offset in the command's options */
	const char *help;
};

/* What stands before the command's name. */
struct global {
	struct runtime runtime;
	bool debug;
	const char *log, *log_format, *root, *rootless, *criu;
	bool systemd_cgroup, help, version;
	int log_fd;
};

/* The options of all commands in one struct; each table names the ones that are its own. */
struct options {
	const char *bundle, *console_socket, *pid_file, *cwd, *user, *process, *apparmor, *label,
		*cgroup, *format;
	int preserve_fds;
	bool detach, keep, no_pivot, no_new_keyring, no_subreaper, force, all, quiet, tty,
		no_new_privs, ignore_paused, rootless, help;
	struct strv env, caps, gids;
};

struct invocation {
	const struct global *global;
	const struct command *command;
	struct options o;
	uint64_t given; /* bit n: option n of the command's table was on the command line */
	char **argv; /* our own, to execute ourselves again */
	char **args; /* behind the options */
	int n_args;
};

struct command {
	const char *name, *usage, *summary, *description;
	const struct option *options; /* ends with an empty one */
	int min_args, max_args; /* max -1: any */
	/* The exit status, or -1 with e. */
	int (*run)(struct invocation *in, struct err *e);
	const char *failure; /* prefixes the error: "runc run failed" */
	int failure_status;
};

extern const struct command *const commands[]; /* ends with NULL */

extern const struct command command_create, command_run, command_exec, command_start, command_kill,
	command_delete, command_pause, command_resume, command_state, command_list, command_ps,
	command_spec;

/* Fills opts from argv up to the first word that is no option (or "--").  Returns the index of
 * that word.  As in Go, -x and --x are the same, and values come behind '=' or as the next word. */
int cli_parse(const struct option *table, int argc, char **argv, void *opts, uint64_t *given,
	      struct err *e);
bool cli_was_given(const struct invocation *in, const char *name);

void cli_help_global(int fd);
void cli_help_command(int fd, const struct command *c);
void cli_version(void);
extern const struct option global_options[];

/* Runs the process in the foreground until it ends: copies its terminal (master, or -1), passes
 * signals on.  Returns its exit status, 128 + n after signal n. */
int foreground_begin(bool subreaper, struct err *e); /* before the process exists: blocks signals */
int foreground_wait(struct runtime_process *p, int signals, struct err *e);
