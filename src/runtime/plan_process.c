/* The process object of the spec → what the child has to become. */
#include "runtime/caps.h"

#include <string.h>
#include <strings.h>

static const struct {
	const char *name;
	int resource;
} rlimits[] = {
	{ "RLIMIT_AS", RLIMIT_AS },
	{ "RLIMIT_CORE", RLIMIT_CORE },
	{ "RLIMIT_CPU", RLIMIT_CPU },
	{ "RLIMIT_DATA", RLIMIT_DATA },
	{ "RLIMIT_FSIZE", RLIMIT_FSIZE },
	{ "RLIMIT_LOCKS", RLIMIT_LOCKS },
	{ "RLIMIT_MEMLOCK", RLIMIT_MEMLOCK },
	{ "RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE },
	{ "RLIMIT_NICE", RLIMIT_NICE },
	{ "RLIMIT_NOFILE", RLIMIT_NOFILE },
	{ "RLIMIT_NPROC", RLIMIT_NPROC },
	{ "RLIMIT_RSS", RLIMIT_RSS },
	{ "RLIMIT_RTPRIO", RLIMIT_RTPRIO },
	{ "RLIMIT_RTTIME", RLIMIT_RTTIME },
	{ "RLIMIT_SIGPENDING", RLIMIT_SIGPENDING },
	{ "RLIMIT_STACK", RLIMIT_STACK },
};

static int plan_rlimits(struct arena *a, const struct oci_process *p, struct plan_process *ret,
			struct err *e)
{
	ret->rlimits = arena_array(a, p->n_rlimits, sizeof *ret->rlimits);
	for (size_t i = 0; i < p->n_rlimits; i++) {
		const struct oci_rlimit *l = &p->rlimits[i];
		struct plan_rlimit *out = &ret->rlimits[i];

		for (size_t k = 0; k < ARRAY_LEN(rlimits) && !out->name; k++)
			if (strcmp(rlimits[k].name, l->type) == 0)
				*out = (struct plan_rlimit){ rlimits[k].resource,
							     { l->soft, l->hard },
							     rlimits[k].name };
		if (!out->name)
			return err_set(e, ERR_INVALID_ARGUMENT, "wrong rlimit value: %s", l->type);
		for (size_t k = 0; k < i; k++)
			if (ret->rlimits[k].resource == out->resource)
				return err_set(e, ERR_INVALID_ARGUMENT, "rlimit %s is given twice",
					       l->type);
		ret->n_rlimits++;
	}
	return 0;
}

/* The primary group belongs to the supplementary ones: "negative" permissions of files rely on it.
 */
static void plan_groups(struct arena *a, const struct oci_user *u, struct plan_process *ret)
{
	ret->groups = arena_array(a, u->n_additional_gids + 1, sizeof *ret->groups);
	ret->groups[ret->n_groups++] = u->gid;
	for (size_t i = 0; i < u->n_additional_gids; i++)
		if (u->additional_gids[i] != u->gid)
			ret->groups[ret->n_groups++] = u->additional_gids[i];
}

static int check_process(const struct oci_process *p, struct err *e)
{
	if (!p->args.n)
		return err_set(e, ERR_INVALID_ARGUMENT, "process.args must not be empty");
	if (!p->cwd || p->cwd[0] != '/')
		return err_set(e, ERR_INVALID_ARGUMENT, "Cwd must be an absolute path");
	for (size_t i = 0; i < p->env.n; i++)
		if (!strchr(p->env.v[i], '=') || p->env.v[i][0] == '=')
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "invalid environment variable \"%s\": must be NAME=VALUE",
				       p->env.v[i]);
	if (p->user.uid == UINT32_MAX || p->user.gid == UINT32_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "user id 4294967295 is not an id");
	if (p->console_height > UINT16_MAX || p->console_width > UINT16_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "process.consoleSize is out of range");
	if (p->user.has_umask && p->user.umask > 0777)
		return err_set(e, ERR_INVALID_ARGUMENT, "process.user.umask is out of range");
	if (p->oom_score_adj.has && (p->oom_score_adj.v < -1000 || p->oom_score_adj.v > 1000))
		return err_set(e, ERR_INVALID_ARGUMENT, "process.oomScoreAdj is out of range");
	return 0;
}

static const char *or_null(const char *s)
{
	return s && *s ? s : NULL;
}

int plan_process(struct arena *a, const struct oci_process *p, struct plan_process *ret,
		 struct strv *warnings, struct err *e)
{
	*ret = (struct plan_process){
		.cwd = p->cwd,
		.uid = p->user.uid,
		.gid = p->user.gid,
		.has_umask = p->user.has_umask,
		.umask = p->user.umask,
		.no_new_privileges = p->no_new_privileges,
		.has_oom_score_adj = p->oom_score_adj.has,
		.oom_score_adj = (int)p->oom_score_adj.v,
		.terminal = p->terminal,
		.apparmor = or_null(p->apparmor_profile),
		.selinux = or_null(p->selinux_label),
	};
	if (check_process(p, e) < 0 || plan_rlimits(a, p, ret, e) < 0 ||
	    tune_plan_process(p, &ret->tune, e) < 0)
		return -1;
	if (p->terminal && p->has_console_size) {
		ret->rows = (unsigned short)p->console_height;
		ret->columns = (unsigned short)p->console_width;
	}
	plan_groups(a, &p->user, ret);
	caps_plan(p->capabilities, &ret->caps, warnings);

	ret->args = arena_array(a, p->args.n + 1, sizeof *ret->args);
	for (size_t i = 0; i < p->args.n; i++)
		ret->args[i] = p->args.v[i];
	ret->env = arena_array(a, p->env.n + 2, sizeof *ret->env); /* one more for HOME */
	size_t n = 0;
	for (size_t i = 0; i < p->env.n; i++) {
		size_t name = strcspn(p->env.v[i], "=") + 1;
		size_t k = 0;

		/* the last of several wins, as with os.Setenv in the original */
		while (k < n && strncmp(ret->env[k], p->env.v[i], name) != 0)
			k++;
		ret->env[k] = p->env.v[i];
		n += k == n;
	}
	return 0;
}
