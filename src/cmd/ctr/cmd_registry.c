/* ctr registry: what answers behind a registry's name. */
#include "cmd/ctr/image_registry.h"

/* "what: value" lines below the URL. */
static void report(const char *url, const char *text)
{
	ctr_print(stdout, "%s\n", url);
	while (*text) {
		size_t n = strcspn(text, "\n");

		ctr_print(stdout, "  %.*s\n", (int)n, text);
		text += n + (text[n] == '\n');
	}
	fflush(stdout);
}

static int check_run(struct ctr *ctr, const struct args *args, struct err *e)
{
	struct local l AUTO_LOCAL;

	local_init(&l, ctr, "check");
	l.is_quiet = true;
	l.report = report;
	if (!*args_at(args, 0))
		return err_set(e, ERR_UNKNOWN,
			       "please provide a registry: HOST or HOST/REPOSITORY");
	if (registry_to_job(args, &l, args_at(args, 0), e) < 0)
		return -1;
	return local_run(&l, -1, e);
}

const struct command registry_commands[] = {
	{ .name = "check",
	  .usage = "show which mirror, authority and credential are used for a registry, and what "
		   "answers",
	  .args_usage = "[flags] HOST[/REPOSITORY]",
	  .description =
		  "Reads hosts.toml and auth.toml of --hosts-dir (/etc/containerd/certs.d) and "
		  "asks\n   every host in its order. With a repository its list of tags is "
		  "asked for, which may\n   need credentials.",
	  .flags = { registry_flags },
	  .run = check_run },
	{ .name = NULL },
};
