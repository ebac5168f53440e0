/* A registry's objects by their digests alone: size and kind are not known. */
#include "base/ident.h"
#include "base/sha256.h"
#include "image/registry_priv.h"

#include <string.h>

struct checked {
	registry_sink_fn *sink;
	void *arg;
	struct sha256 sum;
};

static int on_bytes(void *arg, const void *bytes, size_t n, struct err *e)
{
	struct checked *c = arg;

	sha256_add(&c->sum, bytes, n);
	return c->sink(c->arg, bytes, n, e);
}

static int get(struct registry *r, const char *kind, const char *digest, const char *accept,
	       struct checked *c, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/%s/%s", r->ref.path, kind, digest);
	struct request q = {
		.method = "GET", .accept = accept, .path = path, .sink = on_bytes, .arg = c
	};
	struct exchange x;

	if (registry_ask_any(r, &q, false, &x, e) < 0)
		return -1;
	exchange_done(&x);
	return 0;
}

int registry_get_object(struct registry *r, const char *digest, const char *accept,
			registry_sink_fn *sink, void *arg, struct err *e)
{
	struct checked c = { .sink = sink, .arg = arg };
	char got[DIGEST_SHA256 + 1];
	struct err why = { 0 };

	if (strncmp(digest, "sha256:", 7) != 0)
		return err_set(e, ERR_UNIMPLEMENTED, "digest %s: only sha256 can be compared",
			       digest);
	sha256_init(&c.sum);
	int rc = get(r, "blobs", digest, *accept ? accept : "*/*", &c, &why);

	if (rc < 0 && why.code == ERR_NOT_FOUND) {
		err_clear(&why);
		rc = get(r, "manifests", digest, *accept ? accept : registry_document_types, &c,
			 &why);
	}
	if (rc < 0) {
		err_copy(e, &why);
		return err_wrap(e, "failed to fetch %s", digest);
	}
	sha256_digest(&c.sum, got);
	if (strcmp(got, digest) != 0)
		return err_set(e, ERR_DATA_LOSS, "asked for %s, the registry sent %s", digest, got);
	return 0;
}
