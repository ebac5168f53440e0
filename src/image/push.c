/* The job "push": everything of an image that the registry lacks, what is referred to first. */
#include "image/closure.h"
#include "image/worker.h"
#include "oci/reference.h"

#include "base/str.h"
#include "os/fd.h"

#include <string.h>

struct push {
	struct worker *w;
	struct reference ref;
	struct closure all;
};

static void say(const struct push *p, const char *event, const struct oci_descriptor *d)
{
	struct worker *w = p->w;
	const struct transfer_progress line = { .event = event,
						.name = worker_object_name(w->arena, d),
						.parent = w->name,
						.progress =
							strcmp(event, "waiting") == 0 ? 0 : d->size,
						.total = d->size,
						.desc = d };

	peer_progress(&w->peer, &line);
}

static void announce(struct worker *w, const char *what)
{
	const struct transfer_progress p = { .event = arena_printf(w->arena, "%s (%s)", what,
								   w->name) };

	peer_progress(&w->peer, &p);
}

/* "a/x,b/y": another repository of the same registry that the blob once came from. */
static const char *other_repository(struct push *p, const struct peer_blob *blob)
{
	struct arena *a = p->w->arena;
	const char *list =
		labels_get(&blob->labels, arena_printf(a, "containerd.io/distribution.source.%s",
						       registry_source(p->w->registry)));

	while (list && *list) {
		size_t n = strcspn(list, ",");
		const char *one = arena_strndup(a, list, n);

		if (*one && strcmp(one, p->ref.path) != 0)
			return one;
		list += n + (list[n] == ',');
	}
	return NULL;
}

static int push_blob(struct push *p, const struct oci_descriptor *d, struct err *e)
{
	struct worker *w = p->w;
	AUTO_FD int fd = -1;
	struct peer_blob blob;
	bool is_mounted;

	if (peer_blob_info(&w->peer, w->arena, d->digest, &blob, e) < 0)
		return -1;
	if (!blob.exists)
		return err_set(e, ERR_NOT_FOUND, "content digest %s", d->digest);
	if (blob.size != d->size)
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "%s has %llu bytes here, the image says %llu", d->digest,
			       (unsigned long long)blob.size, (unsigned long long)d->size);
	if (peer_blob_open(&w->peer, d->digest, &fd, e) < 0)
		return -1;
	return registry_put_blob(w->registry, d, fd, other_repository(p, &blob), &is_mounted, e);
}

static int push_document(struct push *p, const struct oci_descriptor *d, bool is_top, struct err *e)
{
	char *bytes;
	size_t n;

	if (worker_get_document(p->w, d, &bytes, &n, e) < 0)
		return -1;
	return registry_put_document(p->w->registry, d, bytes, is_top, e);
}

static int push_item(struct push *p, const struct closure_item *item, bool is_top, struct err *e)
{
	const struct oci_descriptor *d = &item->desc;
	bool is_there = false;

	say(p, "waiting", d);
	/* The top one has to get its tag, there or not. */
	if (!is_top && registry_has(p->w->registry, d, item->is_document, &is_there, e) < 0)
		return -1;
	if (!is_there &&
	    (item->is_document ? push_document(p, d, is_top, e) : push_blob(p, d, e)) < 0)
		return -1;
	say(p, is_there ? "already exists" : "complete", d);
	return 0;
}

static int push(struct push *p, struct err *e)
{
	struct worker *w = p->w;
	struct closure_image image;

	announce(w, "Pushing to OCI Registry");
	if (closure_add(&p->all, &w->job.image.target, &image, e) < 0)
		return -1;
	for (size_t i = 0; i < p->all.n; i++)
		if (push_item(p, &p->all.v[i], i + 1 == p->all.n, e) < 0)
			return -1;
	announce(w, "Completed push to OCI Registry");
	return 0;
}

int worker_push(struct worker *w, struct err *e)
{
	struct push p = {
		.w = w, .all = { .w = w, .no_nondistributable = !w->job.allow_nondistributable }
	};

	if (worker_open_registry(w, &p.ref, e) < 0) {
		reference_done(&p.ref);
		return -1;
	}
	int r = push(&p, e);
	closure_done(&p.all);
	registry_close(w->registry);
	w->registry = NULL;
	reference_done(&p.ref);
	return r;
}
