/* What an image says of itself, where it must not command the daemon. */
#include "engine/engine.h"
#include "engine/restart.h"

#include "base/jsonr.h"
#include "base/log.h"
#include "base/str.h"
#include "oci/image.h"
#include "os/fd.h"
#include "store/content.h"
#include "store/image.h"

#include <ctype.h>
#include <string.h>

enum { DOCUMENTS_MAX = 64, STRING_MAX = 256, FOREIGN = 0x7f };

struct look {
	const struct call *call;
	unsigned documents;
	bool has_found;
	struct labels *drop_from; /* NULL: only look */
};

static void drop(struct labels *l, const char *key)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i].key, key) == 0) {
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

/* --- what clients read in it ---
 *
 * Clients in Go take a field's name in any case and merge fields that come twice, so that they see
 * labels that our own parser has no reason to see.  Here it is enough to know what they might see:
 * the strings of a document are looked at wherever they stand. */

/* Of four digits; the text has been parsed, so that they are digits. */
static unsigned hex_value(const char *p)
{
	unsigned v = 0;

	for (int i = 0; i < 4; i++) {
		unsigned c = (unsigned)tolower((unsigned char)p[i]);

		v = v << 4 | ((c >= 'a' ? c - 'a' + 10 : c - '0') & 15);
	}
	return v;
}

/* The string behind a quotation mark, its escapes resolved as far as ASCII goes; returns what comes
 * after it.  A longer one is cut: no name that matters is as long. */
static const char *read_string(const char *p, const char *end, char *ret, size_t max)
{
	size_t n = 0;

	for (; p < end && *p != '"'; p++) {
		unsigned c = (unsigned char)*p;

		if (c == '\\' && p + 1 < end && *++p == 'u' && end - p > 4) {
			c = hex_value(p + 1);
			p += 4;
		} else if (c == '\\')
			c = (unsigned char)*p;
		if (n + 1 < max)
			ret[n++] = (char)(c && c < 0x80 ? c : FOREIGN);
	}
	ret[n] = 0;
	return p < end ? p + 1 : end;
}

void restart_each_string(const char *p, size_t n, restart_string_fn *fn, void *arg)
{
	const char *end = p + n;
	char s[STRING_MAX];

	while ((p = memchr(p, '"', (size_t)(end - p)))) {
		p = read_string(p + 1, end, s, sizeof s);
		fn(s, arg);
	}
}

static void note_label(const char *s, void *arg)
{
	struct look *l = arg;

	if (!str_starts(s, "containerd.io/restart."))
		return;
	l->has_found = true;
	if (l->drop_from)
		drop(l->drop_from, s);
}

/* A field under another name than its own.  Bytes beyond ASCII may be letters that Go folds. */
static void note_disguise(const char *s, void *arg)
{
	static const char *const names[] = { "config", "manifests", "digest", "mediaType" };
	bool *ret = arg;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *n = names[i], *p = s;

		if (strcmp(s, n) == 0)
			continue;
		while (*n && (tolower((unsigned char)*p) == tolower((unsigned char)*n) ||
			      *p == FOREIGN)) {
			while (*p == FOREIGN && p[1] == FOREIGN) /* one letter is several bytes */
				p++;
			n++;
			p++;
		}
		*ret |= !*n && !*p;
	}
}

bool restart_is_disguised(const char *text, size_t n)
{
	bool ret = false;

	restart_each_string(text, n, note_disguise, &ret);
	return ret;
}

static int look_at_config(struct look *l, const struct oci_descriptor *d, struct err *e)
{
	AUTO_JSON json_object *o = NULL;
	char *bytes;
	size_t n;

	/* whatever type it is said to be; and nothing is looked for in what is no JSON */
	if (read_document(l, d, &bytes, &n, e) < 0 || jsonr_parse(bytes, n, &o, e) < 0)
		return -1;
	restart_each_string(bytes, n, note_label, l);
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
	if (restart_is_disguised(bytes, n))
		return err_set(e, ERR_INVALID_ARGUMENT, "%s has a field in a disguise", d->digest);
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
