#include "image/wire.h"

#include "base/ident.h"
#include "base/mem.h"
#include "image/inflate.h"
#include "image/sigstore.h"

#include <string.h>

static const char *const kinds[] = {
	[TRANSFER_PULL] = "pull",       [TRANSFER_PUSH] = "push",
	[TRANSFER_IMPORT] = "import",   [TRANSFER_EXPORT] = "export",
	[TRANSFER_APPLY] = "apply",     [TRANSFER_DIFF] = "diff",
	[TRANSFER_FETCH] = "fetch",     [TRANSFER_PUT] = "put",
	[TRANSFER_CONVERT] = "convert", [TRANSFER_INSTALL] = "install",
	[TRANSFER_VERIFY] = "verify",   [TRANSFER_CHECK] = "check",
};

enum { LIST_MAX = 4096 };

void wire_write_platform(struct jsonw *w, const struct platform *p)
{
	jsonw_object(w);
	jsonw_kstring(w, "os", p->os);
	jsonw_kstring(w, "architecture", p->arch);
	jsonw_kstring(w, "variant", p->variant);
	jsonw_kstring(w, "os.version", p->os_version);
	jsonw_end(w);
}

void wire_write_descriptor(struct jsonw *w, const struct oci_descriptor *d)
{
	jsonw_object(w);
	jsonw_kstring(w, "mediaType", d->media_type ? d->media_type : "");
	jsonw_kstring(w, "digest", d->digest);
	jsonw_ku64(w, "size", d->size);
	if (d->has_platform) {
		jsonw_key(w, "platform");
		wire_write_platform(w, &d->platform);
	}
	if (d->n_annotations) {
		jsonw_key(w, "annotations");
		jsonw_object(w);
		for (size_t i = 0; i < d->n_annotations; i++)
			jsonw_kstring(w, d->annotations[i].key, d->annotations[i].value);
		jsonw_end(w);
	}
	jsonw_end(w);
}

static void write_list(struct jsonw *w, const char *key, const char *const *list)
{
	jsonw_key(w, key);
	jsonw_array(w);
	for (size_t i = 0; list && list[i]; i++)
		jsonw_string(w, list[i]);
	jsonw_end(w);
}

static void write_pull(struct jsonw *w, const struct transfer_pull *p)
{
	jsonw_kstring(w, "reference", p->reference);
	jsonw_kstring(w, "scheme", p->default_scheme ? p->default_scheme : "");
	jsonw_ku64(w, "max_downloads", p->max_downloads);
	jsonw_ku64(w, "stall_seconds", p->stall_seconds);
	jsonw_kbool(w, "has_auth", p->has_auth || p->has_credentials);
	write_list(w, "hosts_dirs", p->hosts_dirs);
	write_list(w, "headers", p->headers);
}

static void write_images(struct jsonw *w, const struct transfer_image *v, size_t n)
{
	jsonw_key(w, "images");
	jsonw_array(w);
	for (size_t i = 0; i < n; i++) {
		jsonw_object(w);
		jsonw_kstring(w, "name", v[i].name);
		jsonw_key(w, "target");
		wire_write_descriptor(w, &v[i].target);
		jsonw_end(w);
	}
	jsonw_end(w);
}

static void write_diff(struct jsonw *w, const struct transfer_diff *d)
{
	jsonw_kstring(w, "media_type", d->media_type);
	jsonw_kstring(w, "ref", d->ref);
	/* of the descriptors that follow, the rest is left's */
	jsonw_ku64(w, "n_right", d->right->nlowers + (d->right->upper >= 0));
	jsonw_kbool(w, "has_epoch", d->has_epoch);
	jsonw_ki64(w, "epoch", d->epoch);
	jsonw_key(w, "labels");
	jsonw_object(w);
	for (size_t i = 0; i < d->labels.n; i++)
		jsonw_kstring(w, d->labels.v[i].key, d->labels.v[i].value);
	jsonw_end(w);
}

void wire_write_signatures(struct jsonw *w, const struct sigstore_signature *v, size_t n)
{
	jsonw_key(w, "signatures");
	jsonw_array(w);
	for (size_t i = 0; i < n; i++) {
		jsonw_object(w);
		jsonw_kstring(w, "payload", v[i].payload);
		jsonw_kstring(w, "signature", v[i].base64);
		jsonw_end(w);
	}
	jsonw_end(w);
}

static void write_verify(struct jsonw *w, const struct transfer_verify *v)
{
	if (!v->policy)
		return;
	jsonw_kstring(w, "policy", v->policy);
	jsonw_kstring(w, "transport", v->transport ? v->transport : "");
	wire_write_signatures(w, v->signatures, v->n_signatures);
}

void wire_write_job(struct jsonw *w, const struct transfer_job *job)
{
	jsonw_object(w);
	jsonw_kstring(w, "kind", kinds[job->kind]);
	if (job->kind == TRANSFER_PULL || job->kind == TRANSFER_PUSH)
		write_pull(w, &job->pull);
	if (job->kind == TRANSFER_PUSH || job->kind == TRANSFER_VERIFY)
		write_images(w, &job->image, 1);
	if (job->kind == TRANSFER_PULL || job->kind == TRANSFER_IMPORT ||
	    job->kind == TRANSFER_VERIFY)
		write_verify(w, &job->verify);
	if (job->kind == TRANSFER_APPLY) {
		jsonw_key(w, "blob");
		wire_write_descriptor(w, &job->apply.blob);
		jsonw_kbool(w, "overlay", job->apply.dirs->whiteout == WHITEOUT_OVERLAY);
	}
	if (job->kind == TRANSFER_IMPORT)
		jsonw_kbool(w, "compress_blobs", job->import.compress);
	if (job->kind == TRANSFER_DIFF)
		write_diff(w, &job->diff);
	if (job->kind == TRANSFER_EXPORT) {
		write_images(w, job->export.images, job->export.n_images);
		jsonw_kbool(w, "no_docker_manifest", job->export.no_docker_manifest);
		jsonw_kbool(w, "no_nondistributable", job->export.no_nondistributable);
	}
	jsonw_kbool(w, "all_metadata", job->all_metadata);
	jsonw_ku64(w, "manifest_limit", job->manifest_limit);
	jsonw_key(w, "platforms");
	jsonw_array(w);
	for (size_t i = 0; i < job->n_platforms; i++)
		wire_write_platform(w, &job->platforms[i]);
	jsonw_end(w);
	jsonw_key(w, "unpacks");
	jsonw_array(w);
	for (size_t i = 0; i < job->n_unpacks; i++) {
		jsonw_object(w);
		jsonw_kstring(w, "snapshotter", job->unpacks[i].snapshotter);
		jsonw_key(w, "platform");
		wire_write_platform(w, &job->unpacks[i].platform);
		jsonw_end(w);
	}
	jsonw_end(w);
	jsonw_end(w);
}

static int read_text(struct arena *a, json_object *o, const char *key, const char **ret,
		     struct err *e)
{
	const char *s = "";

	if (jsonr_string(o, key, &s, e) < 0)
		return -1;
	*ret = arena_strdup(a, s);
	return 0;
}

static int read_u32(json_object *o, const char *key, unsigned *ret, struct err *e)
{
	uint64_t v = 0;

	if (jsonr_u64(o, key, &v, e) < 0)
		return -1;
	if (v > UINT32_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "field \"%s\" is too large", key);
	*ret = (unsigned)v;
	return 0;
}

/* The array under key, bounded; *ret_n 0 when it is absent. */
static int read_array(json_object *o, const char *key, json_object **ret, size_t *ret_n,
		      struct err *e)
{
	*ret = NULL;
	if (jsonr_array(o, key, ret, e) < 0)
		return -1;
	*ret_n = *ret ? json_object_array_length(*ret) : 0;
	if (*ret_n > LIST_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "field \"%s\" is too long", key);
	return 0;
}

static int read_list(struct arena *a, json_object *o, const char *key, const char *const **ret,
		     struct err *e)
{
	json_object *list;
	size_t n;

	if (read_array(o, key, &list, &n, e) < 0)
		return -1;
	const char **v = arena_array(a, n + 1, sizeof *v);

	for (size_t i = 0; i < n; i++) {
		json_object *s = json_object_array_get_idx(list, i);

		if (!json_object_is_type(s, json_type_string))
			return err_set(e, ERR_INVALID_ARGUMENT, "field \"%s\"[%zu] is no string",
				       key, i);
		v[i] = arena_strdup(a, json_object_get_string(s));
	}
	*ret = v;
	return 0;
}

static int read_platform(json_object *o, struct platform *ret, struct err *e)
{
	const char *os = "", *arch = "", *variant = "", *version = "";

	if (jsonr_string(o, "os", &os, e) < 0 || jsonr_string(o, "architecture", &arch, e) < 0 ||
	    jsonr_string(o, "variant", &variant, e) < 0 ||
	    jsonr_string(o, "os.version", &version, e) < 0)
		return -1;
	if (!*os) {
		*ret = platform_host();
		return 0;
	}
	return platform_set(ret, os, arch, variant, version, e);
}

static int read_own_host(struct arena *a, json_object *o, struct transfer_pull *ret, struct err *e)
{
	unsigned debug = 0;

	if (jsonr_bool(o, "skip_verify", &ret->skip_verify, e) < 0 ||
	    read_text(a, o, "ca", &ret->ca, e) < 0 || read_text(a, o, "cert", &ret->cert, e) < 0 ||
	    read_text(a, o, "key", &ret->key, e) < 0 || read_u32(o, "debug", &debug, e) < 0)
		return -1;
	ret->debug = debug & (TRANSFER_DUMP | TRANSFER_TRACE);
	return 0;
}

static int read_pull(struct arena *a, json_object *o, struct transfer_pull *ret, struct err *e)
{
	if (read_text(a, o, "reference", &ret->reference, e) < 0 ||
	    read_text(a, o, "scheme", &ret->default_scheme, e) < 0 ||
	    read_u32(o, "max_downloads", &ret->max_downloads, e) < 0 ||
	    read_u32(o, "stall_seconds", &ret->stall_seconds, e) < 0 ||
	    jsonr_bool(o, "has_auth", &ret->has_auth, e) < 0 ||
	    read_list(a, o, "hosts_dirs", &ret->hosts_dirs, e) < 0 ||
	    read_list(a, o, "headers", &ret->headers, e) < 0)
		return -1;
	return read_own_host(a, o, ret, e);
}

static int read_unpacks(struct arena *a, json_object *o, struct transfer_job *ret, struct err *e)
{
	json_object *list;
	size_t n;

	if (read_array(o, "unpacks", &list, &n, e) < 0)
		return -1;
	struct transfer_unpack *v = arena_array(a, n, sizeof *v);

	for (size_t i = 0; i < n; i++) {
		json_object *u = json_object_array_get_idx(list, i), *platform = NULL;

		if (read_text(a, u, "snapshotter", &v[i].snapshotter, e) < 0 ||
		    jsonr_object(u, "platform", &platform, e) < 0 ||
		    read_platform(platform, &v[i].platform, e) < 0)
			return -1;
	}
	ret->unpacks = v;
	ret->n_unpacks = n;
	return 0;
}

static int read_platforms(struct arena *a, json_object *o, struct transfer_job *ret, struct err *e)
{
	json_object *list;
	size_t n;

	if (read_array(o, "platforms", &list, &n, e) < 0)
		return -1;
	struct platform *v = arena_array(a, n, sizeof *v);

	for (size_t i = 0; i < n; i++)
		if (read_platform(json_object_array_get_idx(list, i), &v[i], e) < 0)
			return -1;
	ret->platforms = v;
	ret->n_platforms = n;
	return 0;
}

static int read_images(struct arena *a, json_object *o, struct transfer_image **ret, size_t *ret_n,
		       struct err *e)
{
	json_object *list;

	if (read_array(o, "images", &list, ret_n, e) < 0)
		return -1;
	*ret = arena_array(a, *ret_n, sizeof **ret);
	for (size_t i = 0; i < *ret_n; i++) {
		json_object *image = json_object_array_get_idx(list, i), *target = NULL;

		if (read_text(a, image, "name", &(*ret)[i].name, e) < 0 ||
		    jsonr_object(image, "target", &target, e) < 0 ||
		    oci_descriptor_parse(a, target, &(*ret)[i].target, e) < 0)
			return -1;
	}
	return 0;
}

static int read_pushed(struct arena *a, json_object *o, struct transfer_image *ret, struct err *e)
{
	struct transfer_image *v;
	size_t n;

	if (read_images(a, o, &v, &n, e) < 0)
		return -1;
	if (n != 1)
		return err_set(e, ERR_INVALID_ARGUMENT, "one image is wanted, not %zu", n);
	*ret = v[0];
	return 0;
}

static int read_export(struct arena *a, json_object *o, struct transfer_export *ret, struct err *e)
{
	struct transfer_image *images;

	if (read_images(a, o, &images, &ret->n_images, e) < 0)
		return -1;
	ret->images = images;
	if (jsonr_bool(o, "no_docker_manifest", &ret->no_docker_manifest, e) < 0)
		return -1;
	return jsonr_bool(o, "no_nondistributable", &ret->no_nondistributable, e);
}

static int read_fetch(struct arena *a, json_object *o, struct transfer_fetch *ret, struct err *e)
{
	if (read_list(a, o, "digests", &ret->digests, e) < 0)
		return -1;
	for (const char *const *d = ret->digests; *d; d++)
		if (!digest_is_valid(*d))
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "invalid checksum digest format: \"%s\"", *d);
	return read_text(a, o, "media_type", &ret->media_type, e);
}

static int read_convert(json_object *o, struct transfer_convert *ret, struct err *e)
{
	unsigned kind = INFLATE_PLAIN;

	if (jsonr_bool(o, "recompress", &ret->recompress, e) < 0 ||
	    read_u32(o, "compression", &kind, e) < 0 ||
	    jsonr_bool(o, "to_oci", &ret->to_oci, e) < 0 ||
	    jsonr_bool(o, "to_docker", &ret->to_docker, e) < 0)
		return -1;
	if (kind >= INFLATE_GUESS || (ret->to_oci && ret->to_docker))
		return err_set(e, ERR_INVALID_ARGUMENT, "no such conversion");
	ret->compression = (int)kind;
	return 0;
}

static int read_diff(struct arena *a, json_object *o, struct transfer_diff *ret, struct err *e)
{
	if (read_text(a, o, "media_type", &ret->media_type, e) < 0 ||
	    read_text(a, o, "ref", &ret->ref, e) < 0 ||
	    jsonr_bool(o, "has_epoch", &ret->has_epoch, e) < 0 ||
	    jsonr_i64(o, "epoch", &ret->epoch, e) < 0)
		return -1;
	return wire_read_labels(a, o, "labels", &ret->labels, e);
}

int wire_read_signatures(struct arena *a, json_object *o, const struct sigstore_signature **ret,
			 size_t *ret_n, struct err *e)
{
	json_object *list;

	if (read_array(o, "signatures", &list, ret_n, e) < 0)
		return -1;
	struct sigstore_signature *v = arena_array(a, *ret_n + 1, sizeof *v);

	for (size_t i = 0; i < *ret_n; i++) {
		json_object *s = json_object_array_get_idx(list, i);

		if (read_text(a, s, "payload", &v[i].payload, e) < 0 ||
		    read_text(a, s, "signature", &v[i].base64, e) < 0)
			return -1;
		v[i].n = strlen(v[i].payload);
	}
	*ret = v;
	return 0;
}

static int read_verify(struct arena *a, json_object *o, struct transfer_verify *ret, struct err *e)
{
	if (!json_object_object_get_ex(o, "policy", NULL))
		return 0;
	if (read_text(a, o, "policy", &ret->policy, e) < 0 ||
	    read_text(a, o, "transport", &ret->transport, e) < 0)
		return -1;
	return wire_read_signatures(a, o, &ret->signatures, &ret->n_signatures, e);
}

static bool is_with_registry(enum transfer_kind k)
{
	return k == TRANSFER_PULL || k == TRANSFER_PUSH || k == TRANSFER_FETCH ||
	       k == TRANSFER_PUT || k == TRANSFER_CHECK;
}

int wire_read_job(struct arena *a, json_object *o, struct transfer_job *ret, struct err *e)
{
	const char *kind = "";
	json_object *blob = NULL;
	size_t k = 0;

	*ret = (struct transfer_job){ 0 };
	if (jsonr_string(o, "kind", &kind, e) < 0)
		return -1;
	while (k < ARRAY_LEN(kinds) && strcmp(kinds[k], kind) != 0)
		k++;
	if (k == ARRAY_LEN(kinds))
		return err_set(e, ERR_INVALID_ARGUMENT, "unknown kind of transfer \"%s\"", kind);
	ret->kind = (enum transfer_kind)k;
	if (is_with_registry(ret->kind) && read_pull(a, o, &ret->pull, e) < 0)
		return -1;
	if ((ret->kind == TRANSFER_PUSH || ret->kind == TRANSFER_PUT ||
	     ret->kind == TRANSFER_CONVERT || ret->kind == TRANSFER_INSTALL ||
	     ret->kind == TRANSFER_VERIFY) &&
	    read_pushed(a, o, &ret->image, e) < 0)
		return -1;
	if (read_verify(a, o, &ret->verify, e) < 0)
		return -1;
	if (ret->kind == TRANSFER_FETCH && read_fetch(a, o, &ret->fetch, e) < 0)
		return -1;
	if (ret->kind == TRANSFER_CONVERT && read_convert(o, &ret->convert, e) < 0)
		return -1;
	if (ret->kind == TRANSFER_INSTALL &&
	    (jsonr_bool(o, "libs", &ret->install.libs, e) < 0 ||
	     jsonr_bool(o, "replace", &ret->install.replace, e) < 0))
		return -1;
	if (ret->kind == TRANSFER_IMPORT &&
	    jsonr_bool(o, "compress_blobs", &ret->import.compress, e) < 0)
		return -1;
	if (ret->kind == TRANSFER_EXPORT && read_export(a, o, &ret->export, e) < 0)
		return -1;
	if (ret->kind == TRANSFER_DIFF && read_diff(a, o, &ret->diff, e) < 0)
		return -1;
	if (ret->kind == TRANSFER_APPLY) {
		if (jsonr_object(o, "blob", &blob, e) < 0 ||
		    oci_descriptor_parse(a, blob, &ret->apply.blob, e) < 0)
			return -1;
	}
	if (jsonr_bool(o, "allow_nondistributable", &ret->allow_nondistributable, e) < 0 ||
	    jsonr_bool(o, "all_metadata", &ret->all_metadata, e) < 0 ||
	    jsonr_bool(o, "metadata_only", &ret->metadata_only, e) < 0 ||
	    read_u32(o, "manifest_limit", &ret->manifest_limit, e) < 0)
		return -1;
	return read_platforms(a, o, ret, e) < 0 ? -1 : read_unpacks(a, o, ret, e);
}

void wire_write_result(struct jsonw *w, const struct transfer_result *r)
{
	write_images(w, r->images, r->n_images);
	if (r->root.digest) {
		jsonw_key(w, "root");
		wire_write_descriptor(w, &r->root);
	}
	jsonw_kstring(w, "diff_id", r->diff_id ? r->diff_id : "");
	jsonw_ku64(w, "size", r->size);
}

int wire_read_result(struct arena *a, json_object *o, struct transfer_result *ret, struct err *e)
{
	json_object *root = NULL;

	*ret = (struct transfer_result){ 0 };
	if (jsonr_object(o, "root", &root, e) < 0 ||
	    read_text(a, o, "diff_id", &ret->diff_id, e) < 0 ||
	    jsonr_u64(o, "size", &ret->size, e) < 0 ||
	    read_images(a, o, &ret->images, &ret->n_images, e) < 0)
		return -1;
	return root ? oci_descriptor_parse(a, root, &ret->root, e) : 0;
}

int wire_read_labels(struct arena *a, json_object *o, const char *key, struct labels *ret,
		     struct err *e)
{
	json_object *map = NULL;

	*ret = (struct labels){ 0 };
	if (jsonr_object(o, key, &map, e) < 0)
		return -1;
	if (!map)
		return 0;
	size_t n = (size_t)json_object_object_length(map);

	if (n > LIST_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "field \"%s\" is too long", key);
	ret->v = arena_array(a, n, sizeof *ret->v);
	json_object_object_foreach(map, name, unused)
	{
		const char *v = "";

		(void)unused; /* looked up again, so that its type is checked */
		if (jsonr_string(map, name, &v, e) < 0)
			return -1;
		ret->v[ret->n++] = (struct label){ arena_strdup(a, name), arena_strdup(a, v) };
	}
	return 0;
}
