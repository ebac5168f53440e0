#include "cri/image.h"

#include "base/ident.h"
#include "base/str.h"
#include "cri/image_read.h"
#include "oci/reference.h"
#include "store/image.h"

#include <string.h>

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

static struct oci_descriptor target_of(const struct image_record *r)
{
	return (struct oci_descriptor){ .media_type = r->target.media_type,
					.digest = r->target.digest,
					.size = (uint64_t)r->target.size };
}

static int read_facts(const struct call *call, const struct image_record *r,
		      struct image_facts *ret, struct err *e)
{
	AUTO_ARENA struct arena *documents = arena_new();
	const struct oci_descriptor target = target_of(r);
	struct image_doc doc;
	const char *bytes;
	uint64_t size;
	size_t n;

	if (image_read_manifest(call, documents, &target, &doc, &size, e) < 0 ||
	    image_read_blob(call, documents, doc.config.digest, &bytes, &n, e) < 0 ||
	    image_config_parse(call->arena, bytes, n, &ret->config, e) < 0)
		return err_wrap(e, "image \"%s\"", r->name);
	ret->id = arena_strdup(call->arena, doc.config.digest);
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
	const struct oci_descriptor target = target_of(r);
	struct image_brief brief;
	struct by_id *x = arg;
	struct err bad = { 0 };

	if (x->has_found || image_read_brief(x->call, &target, &brief, &bad) < 0 ||
	    strcmp(brief.id, x->id) != 0)
		return 0;
	x->has_found = read_facts(x->call, r, x->ret, &bad) == 0;
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

/* A record may have any target.  One that is named by an id counts only where that is the image's:
 * pods of others ask for it by the same name. */
static int find_recorded(const struct call *call, const struct image_record *r,
			 struct image_facts *ret, struct err *e)
{
	const struct oci_descriptor target = target_of(r);
	struct image_brief brief;
	struct err bad = { 0 };

	if (digest_is_valid(r->name) &&
	    (image_read_brief(call, &target, &brief, &bad) < 0 || strcmp(brief.id, r->name) != 0))
		return find_by_id(call, r->name, ret, e);
	return read_facts(call, r, ret, e);
}

int image_find(const struct call *call, const char *name, struct image_facts *ret, struct err *e)
{
	struct store *s = call->engine->store;
	AUTO_FREE char *whole = NULL;
	struct image_record r;
	struct err none = { 0 };

	*ret = (struct image_facts){ 0 };
	if (image_get(s, call->ns, call->arena, name, &r, &none) == 0)
		return find_recorded(call, &r, ret, e);
	if (none.code != ERR_NOT_FOUND)
		return err_copy(e, &none);
	if (digest_is_valid(name))
		return find_by_id(call, name, ret, e);
	if (reference_normalize(name, &whole, e) < 0 ||
	    image_get(s, call->ns, call->arena, whole, &r, e) < 0)
		return -1;
	return read_facts(call, &r, ret, e);
}
