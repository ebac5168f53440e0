#include "cri/image.h"

#include "base/ident.h"
#include "base/str.h"
#include "oci/reference.h"
#include "os/fd.h"
#include "store/content.h"
#include "store/image.h"

#include <string.h>

static int read_document(const struct call *call, const char *digest, const char **ret,
			 size_t *ret_n, struct err *e)
{
	AUTO_FD int fd = -1;
	uint64_t size;
	char *buf;

	if (content_open(call->engine->store, call->ns, digest, &fd, &size, e) < 0)
		return -1;
	if (size > IMAGE_DOC_MAX)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "%s is too large", digest);
	buf = arena_alloc(call->arena, (size_t)size + 1);
	ssize_t n = fd_read_all(fd, buf, (size_t)size);

	if (n < 0)
		return err_sys(e, (int)-n, "read %s", digest);
	*ret = buf;
	*ret_n = (size_t)n;
	return 0;
}

/* The first one for this machine; an entry without a platform may be for it. */
static const struct oci_descriptor *pick(const struct image_doc *doc)
{
	const struct platform host = platform_host();

	for (size_t i = 0; i < doc->n_manifests; i++) {
		const struct oci_descriptor *d = &doc->manifests[i];

		if (!d->has_platform || platform_matches(&host, &d->platform))
			return d;
	}
	return NULL;
}

static int find_manifest(const struct call *call, const char *digest, const char *media_type,
			 struct image_doc *ret, struct err *e)
{
	for (int depth = 0; depth < IMAGE_INDEX_DEPTH; depth++) {
		const struct oci_descriptor *next;
		const char *bytes;
		size_t n;

		if (read_document(call, digest, &bytes, &n, e) < 0 ||
		    image_doc_parse(call->arena, media_type, bytes, n, ret, e) < 0)
			return -1;
		if (ret->kind == IMAGE_MANIFEST)
			return 0;
		next = pick(ret);
		if (!next)
			return err_set(e, ERR_NOT_FOUND, "no manifest of %s is for this machine",
				       digest);
		digest = next->digest;
		media_type = next->media_type;
	}
	return err_set(e, ERR_INVALID_ARGUMENT, "%s: an index in too many others", digest);
}

struct sibling {
	const struct call *call;
	const char *digest, *found;
};

static int visit_sibling(const struct image_record *r, void *arg, UNUSED struct err *e)
{
	struct sibling *x = arg;

	if (!x->found && strchr(r->name, '@') && !strcmp(r->target.digest, x->digest))
		x->found = arena_strdup(x->call->arena, r->name);
	return 0;
}

/* Of an image that was named by its id: what else it is called. */
static const char *reference_of_id(const struct call *call, const struct image_record *r,
				   const char *id)
{
	struct sibling x = { call, r->target.digest, NULL };
	struct err none = { 0 };

	(void)image_list(call->engine->store, call->ns, call->arena, visit_sibling, &x,
			 &none); /* the id says it, too */
	return x.found ?: id;
}

static const char *reference_of(const struct call *call, const struct image_record *r,
				const char *id)
{
	if (digest_is_valid(r->name))
		return reference_of_id(call, r, id);

	struct reference ref = { 0 };
	struct err bad = { 0 };
	const char *text = id;

	if (reference_parse(r->name, &ref, &bad) == 0)
		text = arena_printf(call->arena, "%s/%s@%s", ref.domain, ref.path,
				    r->target.digest);
	reference_done(&ref);
	return text;
}

static int read_facts(const struct call *call, const struct image_record *r,
		      struct image_facts *ret, struct err *e)
{
	struct image_doc doc;
	const char *bytes;
	size_t n;

	if (find_manifest(call, r->target.digest, r->target.media_type, &doc, e) < 0 ||
	    read_document(call, doc.config.digest, &bytes, &n, e) < 0 ||
	    image_config_parse(call->arena, bytes, n, &ret->config, e) < 0)
		return err_wrap(e, "image \"%s\"", r->name);
	ret->id = doc.config.digest;
	ret->name = r->name;
	ret->ref = reference_of(call, r, ret->id);
	ret->chain = ret->config.n_diff_ids
			     ? image_chain_ids(call->arena, ret->config.diff_ids,
					       ret->config.n_diff_ids)[ret->config.n_diff_ids - 1]
			     : "";
	return 0;
}

/* --- by id --- */

struct by_id {
	const struct call *call;
	const char *id;
	struct image_facts *ret;
	bool has_found;
};

static int visit(const struct image_record *r, void *arg, UNUSED struct err *e)
{
	struct by_id *x = arg;
	struct image_facts facts;
	struct err bad = { 0 };

	if (!x->has_found && read_facts(x->call, r, &facts, &bad) == 0 &&
	    !strcmp(facts.id, x->id)) {
		*x->ret = facts;
		x->has_found = true;
	}
	return 0;
}

/* A record of the id is made by PullImage; what came another way has none. */
static int find_by_id(const struct call *call, const char *id, struct image_facts *ret,
		      struct err *e)
{
	struct by_id x = { call, id, ret, false };

	if (image_list(call->engine->store, call->ns, call->arena, visit, &x, e) < 0)
		return -1;
	return x.has_found ? 0 : err_set(e, ERR_NOT_FOUND, "image \"%s\"", id);
}

int image_find(const struct call *call, const char *name, struct image_facts *ret, struct err *e)
{
	struct store *s = call->engine->store;
	AUTO_FREE char *whole = NULL;
	struct image_record r;
	struct err none = { 0 };

	*ret = (struct image_facts){ 0 };
	if (image_get(s, call->ns, call->arena, name, &r, &none) == 0)
		return read_facts(call, &r, ret, e);
	if (none.code != ERR_NOT_FOUND)
		return err_copy(e, &none);
	if (digest_is_valid(name))
		return find_by_id(call, name, ret, e);
	if (reference_normalize(name, &whole, e) < 0 ||
	    image_get(s, call->ns, call->arena, whole, &r, e) < 0)
		return -1;
	return read_facts(call, &r, ret, e);
}
