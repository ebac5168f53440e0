/* The jobs "fetch" and "put": single objects between a registry and a stream or the store. */
#include "image/worker.h"

#include "os/fd.h"

#include <string.h>

static int write_out(void *arg, const void *bytes, size_t n, struct err *e)
{
	int r = fd_write_all(*(const int *)arg, bytes, n);

	return r < 0 ? err_sys(e, -r, "write") : 0;
}

/* What the reference leads to: a manifest or an index. */
static int fetch_resolved(struct worker *w, int fd, struct err *e)
{
	struct oci_descriptor d;
	char *bytes;
	size_t n;

	if (registry_resolve(w->registry, w->arena, &d, e) < 0 ||
	    registry_get_document(w->registry, w->arena, &d, &bytes, &n, e) < 0)
		return -1;
	return write_out(&fd, bytes, n, e);
}

static int fetch(struct worker *w, int fd, struct err *e)
{
	const struct transfer_fetch *f = &w->job.fetch;

	if (!f->digests[0])
		return fetch_resolved(w, fd, e);
	for (const char *const *d = f->digests; *d; d++)
		if (registry_get_object(w->registry, *d, f->media_type, write_out, &fd, e) < 0)
			return -1;
	return 0;
}

static int put(struct worker *w, struct err *e)
{
	const struct oci_descriptor *d = &w->job.image.target;
	AUTO_FD int fd = -1;
	bool is_mounted;
	char *bytes;
	size_t n;

	if (media_is_index(d->media_type) || media_is_manifest(d->media_type)) {
		if (worker_get_document(w, d, &bytes, &n, e) < 0)
			return -1;
		return registry_put_document(w->registry, d, bytes, true, e);
	}
	if (peer_blob_open(&w->peer, d->digest, &fd, e) < 0)
		return -1;
	return registry_put_blob(w->registry, d, fd, NULL, &is_mounted, e);
}

/* Opens the registry of the job for the time of one step. */
static int with_registry(struct worker *w, int fd, struct err *e)
{
	AUTO_REFERENCE struct reference ref = { 0 };

	if (worker_open_registry(w, &ref, e) < 0)
		return -1;
	int r = fd < 0 ? put(w, e) : fetch(w, fd, e);

	registry_close(w->registry);
	w->registry = NULL;
	return r;
}

int worker_fetch(struct worker *w, int fd, struct err *e)
{
	return with_registry(w, fd, e);
}

int worker_put(struct worker *w, struct err *e)
{
	return with_registry(w, -1, e);
}
