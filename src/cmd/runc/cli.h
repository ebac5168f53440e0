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
	OPTION_NUMBERS, /* struct strv of numbers */
};

struct option {
	const char *name, *alias; /* alias: one letter, or NULL */
	enum option_type type;
	size_t at; /* offset in the command's options */
	const char *help; /* NULL: accepted for old callers, not shown */
};

/* What stands before the command's name. */
struct global {
	struct runtime runtime;
	bool debug;
	const char *log, *log_format, *root, *rootless, *criu;
	bool systemd_cgroup, help, version;
	int log_fd;
};

/* What checkpoint and restore share. */
struct criu_flags {
	const char *image_path, *work_path, *parent_path, *page_server, *manage_cgroups,
		*lsm_profile, *lsm_mount_context;
	bool leave_running, tcp_established, tcp_skip_in_flight, link_remap, ext_unix_sk, shell_job,
		lazy_pages, file_locks, pre_dump, auto_dedup;
	struct strv empty_ns;
	int status_fd;
};

struct update_flags {
	const char *resources, *cpu_period, *cpu_quota, *cpu_burst, *cpu_share, *cpu_rt_period,
		*cpu_rt_runtime, *cpuset_cpus, *cpuset_mems, *kernel_memory, *kernel_memory_tcp,
		*memory, *cpu_idle, *memory_reservation, *memory_swap, *l3_cache_schema,
		*mem_bw_schema;
	int blkio_weight, pids_limit;
};

struct events_flags {
	const char *interval;
	bool stats;
};

/* The options of all commands in one struct; each table names the ones that are its own. */
struct options {
	const char *bundle, *console_socket, *pidfd_socket, *pid_file, *cwd, *user, *process,
		*apparmor, *label, *format;
	int preserve_fds;
	bool detach, keep, no_pivot, no_new_keyring, no_subreaper, force, all, quiet, tty,
		no_new_privs, ignore_paused, rootless, help;
	struct strv env, caps, gids, cgroups;
	struct criu_flags criu;
	struct update_flags update;
	struct events_flags events;
};

struct invocation {
	const struct global *global;
	const struct command *command;
	struct options o;
	uint64_t given; /* bit n: option n of the command's table was on the command line */
	char **argv; /* our own, to execute ourselves again */
	char **args; /* what is no option */
	int n_args;
};

struct command {
	const char *name;
	const char *usage; /* behind "[command options]" */
	const char *summary, *description; /* description: NULL, or its first line indented by 3 */
	const struct option *options; /* ends with an empty one */
	int min_args, max_args; /* max -1: any */
	bool keep_order; /* options end at the first word that is none: the rest is a command's own
			  */
	/* The exit status, or -1 with e. */
	int (*run)(struct invocation *in, struct err *e);
	const char *failure; /* prefixes the error: "runc run failed" */
	int failure_status;
};

extern const struct command *const commands[]; /* ends with NULL */

extern const struct command command_checkpoint, command_create, command_delete, command_events,
	command_exec, command_features, command_kill, command_list, command_pause, command_ps,
	command_restore, command_resume, command_run, command_spec, command_start, command_state,
	command_update;

/* Fills opts from argv.  args has room for argc + 1 words and gets those that are no options;
 * returns their number.  As in Go, -x and --x are the same, and values come behind '=' or as the
 * next word.  With any_order known options also count behind other words, up to "--". */
int cli_parse(const struct option *table, int argc, char **argv, bool any_order, void *opts,
	      uint64_t *given, char **args, struct err *e);
bool cli_was_given(const struct invocation *in, const char *name);
bool cli_parse_bool(const char *text, bool *ret); /* Go's words; false: none of them */

void cli_help_global(int fd);
void cli_help_command(int fd, const struct command *c);
void cli_version(void);
extern const struct option global_options[];

/* 0, or -1 with the sentence for a value of --rootless that is none. */
int cli_check_rootless(const struct global *g, struct err *e);

/* Processes in the foreground (foreground.c): copies the terminal (the process's console, or none),
 * passes signals on, tells a service manager.  wait returns the exit status, 128 + n after
 * signal n. */
struct notify;
int foreground_begin(bool subreaper, struct err *e); /* before the process exists: blocks signals */
int foreground_wait(struct runtime_process *p, int signals, struct notify *n, struct err *e);

/* What the commands that make a process have in common (process.c).  p: NULL where config.json has
 * none. */
int process_choose_io(const struct invocation *in, const struct oci_process *p, bool detach,
		      struct runtime_io *ret, struct err *e);
void process_append(struct arena *a, struct oci_strings *s, const char *const *more, size_t n);

/* What create, run and restore have in common (run.c). */
int run_prepare(struct invocation *in, struct arena *a, bool detach, struct runtime_create *c,
		struct notify *n, struct err *e);
/* The second half of run and restore: waits for a process in the foreground and deletes it. */
int run_to_its_end(struct invocation *in, struct runtime_process *p, int signals, struct notify *n,
		   struct err *e);
