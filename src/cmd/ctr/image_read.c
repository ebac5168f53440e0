#include "cmd/ctr/image_read.h"

static int get_image(struct ctr *ctr, const char *name, IMAGES(Image) * *ret, struct err *e)
{
	IMAGES(GetImageRequest) req = IMAGES_INIT(GET_IMAGE_REQUEST);
	IMAGES(GetImageResponse) * rsp;

	req.name = PB(name);
	if (CTR_CALL(ctr, "images.v1.Images/Get", &req, images__v1__get_image_response, &rsp, e) <
	    0)
		return -1;
	if (!rsp->image || !rsp->image->target)
		return err_set(e, ERR_INTERNAL, "the daemon's record of image \"%s\" has no target",
			       name);
	*ret = rsp->image;
	return 0;
}

int image_get(struct ctr *ctr, const char *name, IMAGES(Image) * *ret, struct err *e)
{
	const char *full = ref_complete(ctr, name);
	struct err again = { 0 };

	if (get_image(ctr, name, ret, e) == 0)
		return 0;
	if (e->code != ERR_NOT_FOUND || !strcmp(full, name))
		return -1;
	if (get_image(ctr, full, ret, &again) < 0)
		return -1; /* the name as it was typed is what the sentence should have */
	err_clear(e);
	return 0;
}

int blob_open(struct ctr *ctr, const char *digest, struct grpc_stream **ret, struct err *e)
{
	CONTENT(ReadContentRequest) req = CONTENT_INIT(READ_CONTENT_REQUEST);

	req.digest = PB(digest);
	return ctr_open(ctr, "content.v1.Content/Read", &req,
			&containerd__services__content__v1__read_content_response__descriptor, ret,
			e);
}

int blob_label(struct ctr *ctr, const char *digest, struct labels *l, struct err *e)
{
	CONTENT(UpdateRequest) req = CONTENT_INIT(UPDATE_REQUEST);
	Google__Protobuf__FieldMask mask = GOOGLE__PROTOBUF__FIELD_MASK__INIT;
	CONTENT(Info) info = CONTENT_INIT(INFO);
	CONTENT(UpdateResponse) * rsp;

	info.digest = PB(digest);
	info.n_labels = l->n;
	info.labels = (void *)labels_to_pb(
		ctr->arena, l, &containerd__services__content__v1__info__labels_entry__descriptor);
	mask.paths = labels_mask(ctr->arena, l);
	mask.n_paths = l->n;
	req.info = &info;
	req.update_mask = &mask;
	if (CTR_CALL(ctr, "content.v1.Content/Update", &req, content__v1__update_response, &rsp,
		     e) < 0)
		return -1;
	*l = (struct labels){ 0 };
	if (rsp->info)
		labels_from_pb(ctr->arena, rsp->info->labels, rsp->info->n_labels, l);
	return 0;
}

int blob_read(struct ctr *ctr, const char *digest, const char **ret, size_t *ret_n, struct err *e)
{
	struct grpc_stream *s AUTO_GRPC_STREAM = NULL;
	struct str bytes AUTO_STR = STR_INIT(IMAGE_DOC_MAX);
	CONTENT(ReadContentResponse) * rsp;
	int r;

	if (blob_open(ctr, digest, &s, e) < 0)
		return -1;
	while ((r = grpc_stream_recv(s, ctr->arena, (void **)&rsp, e)) > 0)
		str_addn(&bytes, rsp->data.data, rsp->data.len);
	if (r < 0)
		return -1;
	if (bytes.over)
		return err_set(e, ERR_OUT_OF_RANGE, "content %s is larger than %d MiB", digest,
			       IMAGE_DOC_MAX >> 20);
	*ret_n = bytes.len;
	*ret = arena_strndup(ctr->arena, str_c(&bytes), bytes.len);
	return 0;
}

static int read_doc(struct ctr *ctr, const char *media_type, const char *digest,
		    struct image_doc *ret, struct err *e)
{
	const char *bytes;
	size_t n;

	if (blob_read(ctr, digest, &bytes, &n, e) < 0)
		return -1;
	if (image_doc_parse(ctr->arena, media_type, bytes, n, ret, e) < 0)
		return err_wrap(e, "content %s", digest);
	return 0;
}

static int read_config(struct ctr *ctr, const char *digest, struct image_config *ret, struct err *e)
{
	const char *bytes;
	size_t n;

	if (blob_read(ctr, digest, &bytes, &n, e) < 0)
		return -1;
	if (image_config_parse(ctr->arena, bytes, n, ret, e) < 0)
		return err_wrap(e, "content %s", digest);
	return 0;
}

static int load_manifest(struct ctr *ctr, const struct image_doc *doc, struct image *ret,
			 struct err *e)
{
	const char **chain;

	if (read_config(ctr, doc->config.digest, &ret->config, e) < 0)
		return -1;
	ret->config_descriptor = doc->config;
	ret->layers = doc->layers;
	ret->n_layers = doc->n_layers;
	ret->size += doc->config.size;
	for (size_t i = 0; i < doc->n_layers; i++)
		ret->size += doc->layers[i].size;
	chain = image_chain_ids(ctr->arena, ret->config.diff_ids, ret->config.n_diff_ids);
	ret->chain_id = ret->config.n_diff_ids ? chain[ret->config.n_diff_ids - 1] : "";
	return 0;
}

/* *doc and *digest become the manifest for p in or below them; *ret_size grows by what was passed
 * on the way. */
static int find_manifest(struct ctr *ctr, struct image_doc *doc, const char **digest,
			 const struct platform *p, unsigned depth, uint64_t *ret_size,
			 struct err *e)
{
	const struct oci_descriptor *d;
	struct image_doc inner;
	char text[PLATFORM_TEXT];

	if (doc->kind == IMAGE_MANIFEST)
		return 0;
	d = depth ? image_doc_pick(doc, p) : NULL;
	if (!d)
		return err_set(e, ERR_NOT_FOUND, "no match for platform %s in %s",
			       platform_text(p, text), *digest);
	if (read_doc(ctr, d->media_type, d->digest, &inner, e) < 0)
		return -1;
	*ret_size += d->size;
	*doc = inner;
	*digest = d->digest;
	return find_manifest(ctr, doc, digest, p, depth - 1, ret_size, e);
}

static int read_manifest(struct ctr *ctr, const IMAGES(Image) * record, const struct platform *p,
			 struct image_doc *ret, const char **ret_digest, uint64_t *ret_size,
			 struct err *e)
{
	*ret_digest = record->target->digest;
	if (read_doc(ctr, record->target->media_type, *ret_digest, ret, e) < 0)
		return -1;
	return find_manifest(ctr, ret, ret_digest, p, IMAGE_INDEX_DEPTH, ret_size, e);
}

int image_load(struct ctr *ctr, const IMAGES(Image) * record, const struct platform *p,
	       struct image *ret, struct err *e)
{
	struct image_doc doc;

	*ret = (struct image){ .record = record, .size = (uint64_t)record->target->size };
	if (read_manifest(ctr, record, p, &doc, &ret->manifest_digest, &ret->size, e) < 0)
		return -1;
	return load_manifest(ctr, &doc, ret, e);
}

int image_parts(struct ctr *ctr, const IMAGES(Image) * record, const struct platform *p,
		struct oci_descriptor *ret_config, struct oci_descriptor **ret_layers,
		size_t *ret_n, struct err *e)
{
	struct image_doc doc;
	const char *digest;
	uint64_t size = 0;

	if (read_manifest(ctr, record, p, &doc, &digest, &size, e) < 0)
		return -1;
	*ret_config = doc.config;
	*ret_layers = doc.layers;
	*ret_n = doc.n_layers;
	return 0;
}

static void add_platform(struct strv *l, const struct platform *p)
{
	char text[PLATFORM_TEXT];

	platform_text(p, text);
	if (!strv_has(l, text))
		strv_add(l, text);
}

static int collect_platforms(struct ctr *ctr, const struct image_doc *doc, unsigned depth,
			     struct strv *l, struct err *e)
{
	struct image_config config;
	struct image_doc inner;

	if (doc->kind == IMAGE_MANIFEST) {
		if (read_config(ctr, doc->config.digest, &config, e) < 0)
			return -1;
		add_platform(l, &config.platform);
		return 0;
	}
	for (size_t i = 0; depth && i < doc->n_manifests; i++) {
		struct oci_descriptor *d = &doc->manifests[i];
		struct err absent = {
			0
		}; /* of other platforms: their manifests may be elsewhere */

		if (d->has_platform)
			add_platform(l, &d->platform);
		else if (read_doc(ctr, d->media_type, d->digest, &inner, &absent) == 0)
			(void)collect_platforms(ctr, &inner, depth - 1, l, &absent);
	}
	return 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int image_platforms(struct ctr *ctr, const IMAGES(Image) * record, const char **ret, struct err *e)
{
	struct str joined AUTO_STR = STR_INIT(64 << 10);
	struct strv l AUTO_STRV = { 0 };
	struct image_doc doc;

	if (read_doc(ctr, record->target->media_type, record->target->digest, &doc, e) < 0 ||
	    collect_platforms(ctr, &doc, IMAGE_INDEX_DEPTH, &l, e) < 0)
		return -1;
	if (l.n)
		qsort(l.v, l.n, sizeof *l.v, by_text);
	for (size_t i = 0; i < l.n; i++)
		str_addf(&joined, "%s%s", i ? "," : "", l.v[i]);
	*ret = l.n ? arena_strdup(ctr->arena, str_c(&joined)) : "-";
	return 0;
}
