#include "oci/image.h"

#include "base/ident.h"
#include "base/sha256.h"
#include "base/str.h"

#include <string.h>

enum { ANNOTATIONS_MAX = 1024, STRINGS_MAX = 4096 };

static const char *text(struct arena *a, const char *s)
{
	return s ? arena_strdup(a, s) : "";
}

/* An object of strings, as annotations and labels are. */
static int pairs_parse(struct arena *a, json_object *o, const char *key,
		       struct oci_annotation **ret, size_t *ret_n, struct err *e)
{
	json_object *map = NULL;

	if (jsonr_object(o, key, &map, e) < 0)
		return -1;
	if (!map)
		return 0;
	size_t n = (size_t)json_object_object_length(map);

	if (n > ANNOTATIONS_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "field \"%s\" has more than %d entries",
			       key, ANNOTATIONS_MAX);
	*ret = arena_array(a, n, sizeof **ret);
	json_object_object_foreach(map, name, value)
	{
		const char *v = "";

		(void)value; /* looked up again, so that its type is checked */
		if (jsonr_string(map, name, &v, e) < 0)
			return err_wrap(e, "%s", key);
		(*ret)[(*ret_n)++] = (struct oci_annotation){ text(a, name), text(a, v) };
	}
	return 0;
}

static int strings_parse(struct arena *a, json_object *o, const char *key, const char ***ret,
			 size_t *ret_n, struct err *e)
{
	json_object *list = NULL;

	if (jsonr_array(o, key, &list, e) < 0)
		return -1;
	size_t n = list ? json_object_array_length(list) : 0;

	if (n > STRINGS_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "field \"%s\" has more than %d entries",
			       key, STRINGS_MAX);
	*ret = arena_array(a, n + 1, sizeof **ret);
	for (size_t i = 0; i < n; i++) {
		json_object *s = json_object_array_get_idx(list, i);

		if (!json_object_is_type(s, json_type_string) ||
		    strlen(json_object_get_string(s)) != (size_t)json_object_get_string_len(s))
			return err_set(e, ERR_INVALID_ARGUMENT, "field \"%s\"[%zu] is no string",
				       key, i);
		(*ret)[i] = text(a, json_object_get_string(s));
	}
	if (ret_n)
		*ret_n = n;
	return 0;
}

/* The keys of an object whose values mean nothing (volumes, exposed ports). */
static int keys_parse(struct arena *a, json_object *o, const char *key, const char ***ret,
		      struct err *e)
{
	json_object *map = NULL;
	size_t i = 0;

	if (jsonr_object(o, key, &map, e) < 0)
		return -1;
	size_t n = map ? (size_t)json_object_object_length(map) : 0;

	if (n > STRINGS_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "field \"%s\" has more than %d entries",
			       key, STRINGS_MAX);
	*ret = arena_array(a, n + 1, sizeof **ret);
	if (!map)
		return 0;
	json_object_object_foreach(map, name, value)
	{
		(void)value;
		(*ret)[i++] = text(a, name);
	}
	return 0;
}

static int platform_parse_json(json_object *o, struct platform *ret, struct err *e)
{
	const char *os = "", *arch = "", *variant = "", *version = "";

	if (jsonr_string(o, "os", &os, e) < 0 || jsonr_string(o, "architecture", &arch, e) < 0 ||
	    jsonr_string(o, "variant", &variant, e) < 0 ||
	    jsonr_string(o, "os.version", &version, e) < 0)
		return -1;
	return platform_set(ret, os, arch, variant, version, e);
}

/* It becomes a header of requests, beside secrets: nothing in it may end a line. */
static bool is_media_type(const char *s)
{
	for (; *s; s++)
		if (*s < 0x20 || *s > 0x7e)
			return false;
	return true;
}

int oci_descriptor_parse(struct arena *a, json_object *o, struct oci_descriptor *ret, struct err *e)
{
	const char *media = NULL, *digest = NULL;
	json_object *platform = NULL;
	uint64_t size = UINT64_MAX;

	*ret = (struct oci_descriptor){ 0 };
	if (jsonr_string(o, "mediaType", &media, e) < 0 ||
	    jsonr_string(o, "digest", &digest, e) < 0 || jsonr_u64(o, "size", &size, e) < 0 ||
	    jsonr_object(o, "platform", &platform, e) < 0 ||
	    pairs_parse(a, o, "annotations", &ret->annotations, &ret->n_annotations, e) < 0)
		return -1;
	if (!digest || !digest_is_valid(digest))
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid digest \"%.100s\"",
			       digest ? digest : "");
	if (size > IMAGE_BLOB_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "%s: size is missing or out of range",
			       digest);
	if (media && !is_media_type(media))
		return err_set(e, ERR_INVALID_ARGUMENT, "%s: invalid media type", digest);
	if (platform) {
		ret->has_platform = true;
		if (platform_parse_json(platform, &ret->platform, e) < 0)
			return err_wrap(e, "%s", digest);
	}
	ret->media_type = text(a, media);
	ret->digest = text(a, digest);
	ret->size = size;
	return 0;
}

const char *oci_descriptor_annotation(const struct oci_descriptor *d, const char *key)
{
	for (size_t i = 0; i < d->n_annotations; i++)
		if (strcmp(d->annotations[i].key, key) == 0)
			return d->annotations[i].value;
	return NULL;
}

static int descriptors_parse(struct arena *a, json_object *list, const char *key, size_t max,
			     struct oci_descriptor **ret, size_t *ret_n, struct err *e)
{
	size_t n = list ? json_object_array_length(list) : 0;

	if (n > max)
		return err_set(e, ERR_INVALID_ARGUMENT, "field \"%s\" has more than %zu entries",
			       key, max);
	*ret = arena_array(a, n, sizeof **ret);
	*ret_n = n;
	for (size_t i = 0; i < n; i++)
		if (oci_descriptor_parse(a, json_object_array_get_idx(list, i), &(*ret)[i], e) < 0)
			return err_wrap(e, "%s[%zu]", key, i);
	return 0;
}

static int doc_fill(struct arena *a, const char *media_type, json_object *o, struct image_doc *ret,
		    struct err *e)
{
	json_object *manifests = NULL, *layers = NULL, *config = NULL, *subject = NULL;
	const char *own = "";
	uint64_t version = 0;

	if (jsonr_u64(o, "schemaVersion", &version, e) < 0 ||
	    jsonr_string(o, "mediaType", &own, e) < 0 ||
	    jsonr_array(o, "manifests", &manifests, e) < 0 ||
	    jsonr_array(o, "layers", &layers, e) < 0 || jsonr_object(o, "config", &config, e) < 0 ||
	    jsonr_object(o, "subject", &subject, e) < 0)
		return -1;
	if (!is_media_type(own))
		return err_set(e, ERR_INVALID_ARGUMENT, "the document has an invalid media type");
	if (version == 1)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "schema 1 manifests are not supported any more");
	if (manifests && (layers || config))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "the document is a manifest and an index at once");
	if (!manifests && !config)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "the document is neither a manifest nor an index");
	ret->kind = manifests ? IMAGE_INDEX : IMAGE_MANIFEST;
	ret->has_subject = subject != NULL;

	const char *names[2] = { own, media_type };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if ((ret->kind == IMAGE_INDEX && media_is_manifest(names[i])) ||
		    (ret->kind == IMAGE_MANIFEST && media_is_index(names[i])))
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "media type \"%s\" contradicts the document", names[i]);
	if (*own && *media_type && strcmp(own, media_type) != 0 &&
	    (media_is_index(media_type) || media_is_manifest(media_type)))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "the document says \"%.100s\", its descriptor \"%.100s\"", own,
			       media_type);
	if (*own)
		ret->media_type = text(a, own);
	else if (media_is_index(media_type) || media_is_manifest(media_type))
		ret->media_type = text(a, media_type);
	else
		ret->media_type = ret->kind == IMAGE_INDEX ? MEDIA_OCI_INDEX : MEDIA_OCI_MANIFEST;

	if (manifests)
		return descriptors_parse(a, manifests, "manifests", IMAGE_MANIFESTS_MAX,
					 &ret->manifests, &ret->n_manifests, e);
	if (oci_descriptor_parse(a, config, &ret->config, e) < 0)
		return err_wrap(e, "config");
	return descriptors_parse(a, layers, "layers", IMAGE_LAYERS_MAX, &ret->layers,
				 &ret->n_layers, e);
}

int image_doc_parse(struct arena *a, const char *media_type, const char *bytes, size_t n,
		    struct image_doc *ret, struct err *e)
{
	json_object *o AUTO_JSON = NULL;

	*ret = (struct image_doc){ 0 };
	if (n > IMAGE_DOC_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "the manifest is larger than 4 MiB");
	if (jsonr_parse(bytes, n, &o, e) < 0)
		return -1;
	if (!json_object_is_type(o, json_type_object))
		return err_set(e, ERR_INVALID_ARGUMENT, "the manifest is no JSON object");
	return doc_fill(a, media_type, o, ret, e);
}

bool media_is_index(const char *m)
{
	return strcmp(m, MEDIA_OCI_INDEX) == 0 || strcmp(m, MEDIA_DOCKER_LIST) == 0;
}

bool media_is_manifest(const char *m)
{
	return strcmp(m, MEDIA_OCI_MANIFEST) == 0 || strcmp(m, MEDIA_DOCKER_MANIFEST) == 0;
}

bool media_is_leaf(const char *m)
{
	return *m && !media_is_index(m) && !media_is_manifest(m);
}

const struct oci_descriptor *image_doc_pick(const struct image_doc *index,
					    const struct platform *host)
{
	for (size_t i = 0; i < index->n_manifests; i++) {
		const struct oci_descriptor *d = &index->manifests[i];

		if (!media_is_leaf(d->media_type) &&
		    (!d->has_platform || platform_matches(host, &d->platform)))
			return d;
	}
	return NULL;
}

bool media_is_config(const char *m)
{
	return strcmp(m, MEDIA_OCI_CONFIG) == 0 || strcmp(m, MEDIA_DOCKER_CONFIG) == 0;
}

static const struct {
	const char *media_type;
	enum layer_compression compression;
} layer_types[] = {
	{ MEDIA_OCI_LAYER, LAYER_PLAIN },
	{ MEDIA_OCI_LAYER_GZIP, LAYER_GZIP },
	{ MEDIA_OCI_LAYER_ZSTD, LAYER_ZSTD },
	{ "application/vnd.oci.image.layer.nondistributable.v1.tar", LAYER_PLAIN },
	{ "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", LAYER_GZIP },
	{ "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", LAYER_ZSTD },
	{ MEDIA_DOCKER_LAYER, LAYER_PLAIN },
	{ MEDIA_DOCKER_LAYER_GZIP, LAYER_GZIP },
	{ MEDIA_DOCKER_LAYER ".zstd", LAYER_ZSTD },
	{ "application/vnd.docker.image.rootfs.foreign.diff.tar", LAYER_PLAIN },
	{ "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", LAYER_GZIP },
	{ "application/vnd.docker.image.rootfs.foreign.diff.tar.zstd", LAYER_ZSTD },
};

enum layer_compression media_layer_compression(const char *m)
{
	for (size_t i = 0; i < ARRAY_LEN(layer_types); i++)
		if (strcmp(layer_types[i].media_type, m) == 0)
			return layer_types[i].compression;
	return LAYER_UNKNOWN;
}

bool media_is_layer(const char *m)
{
	return media_layer_compression(m) != LAYER_UNKNOWN;
}

static int run_config_parse(struct arena *a, json_object *o, struct image_config *ret,
			    struct err *e)
{
	const char *user = "", *dir = "", *signal = "";

	if (jsonr_string(o, "User", &user, e) < 0 || jsonr_string(o, "WorkingDir", &dir, e) < 0 ||
	    jsonr_string(o, "StopSignal", &signal, e) < 0 ||
	    strings_parse(a, o, "Env", &ret->env, NULL, e) < 0 ||
	    strings_parse(a, o, "Entrypoint", &ret->entrypoint, NULL, e) < 0 ||
	    strings_parse(a, o, "Cmd", &ret->cmd, NULL, e) < 0 ||
	    keys_parse(a, o, "Volumes", &ret->volumes, e) < 0 ||
	    keys_parse(a, o, "ExposedPorts", &ret->exposed_ports, e) < 0 ||
	    pairs_parse(a, o, "Labels", &ret->labels, &ret->n_labels, e) < 0)
		return err_wrap(e, "config");
	ret->user = text(a, user);
	ret->working_dir = text(a, dir);
	ret->stop_signal = text(a, signal);
	return 0;
}

static int rootfs_parse(struct arena *a, json_object *o, struct image_config *ret, struct err *e)
{
	const char *type = "layers";

	if (jsonr_string(o, "type", &type, e) < 0 ||
	    strings_parse(a, o, "diff_ids", &ret->diff_ids, &ret->n_diff_ids, e) < 0)
		return err_wrap(e, "rootfs");
	if (strcmp(type, "layers") != 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "rootfs type \"%.60s\" is not supported",
			       type);
	if (ret->n_diff_ids > IMAGE_LAYERS_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "rootfs has more than %d layers",
			       IMAGE_LAYERS_MAX);
	for (size_t i = 0; i < ret->n_diff_ids; i++)
		if (!digest_is_valid(ret->diff_ids[i]))
			return err_set(e, ERR_INVALID_ARGUMENT, "rootfs: invalid digest \"%.100s\"",
				       ret->diff_ids[i]);
	return 0;
}

int image_config_parse(struct arena *a, const char *bytes, size_t n, struct image_config *ret,
		       struct err *e)
{
	static const char *none[] = { NULL };
	json_object *o AUTO_JSON = NULL;
	json_object *config = NULL, *rootfs = NULL;

	*ret = (struct image_config){ .user = "", .working_dir = "", .stop_signal = "" };
	ret->env = ret->entrypoint = ret->cmd = ret->volumes = ret->exposed_ports = none;
	ret->diff_ids = none;
	if (n > IMAGE_DOC_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "the image config is larger than 4 MiB");
	if (jsonr_parse(bytes, n, &o, e) < 0)
		return -1;
	if (!json_object_is_type(o, json_type_object))
		return err_set(e, ERR_INVALID_ARGUMENT, "the image config is no JSON object");
	if (platform_parse_json(o, &ret->platform, e) < 0 ||
	    jsonr_object(o, "config", &config, e) < 0 || jsonr_object(o, "rootfs", &rootfs, e) < 0)
		return -1;
	if (config && run_config_parse(a, config, ret, e) < 0)
		return -1;
	return rootfs ? rootfs_parse(a, rootfs, ret, e) : 0;
}

const char **image_chain_ids(struct arena *a, const char *const *diff_ids, size_t n)
{
	const char **ret = arena_array(a, n + 1, sizeof *ret);

	for (size_t i = 0; i < n; i++) {
		if (i == 0) {
			ret[0] = arena_strdup(a, diff_ids[0]);
			continue;
		}
		char digest[DIGEST_SHA256 + 1];
		struct sha256 h;

		sha256_init(&h);
		sha256_add(&h, ret[i - 1], strlen(ret[i - 1]));
		sha256_add(&h, " ", 1);
		sha256_add(&h, diff_ids[i], strlen(diff_ids[i]));
		sha256_digest(&h, digest);
		ret[i] = arena_strdup(a, digest);
	}
	return ret;
}
