/* Images of the store as one tar: an OCI layout that is what `docker load` reads, too.
 *
 * Sources: OCI image spec, image-layout.md; Docker's image spec v1.2 (manifest.json); the
 * annotations are containerd's.  The same images give the same bytes. */
#include "image/closure.h"
#include "image/tar_write.h"
#include "image/wire.h"
#include "image/worker.h"

#include "base/str.h"
#include "oci/reference.h"
#include "os/fd.h"

#include <stdlib.h>
#include <string.h>

enum { COPY = 256 * 1024 };

/* What `docker load` is told: one manifest with all the names it has. */
struct loadable {
	const char *digest; /* of the manifest */
	struct image_doc doc;
	struct strv names;
	struct loadable *next;
};

struct export
{
	struct worker *w;
	struct tar_writer tar;
	int fd;
	struct closure all;
	struct loadable *loadables, **end;
};

static void add_loadable(struct export *x, const struct oci_descriptor *manifest,
			 const struct image_doc *doc, const char *name)
{
	struct loadable *l = x->loadables;

	while (l && strcmp(l->digest, manifest->digest) != 0)
		l = l->next;
	if (!l) {
		l = ARENA_NEW(x->w->arena, struct loadable);
		*l = (struct loadable){ .digest = manifest->digest, .doc = *doc };
		*x->end = l;
		x->end = &l->next;
	}
	if (*name)
		strv_add(&l->names, name);
}

static int collect_all(struct export *x, struct err *e)
{
	const struct transfer_export *job = &x->w->job.export;

	for (size_t i = 0; i < job->n_images; i++) {
		struct closure_image image;

		if (closure_add(&x->all, &job->images[i].target, &image, e) < 0)
			return err_wrap(e, "%s", job->images[i].name);
		if (image.is_found)
			add_loadable(x, &image.manifest, &image.doc, job->images[i].name);
	}
	return 0;
}

/* --- the archive --- */

static int write_out(void *arg, const void *p, size_t n, struct err *e)
{
	struct export *x = arg;
	int r = fd_write_all(x->fd, p, n);

	return r < 0 ? err_sys(e, -r, "write archive") : 0;
}

static int write_folder(struct export *x, const char *name, struct err *e)
{
	const struct tar_entry t = { .type = TAR_DIR, .name = name, .mode = 0755 };

	return tar_write_entry(&x->tar, &t, e);
}

static int write_text(struct export *x, const char *name, const struct str *text, struct err *e)
{
	const struct tar_entry t = {
		.type = TAR_FILE, .name = name, .mode = 0444, .size = text->len
	};

	if (text->over)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "%s is too large", name);
	if (tar_write_entry(&x->tar, &t, e) < 0)
		return -1;
	return text->len ? tar_write_data(&x->tar, text->ptr, text->len, e) : 0;
}

/* "sha256:HEX" as "blobs/sha256/HEX". */
static char *blob_path(struct arena *a, const char *digest)
{
	char *path = arena_printf(a, "blobs/%s", digest);

	path[6 + strcspn(digest, ":")] = '/';
	return path;
}

static int write_blob(struct export *x, const char *digest, char *buf, struct err *e)
{
	struct worker *w = x->w;
	AUTO_FD int fd = -1;
	struct peer_blob blob;

	if (peer_blob_info(&w->peer, w->arena, digest, &blob, e) < 0)
		return -1;
	if (!blob.exists)
		return err_set(e, ERR_NOT_FOUND, "content digest %s", digest);
	if (peer_blob_open(&w->peer, digest, &fd, e) < 0)
		return -1;

	const struct tar_entry t = { .type = TAR_FILE,
				     .name = blob_path(w->arena, digest),
				     .mode = 0444,
				     .size = blob.size };
	if (tar_write_entry(&x->tar, &t, e) < 0)
		return -1;
	for (uint64_t left = blob.size; left;) {
		ssize_t n = fd_read_all(fd, buf, left < COPY ? (size_t)left : COPY);

		if (n <= 0)
			return n < 0 ? err_sys(e, (int)-n, "read %s", digest)
				     : err_set(e, ERR_DATA_LOSS, "%s is shorter than its record",
					       digest);
		if (tar_write_data(&x->tar, buf, (size_t)n, e) < 0)
			return -1;
		left -= (uint64_t)n;
	}
	return 0;
}

static int by_digest(const void *a, const void *b)
{
	return strcmp(((const struct closure_item *)a)->desc.digest,
		      ((const struct closure_item *)b)->desc.digest);
}

static int write_blobs(struct export *x, struct err *e)
{
	AUTO_FREE char *buf = xmalloc(COPY);
	const char *last = "";
	size_t last_n = 0;

	if (x->all.n)
		qsort(x->all.v, x->all.n, sizeof *x->all.v, by_digest);
	if (write_folder(x, "blobs/", e) < 0)
		return -1;
	for (size_t i = 0; i < x->all.n; i++) {
		const char *d = x->all.v[i].desc.digest;
		size_t n = strcspn(d, ":");

		if (n != last_n || strncmp(d, last, n) != 0) {
			last = d;
			last_n = n;
			if (write_folder(x, arena_printf(x->w->arena, "blobs/%.*s/", (int)n, d),
					 e) < 0)
				return -1;
		}
		if (write_blob(x, d, buf, e) < 0)
			return -1;
	}
	return 0;
}

/* What stands behind the name: the tag, or the digest. */
static const char *ref_name(struct arena *a, const char *name)
{
	AUTO_REFERENCE struct reference r = { 0 };
	struct err none = { 0 };

	if (reference_parse(name, &r, &none) < 0)
		return "";
	return arena_strdup(a, r.tag ? r.tag : r.digest ? r.digest : "");
}

/* As docker's users write it. */
static const char *familiar(struct arena *a, const char *name)
{
	static const char *const homes[] = { "docker.io/library/", "docker.io/" };

	for (size_t i = 0; i < ARRAY_LEN(homes); i++)
		if (str_starts(name, homes[i]))
			return arena_strdup(a, name + strlen(homes[i]));
	return name;
}

static int write_index(struct export *x, struct err *e)
{
	const struct transfer_export *job = &x->w->job.export;
	AUTO_STR struct str s = STR_INIT(IMAGE_DOC_MAX);
	struct arena *a = x->w->arena;
	struct jsonw w;

	jsonw_init(&w, &s, 0);
	jsonw_object(&w);
	jsonw_ki64(&w, "schemaVersion", 2);
	jsonw_kstring(&w, "mediaType", MEDIA_OCI_INDEX);
	jsonw_key(&w, "manifests");
	jsonw_array(&w);
	for (size_t i = 0; i < job->n_images; i++) {
		const struct transfer_image *img = &job->images[i];
		struct oci_descriptor d = img->target;
		const char *ref = ref_name(a, img->name);

		d.annotations = arena_array(a, d.n_annotations + 2, sizeof *d.annotations);
		for (size_t k = 0; k < d.n_annotations; k++)
			d.annotations[k] = img->target.annotations[k];
		if (*img->name)
			d.annotations[d.n_annotations++] =
				(struct oci_annotation){ "io.containerd.image.name", img->name };
		if (*ref)
			d.annotations[d.n_annotations++] =
				(struct oci_annotation){ "org.opencontainers.image.ref.name", ref };
		wire_write_descriptor(&w, &d);
	}
	jsonw_end(&w);
	jsonw_end(&w);
	return write_text(x, "index.json", &s, e);
}

static int write_docker_manifest(struct export *x, struct err *e)
{
	AUTO_STR struct str s = STR_INIT(IMAGE_DOC_MAX);
	struct arena *a = x->w->arena;
	struct jsonw w;

	jsonw_init(&w, &s, 0);
	jsonw_array(&w);
	for (const struct loadable *l = x->loadables; l; l = l->next) {
		jsonw_object(&w);
		jsonw_kstring(&w, "Config", blob_path(a, l->doc.config.digest));
		jsonw_key(&w, "RepoTags");
		jsonw_array(&w);
		for (size_t i = 0; i < l->names.n; i++)
			jsonw_string(&w, familiar(a, l->names.v[i]));
		jsonw_end(&w);
		jsonw_key(&w, "Layers");
		jsonw_array(&w);
		for (size_t i = 0; i < l->doc.n_layers; i++)
			jsonw_string(&w, blob_path(a, l->doc.layers[i].digest));
		jsonw_end(&w);
		jsonw_end(&w);
	}
	jsonw_end(&w);
	return write_text(x, "manifest.json", &s, e);
}

static int write_archive(struct export *x, struct err *e)
{
	AUTO_STR struct str layout = STR_INIT(64);

	str_add(&layout, "{\"imageLayoutVersion\":\"1.0.0\"}");
	if (write_blobs(x, e) < 0 || write_index(x, e) < 0)
		return -1;
	if (!x->w->job.export.no_docker_manifest && x->loadables && write_docker_manifest(x, e) < 0)
		return -1;
	if (write_text(x, "oci-layout", &layout, e) < 0)
		return -1;
	return tar_write_end(&x->tar, e);
}

int worker_export(struct worker *w, int fd, struct err *e)
{
	struct export x = { .w = w,
			    .fd = fd,
			    .all = { .w = w,
				     .no_nondistributable = w->job.export.no_nondistributable } };

	x.tar = (struct tar_writer){ .write = write_out, .arg = &x };
	x.end = &x.loadables;
	int r = collect_all(&x, e);
	if (r == 0)
		r = write_archive(&x, e);
	for (struct loadable *l = x.loadables; l; l = l->next)
		strv_done(&l->names);
	closure_done(&x.all);
	return r;
}
