/* What an image says of itself, where it must not command the daemon. */
#include "engine/engine.h"
#include "engine/restart.h"

#include "base/log.h"
#include "base/str.h"
#include "oci/image.h"
#include "os/fd.h"
#include "store/content.h"
#include "store/image.h"

#include <string.h>

enum { DOCUMENTS_MAX = 64 };

struct look {
	const struct call *call;
	unsigned documents;
	bool has_found;
	struct labels *drop_from; /* NULL: only look */
};

static void drop(struct labels *l, const struct oci_annotation *a)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i].key, a->key) == 0 && strcmp(l->v[i].value, a->value) == 0) {
			l->v[i] = l->v[--l->n];
			return;
		}
}

static int read_document(struct look *l, const struct oci_descriptor *d, char **ret, size_t *ret_n,
			 struct err *e)
{
	AUTO_FD int fd = -1;
	uint64_t size;

	if (++l->documents > DOCUMENTS_MAX)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "image has more than %d documents",
			       DOCUMENTS_MAX);
	if (content_open(l->call->engine->store, l->call->ns, d->digest, &fd, &size, e) < 0)
		return -1;
	if (size > IMAGE_DOC_MAX)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "%s is too large", d->digest);
	*ret = arena_alloc(l->call->arena, (size_t)size + 1);
	ssize_t n = fd_read_all(fd, *ret, (size_t)size);

	if (n < 0)
		return err_sys(e, (int)-n, "read %s", d->digest);
	*ret_n = (size_t)n;
	return 0;
}

static int look_at_config(struct look *l, const struct oci_descriptor *d, struct err *e)
{
	struct image_config config;
	char *bytes;
	size_t n;

	if (!media_is_config(d->media_type))
		return 0;
	if (read_document(l, d, &bytes, &n, e) < 0 ||
	    image_config_parse(l->call->arena, bytes, n, &config, e) < 0)
		return -1;
	for (size_t i = 0; i < config.n_labels; i++) {
		if (!str_starts(config.labels[i].key, "containerd.io/restart."))
			continue;
		l->has_found = true;
		if (l->drop_from)
			drop(l->drop_from, &config.labels[i]);
	}
	return 0;
}

static int look_at(struct look *l, const struct oci_descriptor *d, int depth, struct err *e)
{
	struct image_doc doc;
	char *bytes;
	size_t n;

	if (depth > IMAGE_INDEX_DEPTH)
		return err_set(e, ERR_INVALID_ARGUMENT, "indexes are nested more than %d deep",
			       IMAGE_INDEX_DEPTH);
	if (read_document(l, d, &bytes, &n, e) < 0 ||
	    image_doc_parse(l->call->arena, d->media_type, bytes, n, &doc, e) < 0)
		return -1;
	if (doc.kind == IMAGE_MANIFEST)
		return look_at_config(l, &doc.config, e);
	for (size_t i = 0; i < doc.n_manifests; i++) {
		struct err absent = { 0 }; /* other platforms are seldom here */

		if (look_at(l, &doc.manifests[i], depth + 1, &absent) < 0 &&
		    absent.code != ERR_NOT_FOUND)
			return err_copy(e, &absent);
	}
	return 0;
}

static int look_at_image(struct look *l, const char *image, struct err *e)
{
	const struct call *call = l->call;
	struct image_record r;
	struct err why = { 0 };

	if (!*image)
		return 0;
	if (image_get(call->engine->store, call->ns, call->arena, image, &r, &why) < 0)
		return why.code == ERR_NOT_FOUND ? 0 : err_copy(e, &why); /* removed meanwhile */

	const struct oci_descriptor d = { .media_type = r.target.media_type,
					  .digest = r.target.digest,
					  .size = (uint64_t)r.target.size };

	return look_at(l, &d, 0, e);
}

int restart_image_commands(const struct call *call, const char *image, bool *ret, struct err *e)
{
	struct look l = { .call = call };

	*ret = false;
	if (look_at_image(&l, image, e) < 0)
		return -1;
	*ret = l.has_found;
	return 0;
}

static void drop_all(struct labels *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		if (!str_starts(l->v[i].key, "containerd.io/restart."))
			l->v[n++] = l->v[i];
	l->n = n;
}

void restart_drop_image_labels(const struct call *call, const char *image, struct labels *labels)
{
	struct look l = { .call = call, .drop_from = labels };
	size_t before = labels->n;
	bool has_some = false;
	struct err e = { 0 };

	for (size_t i = 0; i < labels->n; i++)
		has_some |= str_starts(labels->v[i].key, "containerd.io/restart.");
	if (!has_some)
		return; /* nearly always: nothing is read */
	if (look_at_image(&l, image, &e) < 0) { /* who can't be asked may be the one who said it */
		log_warn(LOG({ "image", image }, { "error", e.msg }),
			 "image's labels are not readable");
		drop_all(labels);
	}
	if (labels->n != before)
		log_warn(LOG({ "namespace", call->ns }, { "image", image }),
			 "containerd.io/restart. labels that the image carries are not taken over");
}
