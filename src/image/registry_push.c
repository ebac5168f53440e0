/* A registry, written to (OCI distribution spec 1.1, "Pushing"). */
#include "image/registry.h"

#include "image/registry_priv.h"

#include <string.h>

enum { UPLOADS = 3 }; /* a broken one begins anew: its session may be gone */

/* The one that takes pushes: the first of hosts.toml, as with the original. */
static int target(struct registry *r, struct endpoint **ret, struct err *e)
{
	for (size_t i = 0; i < r->n_endpoints; i++)
		if (r->endpoints[i].cfg->can_push) {
			*ret = &r->endpoints[i];
			return 0;
		}
	return err_set(e, ERR_NOT_FOUND, "no push hosts");
}

int registry_has(struct registry *r, const struct oci_descriptor *d, bool is_document, bool *ret,
		 struct err *e)
{
	AUTO_FREE char *path =
		xasprintf("%s/%s/%s", r->ref.path, is_document ? "manifests" : "blobs", d->digest);
	struct request q = { .method = "HEAD",
			     .accept = is_document ? d->media_type : NULL,
			     .path = path };
	struct err why = { 0 };
	struct endpoint *ep;
	struct exchange x;
	bool final;

	*ret = false;
	if (target(r, &ep, e) < 0)
		return -1;
	if (registry_ask(r, ep, &q, &x, &final, &why) < 0)
		return why.code == ERR_NOT_FOUND ? 0 : err_copy(e, &why);
	exchange_done(&x);
	*ret = true;
	return 0;
}

/* *ret_url: where to send the bytes; NULL: it was mounted. */
static int begin_upload(struct registry *r, struct endpoint *ep, const char *digest,
			const char *from, char **ret_url, struct err *e)
{
	AUTO_FREE char *path =
		from ? xasprintf("%s/blobs/uploads/?mount=%s&from=%s", r->ref.path, digest, from)
		     : xasprintf("%s/blobs/uploads/", r->ref.path);
	struct request q = { .method = "POST", .path = path };
	AUTO_FREE char *base = registry_url(r, ep, &q);
	struct exchange x;
	bool final;
	int rc = 0;

	*ret_url = NULL;
	if (registry_ask(r, ep, &q, &x, &final, e) < 0)
		return -1;
	if (x.status != 201) { /* 202: an upload was opened */
		*ret_url = x.location ? registry_absolute(base, x.location) : NULL;
		if (!*ret_url)
			rc = err_set(e, ERR_UNAVAILABLE,
				     "%s opened an upload and did not say where", ep->cfg->host);
		else if (strcmp(ep->scheme, "https") == 0 && strncmp(*ret_url, "https://", 8) != 0)
			rc = err_set(e, ERR_PERMISSION_DENIED,
				     "%s wants the upload in clear text: refused", ep->cfg->host);
	}
	exchange_done(&x);
	return rc;
}

static int ask_only(struct registry *r, struct endpoint *ep, const struct request *q, struct err *e)
{
	struct request own = *q;
	struct exchange x;
	bool final;

	if (registry_ask(r, ep, &own, &x, &final, e) < 0)
		return -1;
	exchange_done(&x);
	return 0;
}

int registry_put_blob(struct registry *r, const struct oci_descriptor *d, int fd, const char *from,
		      bool *ret_mounted, struct err *e)
{
	const struct upload body = { .fd = fd,
				     .size = d->size,
				     .type = "application/octet-stream" };
	struct endpoint *ep;
	struct err why = { 0 };

	if (target(r, &ep, e) < 0)
		return -1;
	for (int try = 0; try < UPLOADS; try++) {
		AUTO_FREE char *url = NULL, *whole = NULL;

		err_clear(&why);
		if (begin_upload(r, ep, d->digest, from, &url, e) < 0)
			return err_wrap(e, "failed to push %s", d->digest);
		*ret_mounted = !url;
		if (!url)
			return 0;
		whole = xasprintf("%s%cdigest=%s", url, strchr(url, '?') ? '&' : '?', d->digest);
		const struct request q = { .method = "PUT", .url = whole, .upload = &body };

		if (ask_only(r, ep, &q, &why) == 0)
			return 0;
		if (why.code != ERR_NOT_FOUND && why.code != ERR_UNAVAILABLE)
			break;
	}
	err_copy(e, &why);
	return err_wrap(e, "failed to push %s", d->digest);
}

int registry_put_document(struct registry *r, const struct oci_descriptor *d, const char *bytes,
			  bool under_tag, struct err *e)
{
	const struct upload body = {
		.fd = -1, .bytes = bytes, .size = d->size, .type = d->media_type
	};
	const char *name = under_tag && r->ref.tag ? r->ref.tag : d->digest;
	AUTO_FREE char *path = xasprintf("%s/manifests/%s", r->ref.path, name);
	const struct request q = { .method = "PUT", .path = path, .upload = &body };
	struct endpoint *ep;

	if (target(r, &ep, e) < 0)
		return -1;
	return ask_only(r, ep, &q, e) < 0 ? err_wrap(e, "failed to push %s", d->digest) : 0;
}
