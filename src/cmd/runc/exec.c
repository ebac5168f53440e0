/* runc exec. */
#include "cmd/runc/cli.h"

#include "base/log.h"
#include "base/num.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define O(field) offsetof(struct options, field)

enum { CGROUPS_MAX = 64 };

static const struct option exec_options[] = {
	{ "console-socket", NULL, OPTION_STRING, O(console_socket),
	  "path to an AF_UNIX socket which will receive a file descriptor referencing the master "
	  "end of the console's pseudoterminal" },
	{ "pidfd-socket", NULL, OPTION_STRING, O(pidfd_socket),
	  "path to an AF_UNIX socket which will receive a file descriptor referencing the exec "
	  "process" },
	{ "cwd", NULL, OPTION_STRING, O(cwd), "current working directory in the container" },
	{ "env", "e", OPTION_LIST, O(env), "set environment variables" },
	{ "tty", "t", OPTION_BOOL, O(tty), "allocate a pseudo-TTY" },
	{ "user", "u", OPTION_STRING, O(user), "UID (format: <uid>[:<gid>])" },
	{ "additional-gids", "g", OPTION_NUMBERS, O(gids), "additional gids" },
	{ "process", "p", OPTION_STRING, O(process), "path to the process.json" },
	{ "detach", "d", OPTION_BOOL, O(detach), "detach from the container's process" },
	{ "pid-file", NULL, OPTION_STRING, O(pid_file),
	  "specify the file to write the process id to" },
	{ "process-label", NULL, OPTION_STRING, O(label),
	  "set the asm process label for the process commonly used with selinux" },
	{ "apparmor", NULL, OPTION_STRING, O(apparmor),
	  "set the apparmor profile for the process" },
	{ "no-new-privs", NULL, OPTION_BOOL, O(no_new_privs),
	  "set the no new privileges value for the process" },
	{ "cap", "c", OPTION_LIST, O(caps),
	  "add a capability to the bounding set for the process" },
	{ "preserve-fds", NULL, OPTION_INT, O(preserve_fds),
	  "Pass N additional file descriptors to the container (stdio + $LISTEN_FDS + N in total) "
	  "(default: 0)" },
	{ "cgroup", NULL, OPTION_LIST, O(cgroups),
	  "run the process in an (existing) sub-cgroup(s). Format is [<controller>:]<cgroup>." },
	{ "ignore-paused", NULL, OPTION_BOOL, O(ignore_paused),
	  "allow exec in a paused container" },
	{ NULL },
};

static int read_process(struct arena *a, const char *path, struct oci_process **ret, struct err *e)
{
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	int r = file_read(AT_FDCWD, path, 16 << 20, &text, &len);

	if (r < 0)
		return err_sys(e, -r, "open %s", path);
	return oci_process_parse(a, text, len, ret, e);
}

/* The container's own process is the pattern: its user, environment, limits, capabilities. */
static int copy_init_process(const struct invocation *in, struct arena *a, const char *bundle,
			     struct oci_process **ret, struct err *e)
{
	struct oci_spec *spec = NULL;

	if (runtime_load_spec(a, bundle, &spec, e) < 0)
		return -1;
	if (!spec->process)
		return err_set(e, ERR_INVALID_ARGUMENT, "process property must not be empty");
	*ret = spec->process;
	(*ret)->args.v = arena_array(a, (size_t)in->n_args, sizeof(char *));
	(*ret)->args.n = 0;
	for (int i = 1; i < in->n_args; i++)
		(*ret)->args.v[(*ret)->args.n++] = in->args[i];
	(*ret)->terminal = in->o.tty;
	return 0;
}

static void append(struct arena *a, struct oci_strings *s, const struct strv *more)
{
	process_append(a, s, (const char *const *)more->v, more->n);
}

static int parse_id(const char *kind, const char *text, uint32_t *ret, struct err *e)
{
	int r = num_id(text, ret);

	if (r == 0)
		return 0;
	return err_set(e, ERR_INVALID_ARGUMENT, "bad %s: strconv.Atoi: parsing \"%s\": %s", kind,
		       text, r == -ERANGE ? "value out of range" : "invalid syntax");
}

static int set_user(const char *text, struct oci_user *u, struct err *e)
{
	AUTO_FREE char *uid = xstrndup(text, strcspn(text, ":"));
	const char *colon = strchr(text, ':');

	if (parse_id("uid", uid, &u->uid, e) < 0)
		return -1;
	return colon ? parse_id("gid", colon + 1, &u->gid, e) : 0;
}

static int set_groups(struct arena *a, const struct strv *gids, struct oci_user *u, struct err *e)
{
	uint32_t *v = arena_array(a, u->n_additional_gids + gids->n + 1, sizeof *v);

	for (size_t i = 0; i < u->n_additional_gids; i++)
		v[i] = u->additional_gids[i];
	u->additional_gids = v;
	for (size_t i = 0; i < gids->n; i++)
		if (parse_id("additional gid", gids->v[i], &v[u->n_additional_gids++], e) < 0)
			return -1;
	return 0;
}

static int apply_options(const struct invocation *in, struct arena *a, struct oci_process *p,
			 struct err *e)
{
	const struct options *o = &in->o;

	if (o->cwd)
		p->cwd = o->cwd;
	if (o->apparmor)
		p->apparmor_profile = o->apparmor;
	if (o->label)
		p->selinux_label = o->label;
	if (cli_was_given(in, "no-new-privs"))
		p->no_new_privileges = o->no_new_privs;
	append(a, &p->env, &o->env);
	if (o->caps.n) {
		if (!p->capabilities)
			p->capabilities = ARENA_NEW(a, struct oci_capabilities);
		append(a, &p->capabilities->bounding, &o->caps);
		append(a, &p->capabilities->effective, &o->caps);
		append(a, &p->capabilities->permitted, &o->caps);
		/* ambient ones must be inheritable: only where the spec has thought of that */
		if (p->capabilities->inheritable.n)
			append(a, &p->capabilities->ambient, &o->caps);
	}
	if (o->user && *o->user && set_user(o->user, &p->user, e) < 0)
		return -1;
	return set_groups(a, &o->gids, &p->user, e);
}

static int make_process(const struct invocation *in, struct arena *a, const char *bundle,
			struct oci_process **ret, struct err *e)
{
	if (in->o.process)
		return read_process(a, in->o.process, ret, e);
	if (copy_init_process(in, a, bundle, ret, e) < 0)
		return -1;
	return apply_options(in, a, *ret, e);
}

/* "a,b:/path" puts two rows in. */
static int add_cgroups(struct arena *a, const char *text, struct oci_pairs *ret, struct err *e)
{
	const char *path = strchr(text, ':');

	for (const char *name = text; name <= path;) {
		size_t n = strcspn(name, ",:");
		char *key = arena_strndup(a, name, n);

		for (size_t i = 0; i < ret->n; i++)
			if (strcmp(ret->v[i].key, key) == 0)
				return err_set(e, ERR_INVALID_ARGUMENT,
					       "invalid --cgroup argument(s): controller %s "
					       "specified multiple times",
					       key);
		if (ret->n == CGROUPS_MAX)
			return err_set(e, ERR_INVALID_ARGUMENT, "too many --cgroup arguments");
		ret->v[ret->n++] = (struct oci_pair){ key, path + 1 };
		name += n + 1;
	}
	return 0;
}

static int parse_cgroups(struct arena *a, const struct strv *given, struct oci_pairs *ret,
			 struct err *e)
{
	ret->v = arena_array(a, CGROUPS_MAX, sizeof *ret->v);
	for (size_t i = 0; i < given->n; i++) {
		const char *text = given->v[i], *colon = strchr(text, ':');

		if (colon && strchr(colon + 1, ':'))
			return err_set(e, ERR_INVALID_ARGUMENT, "invalid --cgroup argument: %s",
				       text);
		if (colon && add_cgroups(a, text, ret, e) < 0)
			return -1;
		if (colon)
			continue;
		if (given->n != 1)
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "invalid --cgroup argument: %s (missing <controller>: "
				       "prefix)",
				       text);
		ret->v[ret->n++] = (struct oci_pair){ "", text };
	}
	return 0;
}

static int run_exec(struct invocation *in, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	CLEANUP(runtime_process_done) struct runtime_process p = RUNTIME_PROCESS_NONE;
	struct runtime_exec x = {
		.id = in->args[0],
		.ignore_paused = in->o.ignore_paused,
	};
	struct oci_process *process = NULL;
	struct runtime_state s;
	AUTO_FD int signals = -1;

	/* a container that is not there is the worst mistake, and told first */
	if (runtime_state(&in->global->runtime, a, in->args[0], &s, e) < 0)
		return -1;
	if (in->n_args < 2 && !in->o.process)
		return err_set(e, ERR_INVALID_ARGUMENT, "exec args cannot be empty");
	if (runtime_protect_self(in->argv, e) < 0 || make_process(in, a, s.bundle, &process, e) < 0)
		return -1;
	x.process = process;
	if (process_choose_io(in, process, in->o.detach, &x.io, e) < 0 ||
	    parse_cgroups(a, &in->o.cgroups, &x.cgroups, e) < 0)
		return -1;
	if (!in->o.detach) {
		signals = foreground_begin(false, e);
		if (signals < 0)
			return -1;
	}
	if (runtime_exec(&in->global->runtime, &x, &p, e) < 0)
		return -1;
	return in->o.detach ? 0 : foreground_wait(&p, signals, NULL, e);
}

const struct command command_exec = {
	.name = "exec",
	.usage = "<container-id> <command> [command options]  || -p process.json "
		 "<container-id>\n\n"
		 "Where \"<container-id>\" is the name for the instance of the container and\n"
		 "\"<command>\" is the command to be executed in the container.\n"
		 "\"<command>\" can't be empty unless a \"-p\" flag provided.\n\n"
		 "EXAMPLE:\n   # runc exec <container-id> ps",
	.summary = "execute new process inside the container",
	.options = exec_options,
	.min_args = 1,
	.max_args = -1,
	.keep_order = true,
	.run = run_exec,
	.failure = "exec failed",
	.failure_status = 255,
};
