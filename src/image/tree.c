/* The tree of documents below a descriptor: index, manifests for the wanted platforms, configs. */
#include "image/closure.h"
#include "image/worker.h"

#include "os/fd.h"
#include "os/file.h"

#include <errno.h>
#include <string.h>

const char *worker_object_name(struct arena *a, const struct oci_descriptor *d)
{
	const char *kind = media_is_index(d->media_type)      ? "index"
			   : media_is_manifest(d->media_type) ? "manifest"
			   : media_is_layer(d->media_type)    ? "layer"
			   : media_is_config(d->media_type)   ? "config"
							      : "unknown";

	return arena_printf(a, "%s-%s", kind, d->digest);
}

static void say(struct worker *w, const char *event, const struct oci_descriptor *d,
		const char *parent)
{
	const struct transfer_progress p = { .event = event,
					     .name = worker_object_name(w->arena, d),
					     .parent = parent,
					     .progress =
						     strcmp(event, "waiting") == 0 ? 0 : d->size,
					     .total = d->size,
					     .desc = d };

	peer_progress(&w->peer, &p);
}

static struct labels with_source(struct worker *w, const struct labels *l)
{
	struct labels all = labels_copy(w->arena, l);

	for (size_t i = 0; i < w->source.n; i++)
		labels_set(w->arena, &all, w->source.v[i].key, w->source.v[i].value);
	return all;
}

int worker_store_document(struct worker *w, const struct oci_descriptor *d, const char *bytes,
			  size_t n, const struct labels *labels, struct err *e)
{
	const char *ref = worker_object_name(w->arena, d);
	struct labels all = with_source(w, labels);
	struct peer_ingest in;

	if (peer_ingest_open(&w->peer, ref, n, d->digest, &in, e) < 0)
		return -1;
	if (in.fd < 0)
		return peer_blob_label(&w->peer, d->digest, &all, e);
	int r = in.offset < n ? fd_write_all(in.fd, bytes + in.offset, n - in.offset) : 0;
	if (r < 0) {
		peer_ingest_close(&w->peer, &in, false);
		return err_sys(e, -r, "write %s", ref);
	}
	return peer_ingest_commit(&w->peer, &in, n, d->digest, &all, NULL, e);
}

static int read_from_store(struct worker *w, const struct oci_descriptor *d, char **ret,
			   size_t *ret_n, struct err *e)
{
	AUTO_FD int fd = -1;
	ssize_t n;

	if (peer_blob_open(&w->peer, d->digest, &fd, e) < 0)
		return -1;
	*ret = arena_alloc(w->arena, (size_t)d->size + 1);
	n = fd_read_all(fd, *ret, (size_t)d->size);
	if (n < 0)
		return err_sys(e, (int)-n, "read %s", d->digest);
	*ret_n = (size_t)n;
	return 0;
}

int worker_get_document(struct worker *w, const struct oci_descriptor *d, char **ret, size_t *ret_n,
			struct err *e)
{
	struct peer_blob blob;

	if (d->size > IMAGE_DOC_MAX)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "document %s has %llu bytes, at most %d",
			       d->digest, (unsigned long long)d->size, IMAGE_DOC_MAX);
	w->document_bytes += d->size; /* they stay in memory until the end */
	if (w->document_bytes > WORKER_DOCUMENT_BYTES)
		return err_set(e, ERR_RESOURCE_EXHAUSTED,
			       "the image's documents have more than %d bytes",
			       WORKER_DOCUMENT_BYTES);
	if (peer_blob_info(&w->peer, w->arena, d->digest, &blob, e) < 0)
		return -1;
	if (blob.exists && blob.size == d->size)
		return read_from_store(w, d, ret, ret_n, e);
	bool is_outward = w->job.kind != TRANSFER_PULL && w->job.kind != TRANSFER_IMPORT;

	if (!w->registry || is_outward)
		return err_set(e, ERR_NOT_FOUND,
			       is_outward ? "content digest %s" : "the archive lacks %s",
			       d->digest);
	return registry_get_document(w->registry, w->arena, d, ret, ret_n, e);
}

/* --- choosing -----------------------------------------------------------------------------------
 */

static bool is_wanted(const struct worker *w, const struct oci_descriptor *d)
{
	if (w->job.n_platforms == 0)
		return true;
	if (!d->has_platform)
		return true; /* its config will tell */
	for (size_t i = 0; i < w->job.n_platforms; i++)
		if (platform_matches(&w->job.platforms[i], &d->platform))
			return true;
	return false;
}

static bool is_same_platform(const struct oci_descriptor *a, const struct oci_descriptor *b)
{
	return a->has_platform && b->has_platform &&
	       strcmp(a->platform.arch, b->platform.arch) == 0 &&
	       strcmp(a->platform.variant, b->platform.variant) == 0 &&
	       strcmp(a->platform.os, b->platform.os) == 0;
}

/* Of an index's entries those for the wanted platforms: for each platform the first manifest that
 * fits, and all that is no manifest. */
static size_t choose(const struct worker *w, const struct image_doc *doc, bool *chosen)
{
	size_t n = 0, n_leaves = 0;

	for (size_t i = 0; i < doc->n_manifests; i++) {
		const struct oci_descriptor *d = &doc->manifests[i];

		chosen[i] = !w->job.metadata_only && is_wanted(w, d);
		if (closure_is_leaf(d)) {
			n_leaves += chosen[i];
			continue;
		}
		for (size_t k = 0; chosen[i] && w->job.n_platforms && k < i; k++)
			if (chosen[k] && !closure_is_leaf(&doc->manifests[k]) &&
			    is_same_platform(&doc->manifests[k], d))
				chosen[i] = false;
		if (chosen[i] && w->job.manifest_limit && n == w->job.manifest_limit)
			chosen[i] = false;
		n += chosen[i];
	}
	return n + n_leaves;
}

/* It is fetched as a manifest's layers are, and nobody unpacks it. */
static int add_leaf(struct worker *w, const struct oci_descriptor *d,
		    const struct oci_descriptor *index, struct err *e)
{
	struct worker_manifest *m = &w->manifests[w->n_manifests];

	if (w->n_manifests == WORKER_MANIFESTS)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "more than %d manifests",
			       WORKER_MANIFESTS);
	*m = (struct worker_manifest){ .desc = *index };
	m->doc.layers = arena_memdup(w->arena, d, sizeof *d);
	m->doc.n_layers = 1;
	w->n_manifests++;
	return 0;
}

static int walk(struct worker *w, const struct oci_descriptor *d, const char *parent, int depth,
		bool is_whole, struct err *e);

/* Of a manifest that was not chosen all but its layers, where a client wants to know it.  An index
 * that was copied in part lacks some: those stay away. */
static int walk_metadata(struct worker *w, const struct oci_descriptor *d, const char *parent,
			 int depth, struct err *e)
{
	struct err why = { 0 };

	if (walk(w, d, parent, depth, false, &why) == 0 || why.code == ERR_NOT_FOUND)
		return 0;
	return err_copy(e, &why);
}

static int walk_children(struct worker *w, const struct oci_descriptor *index,
			 const struct image_doc *doc, const bool *chosen, int depth, bool is_whole,
			 struct err *e)
{
	const char *name = worker_object_name(w->arena, index);

	for (size_t i = 0; i < doc->n_manifests; i++) {
		const struct oci_descriptor *d = &doc->manifests[i];
		int r = 0;

		if (closure_is_leaf(d))
			r = chosen[i] && is_whole ? add_leaf(w, d, index, e) : 0;
		else if (chosen[i])
			r = walk(w, d, name, depth, is_whole, e);
		if (r < 0)
			return -1;
	}
	for (size_t i = 0; w->job.all_metadata && i < doc->n_manifests; i++)
		if (!chosen[i] && !closure_is_leaf(&doc->manifests[i]) &&
		    walk_metadata(w, &doc->manifests[i], name, depth, e) < 0)
			return -1;
	return 0;
}

static int walk_index(struct worker *w, const struct oci_descriptor *d, const struct image_doc *doc,
		      const char *bytes, size_t n, int depth, bool is_whole, struct err *e)
{
	bool *chosen = arena_array(w->arena, doc->n_manifests + 1, sizeof *chosen);
	struct labels labels = { 0 };
	size_t count = choose(w, doc, chosen);

	if (depth >= IMAGE_INDEX_DEPTH)
		return err_set(e, ERR_INVALID_ARGUMENT, "indexes are nested more than %d deep",
			       IMAGE_INDEX_DEPTH);
	if (count == 0 && is_whole)
		return err_set(e, ERR_NOT_FOUND, "no match for platform in manifest");
	for (size_t i = 0, k = 0; i < doc->n_manifests; i++)
		if (chosen[i] || w->job.all_metadata)
			labels_set(
				w->arena, &labels,
				arena_printf(w->arena, "containerd.io/gc.ref.content.m.%zu", k++),
				doc->manifests[i].digest);
	if (worker_store_document(w, d, bytes, n, &labels, e) < 0)
		return -1;
	return walk_children(w, d, doc, chosen, depth + 1, is_whole, e);
}

static int read_config(struct worker *w, struct worker_manifest *m, const char *parent,
		       struct err *e)
{
	const struct oci_descriptor *c = &m->doc.config;
	const struct labels none = { 0 };
	struct err not_image = { 0 };
	char *bytes;
	size_t n;

	say(w, "waiting", c, parent);
	if (worker_get_document(w, c, &bytes, &n, e) < 0 ||
	    worker_store_document(w, c, bytes, n, &none, e) < 0)
		return -1;
	say(w, "complete", c, parent);
	/* Other artifacts have configs of their own: they are kept, but cannot be unpacked. */
	m->is_image = media_is_config(c->media_type) &&
		      image_config_parse(w->arena, bytes, n, &m->config, &not_image) == 0;
	if (media_is_config(c->media_type) && !m->is_image)
		return err_copy(e, &not_image);
	return 0;
}

static bool config_is_wanted(const struct worker *w, const struct worker_manifest *m)
{
	if (w->job.n_platforms == 0 || !m->is_image || !m->config.platform.os[0])
		return true;
	for (size_t i = 0; i < w->job.n_platforms; i++)
		if (platform_matches(&w->job.platforms[i], &m->config.platform))
			return true;
	return false;
}

static int walk_manifest(struct worker *w, const struct oci_descriptor *d,
			 const struct image_doc *doc, const char *bytes, size_t n, bool is_whole,
			 struct err *e)
{
	const char *name = worker_object_name(w->arena, d);
	struct labels labels = { 0 };
	struct worker_manifest *m;

	if (w->n_manifests == WORKER_MANIFESTS)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "more than %d manifests",
			       WORKER_MANIFESTS);
	labels_set(w->arena, &labels, "containerd.io/gc.ref.content.config", doc->config.digest);
	for (size_t i = 0; is_whole && i < doc->n_layers; i++)
		labels_set(w->arena, &labels,
			   arena_printf(w->arena, "containerd.io/gc.ref.content.l.%zu", i),
			   doc->layers[i].digest);
	m = &w->manifests[w->n_manifests];
	*m = (struct worker_manifest){ .desc = *d, .doc = *doc };
	if (worker_store_document(w, d, bytes, n, &labels, e) < 0 || read_config(w, m, name, e) < 0)
		return -1;
	if (!is_whole)
		return 0;
	if (!d->has_platform && !config_is_wanted(w, m))
		return err_set(e, ERR_NOT_FOUND, "no match for platform in manifest");
	w->n_manifests++;
	return 0;
}

/* is_whole: with the layers of what the job's platforms want. */
static int walk(struct worker *w, const struct oci_descriptor *d, const char *parent, int depth,
		bool is_whole, struct err *e)
{
	struct image_doc doc;
	char *bytes;
	size_t n;
	int r;

	/* An index may name the same child a thousand times, and so may that one. */
	if (strv_has(&w->seen, d->digest))
		return 0;
	if (w->seen.n == WORKER_DOCUMENTS)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "the image has more than %d documents",
			       WORKER_DOCUMENTS);
	strv_add(&w->seen, d->digest);
	say(w, "waiting", d, parent);
	if (worker_get_document(w, d, &bytes, &n, e) < 0 ||
	    image_doc_parse(w->arena, d->media_type, bytes, n, &doc, e) < 0)
		return err_wrap(e, "failed to read %s", d->digest);
	if (doc.kind == IMAGE_INDEX)
		r = walk_index(w, d, &doc, bytes, n, depth, is_whole, e);
	else
		r = walk_manifest(w, d, &doc, bytes, n, is_whole, e);
	if (r == 0)
		say(w, "complete", d, parent);
	return r;
}

int worker_tree(struct worker *w, const struct oci_descriptor *d, struct err *e)
{
	if (!w->manifests)
		w->manifests = arena_array(w->arena, WORKER_MANIFESTS, sizeof *w->manifests);
	return walk(w, d, w->name, 0, !w->job.metadata_only, e);
}
