/* The job "push": everything of an image that the registry lacks, what is referred to first: blobs
 * by several threads, then the documents one by one. */
#include "image/closure.h"
#include "image/worker.h"
#include "oci/reference.h"

#include "base/str.h"
#include "os/fd.h"

#include <string.h>

enum { MAX_THREADS = 16, DEFAULT_THREADS = 3 };

struct push {
	struct worker *w;
	struct reference ref;
	struct closure all;
	pthread_mutex_t lock; /* guards the rest, while threads run */
	size_t next; /* item */
	struct err failure; /* the first one */
};

static void say(const struct push *p, struct arena *a, const char *event,
		const struct oci_descriptor *d)
{
	struct worker *w = p->w;
	const struct transfer_progress line = { .event = event,
						.name = worker_object_name(a, d),
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
static const char *other_repository(struct push *p, struct arena *a, const struct peer_blob *blob)
{
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

static int push_blob(struct push *p, struct arena *a, const struct oci_descriptor *d, struct err *e)
{
	struct worker *w = p->w;
	AUTO_FD int fd = -1;
	struct peer_blob blob;
	bool is_mounted;

	if (peer_blob_info(&w->peer, a, d->digest, &blob, e) < 0)
		return -1;
	if (!blob.exists)
		return err_set(e, ERR_NOT_FOUND, "content digest %s", d->digest);
	if (blob.size != d->size)
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "%s has %llu bytes here, the image says %llu", d->digest,
			       (unsigned long long)blob.size, (unsigned long long)d->size);
	if (peer_blob_open(&w->peer, d->digest, &fd, e) < 0)
		return -1;
	return registry_put_blob(w->registry, d, fd, other_repository(p, a, &blob), &is_mounted, e);
}

static int push_document(struct push *p, const struct oci_descriptor *d, bool is_top, struct err *e)
{
	char *bytes;
	size_t n;

	if (worker_get_document(p->w, d, &bytes, &n, e) < 0)
		return -1;
	return registry_put_document(p->w->registry, d, bytes, is_top, e);
}

static int push_item(struct push *p, struct arena *a, const struct closure_item *item, bool is_top,
		     struct err *e)
{
	const struct oci_descriptor *d = &item->desc;
	bool is_there = false;

	say(p, a, "waiting", d);
	/* The top one has to get its tag, there or not. */
	if (!is_top && registry_has(p->w->registry, d, item->is_document, &is_there, e) < 0)
		return -1;
	if (!is_there &&
	    (item->is_document ? push_document(p, d, is_top, e) : push_blob(p, a, d, e)) < 0)
		return -1;
	say(p, a, is_there ? "already exists" : "complete", d);
	return 0;
}

/* The next blob; NULL when there is none or one has failed.  Under the lock. */
static const struct closure_item *next_blob(struct push *p)
{
	while (!p->failure.code && p->next < p->all.n)
		if (!p->all.v[p->next++].is_document)
			return &p->all.v[p->next - 1];
	return NULL;
}

/* Under the lock, which is given away meanwhile. */
static void push_next(struct push *p, const struct closure_item *item)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct err e = { 0 };

	pthread_mutex_unlock(&p->lock);
	int r = push_item(p, a, item, false, &e);
	pthread_mutex_lock(&p->lock);
	if (r < 0 && !p->failure.code)
		p->failure = e;
}

static void *run(void *arg)
{
	const struct closure_item *item;
	struct push *p = arg;

	pthread_mutex_lock(&p->lock);
	while ((item = next_blob(p)))
		push_next(p, item);
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* The first one alone: how to talk to the registry is learnt by it. */
static void push_first(struct push *p)
{
	const struct closure_item *item;

	pthread_mutex_lock(&p->lock);
	item = next_blob(p);
	if (item)
		push_next(p, item);
	pthread_mutex_unlock(&p->lock);
}

static int push_blobs(struct push *p, struct err *e)
{
	size_t want = p->w->job.pull.max_downloads, n = 0;
	pthread_t threads[MAX_THREADS];

	want = want == 0 ? DEFAULT_THREADS : want > MAX_THREADS ? MAX_THREADS : want;
	pthread_mutex_init(&p->lock, NULL);
	push_first(p);
	while (n + 1 < want && n + 1 < p->all.n && pthread_create(&threads[n], NULL, run, p) == 0)
		n++;
	run(p); /* this one is the last of them */
	while (n)
		pthread_join(threads[--n], NULL);
	pthread_mutex_destroy(&p->lock);
	return p->failure.code ? err_copy(e, &p->failure) : 0;
}

static int push(struct push *p, struct err *e)
{
	struct worker *w = p->w;
	struct closure_image image;

	announce(w, "Pushing to OCI Registry");
	if (closure_add(&p->all, &w->job.image.target, &image, e) < 0 || push_blobs(p, e) < 0)
		return -1;
	for (size_t i = 0; i < p->all.n; i++)
		if (p->all.v[i].is_document &&
		    push_item(p, w->arena, &p->all.v[i], i + 1 == p->all.n, e) < 0)
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
