/* What an archive is: an OCI layout, or what `docker save` writes; both end as an index of images.
 */
#include "image/import.h"

#include "base/jsonw.h"
#include "base/sha256.h"
#include "oci/reference.h"

#include <string.h>

enum { IMAGES_MAX = 512, NAMES_MAX = 1024 };

static void add_image(struct import *im, struct transfer_result *ret, const char *name,
		      const struct oci_descriptor *target)
{
	if (!ret->images)
		ret->images = arena_array(im->w->arena, NAMES_MAX, sizeof *ret->images);
	if (ret->n_images < NAMES_MAX)
		ret->images[ret->n_images++] = (struct transfer_image){ name, *target };
}

/* A document that we made, or that stands in the archive under a name, as a blob. */
static int store_document(struct import *im, const char *media_type, const char *bytes, size_t n,
			  struct oci_descriptor *ret, struct err *e)
{
	char hex[SHA256_HEX + 1];
	const struct labels none = { 0 };

	sha256_of(bytes, n, hex);
	*ret = (struct oci_descriptor){ .media_type = media_type,
					.digest = arena_printf(im->w->arena, "sha256:%s", hex),
					.size = n };
	return worker_store_document(im->w, ret, bytes, n, &none, e);
}

int import_oci(struct import *im, struct transfer_result *ret, struct err *e)
{
	struct import_file *index = import_find(im, "index.json");
	struct arena *a = im->w->arena;
	struct image_doc doc;

	if (!index->bytes)
		return err_set(e, ERR_INVALID_ARGUMENT, "index.json is no file");
	if (image_doc_parse(a, MEDIA_OCI_INDEX, index->bytes, (size_t)index->size, &doc, e) < 0 ||
	    store_document(im, MEDIA_OCI_INDEX, index->bytes, (size_t)index->size, &ret->root, e) <
		    0)
		return err_wrap(e, "index.json");
	if (doc.kind != IMAGE_INDEX || doc.n_manifests > IMAGES_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "index.json is no index of images");
	for (size_t i = 0; i < doc.n_manifests; i++) {
		const struct oci_descriptor *d = &doc.manifests[i];
		const char *name = oci_descriptor_annotation(d, "io.containerd.image.name");

		if (!name)
			name = oci_descriptor_annotation(d, "org.opencontainers.image.ref.name");
		add_image(im, ret, name ? name : "", d);
	}
	return 0;
}

/* --- docker save ---------------------------------------------------------------------------------
 */

static const char *layer_type(const struct import_file *f)
{
	static const unsigned char gzip[] = { 0x1f, 0x8b }, zstd[] = { 0x28, 0xb5, 0x2f, 0xfd };

	if (memcmp(f->magic, gzip, sizeof gzip) == 0)
		return MEDIA_DOCKER_LAYER_GZIP;
	if (memcmp(f->magic, zstd, sizeof zstd) == 0)
		return MEDIA_OCI_LAYER_ZSTD;
	return MEDIA_DOCKER_LAYER;
}

static int blob_of(struct import *im, json_object *name, struct import_file **ret, struct err *e)
{
	const char *s =
		json_object_is_type(name, json_type_string) ? json_object_get_string(name) : "";

	*ret = import_find(im, import_resolve(im->w->arena, s));
	if (!*ret || !(*ret)->digest)
		return err_set(e, ERR_NOT_FOUND,
			       "manifest.json names \"%.200s\", which the archive "
			       "lacks",
			       s);
	return 0;
}

static void write_descriptor(struct jsonw *w, const char *media_type, const struct import_file *f)
{
	jsonw_object(w);
	jsonw_kstring(w, "mediaType", media_type);
	jsonw_kstring(w, "digest", f->digest);
	jsonw_ku64(w, "size", f->size);
	jsonw_end(w);
}

/* The manifest that a registry would have for it. */
static int make_manifest(struct import *im, json_object *o, struct oci_descriptor *ret,
			 struct err *e)
{
	AUTO_STR struct str text = STR_INIT(IMAGE_DOC_MAX);
	json_object *config, *layers = NULL;
	struct import_file *f;
	struct jsonw w;

	if (jsonr_array(o, "Layers", &layers, e) < 0)
		return -1;
	if (!json_object_object_get_ex(o, "Config", &config) || blob_of(im, config, &f, e) < 0)
		return e->code ? -1 : err_set(e, ERR_INVALID_ARGUMENT, "an image without Config");
	jsonw_init(&w, &text, 3);
	jsonw_object(&w);
	jsonw_ki64(&w, "schemaVersion", 2);
	jsonw_kstring(&w, "mediaType", MEDIA_DOCKER_MANIFEST);
	jsonw_key(&w, "config");
	write_descriptor(&w, MEDIA_DOCKER_CONFIG, f);
	jsonw_key(&w, "layers");
	jsonw_array(&w);
	for (size_t i = 0; layers && i < json_object_array_length(layers); i++) {
		if (i == IMAGE_LAYERS_MAX)
			return err_set(e, ERR_RESOURCE_EXHAUSTED, "more than %d layers",
				       IMAGE_LAYERS_MAX);
		if (blob_of(im, json_object_array_get_idx(layers, i), &f, e) < 0)
			return -1;
		write_descriptor(&w, layer_type(f), f);
	}
	jsonw_end(&w);
	jsonw_end(&w);
	if (text.over)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "manifest is too large");
	return store_document(im, MEDIA_DOCKER_MANIFEST, str_c(&text), text.len, ret, e);
}

static int add_names(struct import *im, json_object *o, const struct oci_descriptor *d,
		     struct transfer_result *ret, struct err *e)
{
	json_object *tags = NULL;
	size_t n;

	if (jsonr_array(o, "RepoTags", &tags, e) < 0)
		return -1;
	n = tags ? json_object_array_length(tags) : 0;
	for (size_t i = 0; i < n; i++) {
		const char *tag = json_object_get_string(json_object_array_get_idx(tags, i));
		AUTO_FREE char *name = NULL;

		if (!tag || reference_normalize(tag, &name, e) < 0)
			return e->code ? -1
				       : err_set(e, ERR_INVALID_ARGUMENT,
						 "RepoTags is no list of names");
		add_image(im, ret, arena_strdup(im->w->arena, name), d);
	}
	if (n == 0)
		add_image(im, ret, "", d);
	return 0;
}

int import_docker(struct import *im, struct transfer_result *ret, struct err *e)
{
	struct import_file *f = import_find(im, "manifest.json");
	AUTO_STR struct str index = STR_INIT(IMAGE_DOC_MAX);
	AUTO_JSON json_object *list = NULL;
	struct jsonw w;

	if (!f || !f->bytes)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "unrecognized image format: neither index.json nor manifest.json");
	if (jsonr_parse(f->bytes, (size_t)f->size, &list, e) < 0)
		return err_wrap(e, "manifest.json");
	if (!json_object_is_type(list, json_type_array) ||
	    json_object_array_length(list) > IMAGES_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "manifest.json is no list of images");

	jsonw_init(&w, &index, 0);
	jsonw_object(&w);
	jsonw_ki64(&w, "schemaVersion", 2);
	jsonw_kstring(&w, "mediaType", MEDIA_OCI_INDEX);
	jsonw_key(&w, "manifests");
	jsonw_array(&w);
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		json_object *o = json_object_array_get_idx(list, i);
		struct oci_descriptor d;

		if (make_manifest(im, o, &d, e) < 0 || add_names(im, o, &d, ret, e) < 0)
			return err_wrap(e, "manifest.json");
		jsonw_object(&w);
		jsonw_kstring(&w, "mediaType", d.media_type);
		jsonw_kstring(&w, "digest", d.digest);
		jsonw_ku64(&w, "size", d.size);
		jsonw_end(&w);
	}
	jsonw_end(&w);
	jsonw_end(&w);
	return store_document(im, MEDIA_OCI_INDEX, str_c(&index), index.len, &ret->root, e);
}
