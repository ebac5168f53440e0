/* ctr images inspect --format json: the same tree, for programs. */
#include "cmd/ctr/cmd_images.h"

#include "cmd/ctr/image_read.h"
#include "cmd/ctr/json_print.h"

enum { TREE_JSON_MAX = 64 << 20 };

struct writer {
	struct ctr *ctr;
	struct jsonw *w;
	bool with_content;
};

static void write_head(const struct writer *p, const struct oci_descriptor *d)
{
	char text[PLATFORM_TEXT];

	jsonw_kstring(p->w, "mediaType", d->media_type);
	jsonw_kstring(p->w, "digest", d->digest);
	jsonw_ku64(p->w, "size", d->size);
	if (d->has_platform)
		jsonw_kstring(p->w, "platform", platform_text(&d->platform, text));
}

static void write_content(const struct writer *p, const char *bytes, size_t n)
{
	AUTO_JSON json_object *o = NULL;
	struct err not_json = { 0 };

	if (!p->with_content || jsonr_parse(bytes, n, &o, &not_json) < 0)
		return;
	jsonw_key(p->w, "content");
	json_value(p->w, o);
}

static int write_config(const struct writer *p, const struct oci_descriptor *d, struct err *e)
{
	struct err absent = { 0 };
	const char *bytes;
	size_t n;

	jsonw_key(p->w, "config");
	jsonw_object(p->w);
	write_head(p, d);
	if (blob_read(p->ctr, d->digest, &bytes, &n, &absent) == 0)
		write_content(p, bytes, n);
	else if (absent.code != ERR_NOT_FOUND)
		return err_copy(e, &absent);
	jsonw_kbool(p->w, "available", !absent.code);
	jsonw_end(p->w);
	return 0;
}

static int write_manifest(const struct writer *p, const struct image_doc *doc, struct err *e)
{
	if (write_config(p, &doc->config, e) < 0)
		return -1;
	jsonw_key(p->w, "layers");
	jsonw_array(p->w);
	for (size_t i = 0; i < doc->n_layers; i++) {
		jsonw_object(p->w);
		write_head(p, &doc->layers[i]);
		jsonw_end(p->w);
	}
	jsonw_end(p->w);
	return 0;
}

static int write_tree(const struct writer *p, const struct oci_descriptor *d, unsigned depth,
		      struct err *e);

static int write_index(const struct writer *p, const struct image_doc *doc, unsigned depth,
		       struct err *e)
{
	jsonw_key(p->w, "manifests");
	jsonw_array(p->w);
	for (size_t i = 0; depth && i < doc->n_manifests; i++)
		if (write_tree(p, &doc->manifests[i], depth - 1, e) < 0)
			return -1;
	jsonw_end(p->w);
	return 0;
}

static int write_tree(const struct writer *p, const struct oci_descriptor *d, unsigned depth,
		      struct err *e)
{
	struct err absent = { 0 };
	struct image_doc doc;
	const char *bytes;
	size_t n;

	jsonw_object(p->w);
	write_head(p, d);
	if (blob_read(p->ctr, d->digest, &bytes, &n, &absent) < 0 && absent.code != ERR_NOT_FOUND)
		return err_copy(e, &absent);
	jsonw_kbool(p->w, "available", !absent.code);
	if (!absent.code)
		write_content(p, bytes, n);
	if (!absent.code && (media_is_index(d->media_type) || media_is_manifest(d->media_type))) {
		if (image_doc_parse(p->ctr->arena, d->media_type, bytes, n, &doc, e) < 0)
			return err_wrap(e, "content %s", d->digest);
		if ((doc.kind == IMAGE_MANIFEST ? write_manifest(p, &doc, e)
						: write_index(p, &doc, depth, e)) < 0)
			return -1;
	}
	jsonw_end(p->w);
	return 0;
}

int image_inspect_json(struct ctr *ctr, const IMAGES(Image) * i,
		       const struct oci_descriptor *target, bool with_content, struct err *e)
{
	struct str out AUTO_STR = STR_INIT(TREE_JSON_MAX);
	struct jsonw w;
	const struct writer p = { ctr, &w, with_content };
	struct labels l;

	jsonw_init(&w, &out, 4);
	jsonw_object(&w);
	jsonw_kstring(&w, "name", i->name);
	jsonw_kstring(&w, "createdAt", time_rfc3339(ctr->arena, i->created_at));
	jsonw_kstring(&w, "updatedAt", time_rfc3339(ctr->arena, i->updated_at));
	labels_from_pb(ctr->arena, i->labels, i->n_labels, &l);
	jsonw_key(&w, "labels");
	json_labels(&w, &l);
	jsonw_key(&w, "target");
	if (write_tree(&p, target, IMAGE_INDEX_DEPTH, e) < 0)
		return -1;
	jsonw_end(&w);
	puts(str_c(&out));
	return 0;
}
