/* The job "pull": resolve, walk the documents, fetch the layers, unpack. */
#include "image/worker.h"
#include "oci/reference.h"

#include <string.h>

static void announce(struct worker *w, const char *what)
{
	const struct transfer_progress p = { .event = arena_printf(w->arena, "%s (%s)", what,
								   w->name) };

	peer_progress(&w->peer, &p);
}

static int ask_credentials(struct arena *a, const char *host, const char *const *www_authenticate,
			   struct transfer_credentials *ret, void *arg, struct err *e)
{
	struct worker *w = arg;

	return peer_auth(&w->peer, a, host, www_authenticate, ret, e);
}

int worker_open_registry_of(struct worker *w, const struct reference *ref, struct err *e)
{
	const struct transfer_pull *p = &w->job.pull;
	const struct registry_config cfg = { .hosts_dirs = p->hosts_dirs,
					     .default_scheme = p->default_scheme,
					     .headers = p->headers,
					     .skip_verify = p->skip_verify,
					     .ca = p->ca,
					     .cert = p->cert,
					     .key = p->key,
					     .debug = p->debug,
					     .stall_seconds = p->stall_seconds,
					     .auth = p->has_auth ? ask_credentials : NULL,
					     .arg = w };

	return registry_open(ref, &cfg, &w->registry, e);
}

int worker_open_registry(struct worker *w, struct reference *ref, struct err *e)
{
	AUTO_FREE char *name = NULL;

	if (reference_parse(w->job.pull.reference, ref, e) < 0)
		return -1;
	reference_add_default_tag(ref);
	name = reference_text(ref);
	w->name = arena_strdup(w->arena, name);
	return worker_open_registry_of(w, ref, e);
}

static int fetch_and_unpack(struct worker *w, struct err *e)
{
	struct fetch *f = fetch_start(w);
	int r = worker_unpack(w, f, e);

	if (r < 0)
		fetch_stop(f);
	return fetch_end(f, e) < 0 ? -1 : r;
}

static int pull(struct worker *w, const struct reference *ref, struct transfer_result *ret,
		struct err *e)
{
	struct transfer_image *image = ARENA_NEW(w->arena, struct transfer_image);

	announce(w, "Resolving from OCI Registry");
	if (registry_resolve(w->registry, w->arena, &image->target, e) < 0)
		return -1;
	if (worker_ask_verdict(w, &image->target, e) < 0)
		return -1;
	announce(w, "Pulling from OCI Registry");
	const struct transfer_progress p = { .event = "fetching image content", .name = w->name };
	peer_progress(&w->peer, &p);
	labels_set(w->arena, &w->source,
		   arena_printf(w->arena, "containerd.io/distribution.source.%s",
				registry_source(w->registry)),
		   ref->path);
	if (worker_tree(w, &image->target, e) < 0 || fetch_and_unpack(w, e) < 0)
		return -1;
	image->name = w->name;
	ret->images = image;
	ret->n_images = 1;
	const struct transfer_progress saved = { .event = "saved", .name = w->name };
	peer_progress(&w->peer, &saved);
	announce(w, "Completed pull from OCI Registry");
	return 0;
}

int worker_pull(struct worker *w, struct transfer_result *ret, struct err *e)
{
	AUTO_REFERENCE struct reference ref = { 0 };

	if (worker_open_registry(w, &ref, e) < 0)
		return -1;
	int r = pull(w, &ref, ret, e);
	registry_close(w->registry);
	w->registry = NULL;
	return r;
}
