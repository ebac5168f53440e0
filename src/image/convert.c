/* The job "convert": an image of the store as another one beside it, with its layers compressed
 * another way or its documents in the other family of media types.
 *
 * Documents are changed where they must be and keep everything else that they say. A config stays
 * as it is: the digests in it are those of the uncompressed layers. */
#include "image/deflate.h"
#include "image/worker.h"

#include "base/jsonr.h"
#include "base/sha256.h"
#include "os/fd.h"

#include <string.h>

enum { CHUNK = 256 * 1024 };

struct done {
	const char *from;
	struct oci_descriptor to;
};

struct convert {
	struct worker *w;
	struct done *done; /* what was converted: several manifests share layers */
	size_t n, cap;
};

static bool is_docker(const char *media_type)
{
	return strncmp(media_type, "application/vnd.docker.", 23) == 0;
}

/* Both families' names of the same thing; layers: by compression. */
static const char *const pairs[][2] = {
	{ MEDIA_DOCKER_LIST, MEDIA_OCI_INDEX },
	{ MEDIA_DOCKER_MANIFEST, MEDIA_OCI_MANIFEST },
	{ MEDIA_DOCKER_CONFIG, MEDIA_OCI_CONFIG },
	{ MEDIA_DOCKER_LAYER, MEDIA_OCI_LAYER },
	{ MEDIA_DOCKER_LAYER_GZIP, MEDIA_OCI_LAYER_GZIP },
	{ MEDIA_DOCKER_LAYER ".zstd", MEDIA_OCI_LAYER_ZSTD },
	{ "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
	  "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip" },
};

static const char *renamed(const struct convert *c, const char *media_type)
{
	const struct transfer_convert *j = &c->w->job.convert;
	int to = j->to_oci ? 1 : j->to_docker ? 0 : -1;

	for (size_t i = 0; to >= 0 && i < ARRAY_LEN(pairs); i++)
		if (strcmp(media_type, pairs[i][!to]) == 0)
			return pairs[i][to];
	return media_type;
}

static const char *layer_type(enum inflate_kind kind, bool docker)
{
	static const char *const names[][2] = {
		[INFLATE_PLAIN] = { MEDIA_OCI_LAYER, MEDIA_DOCKER_LAYER },
		[INFLATE_GZIP] = { MEDIA_OCI_LAYER_GZIP, MEDIA_DOCKER_LAYER_GZIP },
		[INFLATE_ZSTD] = { MEDIA_OCI_LAYER_ZSTD, MEDIA_DOCKER_LAYER ".zstd" },
	};

	return names[kind][docker];
}

static const struct oci_descriptor *find_done(const struct convert *c, const char *digest)
{
	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->done[i].from, digest) == 0)
			return &c->done[i].to;
	return NULL;
}

static void remember(struct convert *c, const char *from, const struct oci_descriptor *to)
{
	GROW(c->done, c->n, c->cap);
	c->done[c->n++] = (struct done){ from, *to };
}

static void say(struct convert *c, const char *event, const struct oci_descriptor *d)
{
	const struct transfer_progress p = { .event = event,
					     .name = worker_object_name(c->w->arena, d),
					     .progress = d->size,
					     .total = d->size,
					     .desc = d };

	peer_progress(&c->w->peer, &p);
}

/* --- layers --- */

static int copy(struct inflate *in, struct deflate *out, char diff_id[DIGEST_SHA256 + 1],
		uint64_t *ret_size, struct err *e)
{
	AUTO_FREE char *buf = xmalloc(CHUNK);
	struct sha256 sum;
	ssize_t n;

	sha256_init(&sum);
	while ((n = inflate_read(in, buf, CHUNK, e)) > 0) {
		sha256_add(&sum, buf, (size_t)n);
		if (deflate_write(out, buf, (size_t)n, e) < 0)
			return -1;
	}
	sha256_digest(&sum, diff_id);
	return n < 0 ? -1 : deflate_end(out, ret_size, e);
}

/* An empty ingest: what one that broke off has left can't be gone on with. */
static int open_ingest(struct worker *w, const char *ref, struct peer_ingest *ret, struct err *e)
{
	if (peer_ingest_open(&w->peer, ref, 0, "", ret, e) < 0)
		return -1;
	if (!ret->offset)
		return 0;
	peer_ingest_close(&w->peer, ret, false);
	return peer_ingest_open(&w->peer, ref, 0, "", ret, e);
}

static int recompress(struct convert *c, const struct oci_descriptor *from, enum inflate_kind have,
		      struct oci_descriptor *ret, struct err *e)
{
	enum inflate_kind want = (enum inflate_kind)c->w->job.convert.compression;
	struct worker *w = c->w;
	char *diff_id = arena_alloc(w->arena, DIGEST_SHA256 + 1);
	char *digest = arena_alloc(w->arena, DIGEST_MAX + 1);
	struct labels labels = { 0 };
	AUTO_FD int fd = -1;
	struct peer_ingest in;
	uint64_t size = 0;

	if (peer_blob_open(&w->peer, from->digest, &fd, e) < 0 ||
	    open_ingest(w, arena_printf(w->arena, "convert-%d-from-%s", want, from->digest), &in,
			e) < 0)
		return -1;
	struct inflate *z = inflate_new(fd, have);
	struct deflate *out = deflate_new(in.fd, want);
	int r = copy(z, out, diff_id, &size, e);

	inflate_free(z);
	deflate_free(out);
	if (r < 0) {
		peer_ingest_close(&w->peer, &in, false);
		return -1;
	}
	if (want != INFLATE_PLAIN)
		labels_set(w->arena, &labels, "containerd.io/uncompressed", diff_id);
	if (peer_ingest_commit(&w->peer, &in, size, "", &labels, digest, e) < 0 ||
	    peer_blob_label(&w->peer, digest, &labels, e) < 0) /* one that was there already */
		return -1;
	ret->digest = digest;
	ret->size = size;
	ret->media_type = layer_type(want, is_docker(renamed(c, from->media_type)));
	return 0;
}

static enum layer_compression as_layer(int kind)
{
	return kind == INFLATE_GZIP ? LAYER_GZIP : kind == INFLATE_ZSTD ? LAYER_ZSTD : LAYER_PLAIN;
}

static int convert_layer(struct convert *c, const struct oci_descriptor *from,
			 struct oci_descriptor *ret, struct err *e)
{
	enum layer_compression have = media_layer_compression(from->media_type);
	const struct transfer_convert *j = &c->w->job.convert;
	const struct oci_descriptor *known = find_done(c, from->digest);
	enum inflate_kind kind;

	*ret = *from;
	if (known) {
		ret->digest = known->digest;
		ret->size = known->size;
		ret->media_type = known->media_type;
		return 0;
	}
	ret->media_type = renamed(c, from->media_type);
	if (!j->recompress || have == LAYER_UNKNOWN || have == as_layer(j->compression) ||
	    (j->only_plain && have != LAYER_PLAIN))
		return 0;
	if (inflate_kind_of(from->media_type, &kind, e) < 0)
		return -1;
	say(c, "converting", from);
	if (recompress(c, from, kind, ret, e) < 0)
		return err_wrap(e, "failed to convert layer %s", from->digest);
	remember(c, from->digest, ret);
	say(c, "complete", ret);
	return 0;
}

/* --- documents --- */

static void set_text(json_object *o, const char *key, const char *value)
{
	json_object_object_add(o, key, json_object_new_string(value));
}

/* A descriptor inside a document; whether it has changed. */
static bool set_descriptor(json_object *o, const struct oci_descriptor *from,
			   const struct oci_descriptor *to)
{
	if (strcmp(from->digest, to->digest) == 0 && strcmp(from->media_type, to->media_type) == 0)
		return false;
	set_text(o, "mediaType", to->media_type);
	set_text(o, "digest", to->digest);
	json_object_object_add(o, "size", json_object_new_uint64(to->size));
	return true;
}

static void add_ref(struct convert *c, struct labels *l, const char *name, const char *digest)
{
	struct arena *a = c->w->arena;

	labels_set(a, l, arena_printf(a, "containerd.io/gc.ref.content.%s", name), digest);
}

static int store(struct convert *c, json_object *o, const struct labels *labels,
		 struct oci_descriptor *d, struct err *e)
{
	const char *text;
	char *hex = arena_alloc(c->w->arena, SHA256_HEX + 1);

	set_text(o, "mediaType", d->media_type);
	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
							 JSON_C_TO_STRING_NOSLASHESCAPE);
	d->size = strlen(text);
	sha256_of(text, d->size, hex);
	d->digest = arena_printf(c->w->arena, "sha256:%s", hex);
	return worker_store_document(c->w, d, text, d->size, labels, e);
}

static int convert_manifest(struct convert *c, const struct image_doc *doc, json_object *o,
			    struct oci_descriptor *d, struct err *e)
{
	bool changed = strcmp(d->media_type, renamed(c, d->media_type)) != 0;
	json_object *config = NULL, *layers = NULL;
	struct oci_descriptor to = doc->config;
	struct labels labels = { 0 };

	if (jsonr_object(o, "config", &config, e) < 0 || jsonr_array(o, "layers", &layers, e) < 0)
		return -1;
	to.media_type = renamed(c, to.media_type);
	changed |= set_descriptor(config, &doc->config, &to);
	add_ref(c, &labels, "config", to.digest);
	for (size_t i = 0; i < doc->n_layers; i++) {
		if (convert_layer(c, &doc->layers[i], &to, e) < 0)
			return -1;
		changed |=
			set_descriptor(json_object_array_get_idx(layers, i), &doc->layers[i], &to);
		add_ref(c, &labels, arena_printf(c->w->arena, "l.%zu", i), to.digest);
	}
	if (!changed)
		return 0;
	d->media_type = renamed(c, d->media_type);
	return store(c, o, &labels, d, e);
}

static bool is_wanted(const struct worker *w, const struct oci_descriptor *d)
{
	for (size_t i = 0; i < w->job.n_platforms; i++)
		if (!d->has_platform || platform_matches(&w->job.platforms[i], &d->platform))
			return true;
	return w->job.n_platforms == 0;
}

static int convert_document(struct convert *c, struct oci_descriptor *d, int depth, struct err *e);

static int convert_index(struct convert *c, const struct image_doc *doc, json_object *o, int depth,
			 struct oci_descriptor *d, struct err *e)
{
	bool changed = strcmp(d->media_type, renamed(c, d->media_type)) != 0;
	json_object *list = NULL, *kept = json_object_new_array();
	struct labels labels = { 0 };
	size_t n = 0;

	for (size_t i = 0; jsonr_array(o, "manifests", &list, e) == 0 && i < doc->n_manifests;
	     i++) {
		json_object *item = json_object_array_get_idx(list, i);
		struct oci_descriptor to = doc->manifests[i];

		if (!is_wanted(c->w, &to)) {
			changed = true;
			continue;
		}
		if (convert_document(c, &to, depth + 1, e) < 0) {
			json_object_put(kept);
			return -1;
		}
		changed |= set_descriptor(item, &doc->manifests[i], &to);
		add_ref(c, &labels, arena_printf(c->w->arena, "m.%zu", n++), to.digest);
		json_object_array_add(kept, json_object_get(item));
	}
	json_object_object_add(o, "manifests", kept);
	if (!n)
		return err_set(e, ERR_NOT_FOUND, "no manifest found for platform");
	if (!changed)
		return 0;
	d->media_type = renamed(c, d->media_type);
	return store(c, o, &labels, d, e);
}

/* *d becomes what it is converted to. */
static int convert_document(struct convert *c, struct oci_descriptor *d, int depth, struct err *e)
{
	AUTO_JSON json_object *o = NULL;
	const char *from = d->digest;
	struct image_doc doc;
	char *bytes;
	size_t n;
	int r;

	if (depth > IMAGE_INDEX_DEPTH)
		return err_set(e, ERR_INVALID_ARGUMENT, "indexes are nested more than %d deep",
			       IMAGE_INDEX_DEPTH);
	if (worker_get_document(c->w, d, &bytes, &n, e) < 0 ||
	    image_doc_parse(c->w->arena, d->media_type, bytes, n, &doc, e) < 0 ||
	    jsonr_parse(bytes, n, &o, e) < 0)
		return err_wrap(e, "failed to read %s", from);
	r = doc.kind == IMAGE_INDEX ? convert_index(c, &doc, o, depth, d, e)
				    : convert_manifest(c, &doc, o, d, e);
	return r < 0 ? -1 : 0;
}

static int convert_image(struct convert *c, struct transfer_image *image, struct err *e)
{
	c->w->name = image->name;
	return convert_document(c, &image->target, 0, e);
}

int worker_convert(struct worker *w, struct transfer_result *ret, struct err *e)
{
	struct transfer_image *image = ARENA_NEW(w->arena, struct transfer_image);
	struct convert c = { .w = w };

	*image = w->job.image;
	int r = convert_image(&c, image, e);

	free(c.done);
	ret->images = image;
	ret->n_images = 1;
	return r;
}

int worker_compress(struct worker *w, struct transfer_result *ret, struct err *e)
{
	struct convert c = { .w = w };
	int r = 0;

	w->job.convert = (struct transfer_convert){ .recompress = true,
						    .compression = INFLATE_GZIP,
						    .only_plain = true };
	for (size_t i = 0; r == 0 && i < ret->n_images; i++)
		r = convert_image(&c, &ret->images[i], e);
	if (r == 0)
		r = convert_document(&c, &ret->root, 0, e);
	free(c.done);
	return r;
}
