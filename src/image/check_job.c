/* The job "check": a registry by its name alone, HOST or HOST/REPOSITORY. */
#include "image/worker.h"

#include "base/str.h"

#include <string.h>

static void say(const char *url, const char *text, void *arg)
{
	struct worker *w = arg;
	const struct transfer_progress p = { .event = text, .name = url };

	peer_progress(&w->peer, &p);
}

int worker_check(struct worker *w, struct err *e)
{
	const char *name = w->job.pull.reference, *slash = strchr(name, '/');
	AUTO_REFERENCE struct reference ref = { 0 };
	/* a name as users write it, so that it is checked, and docker.io's short ones work */
	const char *whole = arena_printf(w->arena, "%s%s", name, slash ? "" : "/check");

	if (reference_parse(whole, &ref, e) < 0)
		return -1;
	if (strncmp(ref.domain, name, strcspn(name, "/")) != 0)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "\"%s\" is no host of a registry: a name with a dot, a port, or "
			       "localhost",
			       name);
	if (!slash)
		ref.path[0] = 0;
	if (worker_open_registry_of(w, &ref, e) < 0)
		return -1;
	int failed = registry_check(w->registry, slash ? ref.path : "", say, w);

	registry_close(w->registry);
	w->registry = NULL;
	return failed == 0 ? 0
			   : err_set(e, ERR_UNAVAILABLE,
				     "%d of the hosts of %s did not answer as "
				     "they should",
				     failed, ref.domain);
}
