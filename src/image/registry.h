/* A registry: one repository of it, through the mirrors that certs.d names for its host.
 *
 * Every call blocks; several threads may call at the same time.  Hosts are tried in the order of
 * hosts.toml, the registry's own last; the first answer that is not a failure counts.
 *
 * Credentials go to the registry they are for, and to a token server only over TLS and only where
 * its name belongs to the same domain; a redirect to another host gets none.  Plain HTTP is used
 * where the operator said so, or for names that are literally this machine.
 *
 * Errors: ERR_NOT_FOUND `REF`, ERR_UNAUTHENTICATED, ERR_PERMISSION_DENIED, ERR_UNAVAILABLE (429,
 * 5xx and broken connections, after retries), ERR_DATA_LOSS for wrong digests. */
#pragma once

#include "image/transfer.h"
#include "oci/reference.h"

struct registry;

struct registry_config {
	const char *const *hosts_dirs; /* certs.d folders; NULL-terminated or NULL */
	const char *default_scheme; /* "", "http" or "https" for hosts without a hosts.toml */
	const char *const *headers; /* "Name: value" for every request to the registry, or NULL */
	bool skip_verify; /* these are for the registry itself, beside what a hosts.toml says */
	const char *ca, *cert, *key; /* files; NULL or "": none */
	enum transfer_debug debug;
	unsigned stall_seconds; /* 0: 30 */
	/* Asked once a host when it wants credentials; NULL: there are none. One call at a time. */
	int (*auth)(struct arena *a, const char *host, const char *const *www_authenticate,
		    struct transfer_credentials *ret, void *arg, struct err *e);
	void *arg;
};

/* ref is normalised and has a tag or a digest; it and cfg are copied or outlive the registry. */
int registry_open(const struct reference *ref, const struct registry_config *cfg,
		  struct registry **ret, struct err *e);
void registry_close(struct registry *r); /* NULL is fine */

/* What the reference's tag or digest is: media type, digest, size. */
int registry_resolve(struct registry *r, struct arena *a, struct oci_descriptor *ret,
		     struct err *e);

/* The same of another tag of the repository. */
int registry_resolve_tag(struct registry *r, struct arena *a, const char *tag,
			 struct oci_descriptor *ret, struct err *e);

/* A manifest, index or config: at most IMAGE_DOC_MAX bytes, digest and size compared. */
int registry_get_document(struct registry *r, struct arena *a, const struct oci_descriptor *d,
			  char **ret, size_t *ret_n, struct err *e);

/* A blob from offset on, never past the descriptor's size.  A connection that breaks is taken up
 * where it broke.  The digest is the caller's to compare: it may have the beginning already. */
typedef int registry_sink_fn(void *arg, const void *bytes, size_t n, struct err *e);
int registry_get_blob(struct registry *r, const struct oci_descriptor *d, uint64_t offset,
		      registry_sink_fn *sink, void *arg, struct err *e);

/* The object with that digest, a blob or else a manifest; compared with its digest at the end, so
 * that a failure may come after its bytes. accept: a media type, or "" for any. */
int registry_get_object(struct registry *r, const char *digest, const char *accept,
			registry_sink_fn *sink, void *arg, struct err *e);

/* Whether the registry that takes pushes has a blob or manifest already. */
int registry_has(struct registry *r, const struct oci_descriptor *d, bool is_document, bool *ret,
		 struct err *e);

/* A blob of fd (d->size bytes), in one request.  from: another repository of the same registry that
 * has it, or NULL: then it may be mounted from there and nothing is sent (*ret_mounted). */
int registry_put_blob(struct registry *r, const struct oci_descriptor *d, int fd, const char *from,
		      bool *ret_mounted, struct err *e);

/* A manifest or index, by its digest, or under the reference's own tag. */
int registry_put_document(struct registry *r, const struct oci_descriptor *d, const char *bytes,
			  bool under_tag, struct err *e);

/* Asks each host in its order, and tells of it: its URL and lines "what: value".  repository: to
 * look into, or "".  How many failed. */
typedef void registry_check_fn(const char *url, const char *text, void *arg);
int registry_check(struct registry *r, const char *repository, registry_check_fn *say, void *arg);

/* The domain of the reference, as distribution.source labels want it: without a port. */
const char *registry_source(const struct registry *r);
