/* Leases: names that hold objects against the collector, for as long as they live.
 * Labels: containerd.io/gc.expire (RFC 3339, removed after it), containerd.io/gc.flat (hold the
 * listed objects only, not what they refer to). */
#pragma once

#include "store/label.h"
#include "store/store.h"

#include <time.h>

struct lease_record {
	const char *id;
	struct labels labels;
	struct timespec created;
};

/* type: content, ingests, images, mounts or snapshots/NAME. */
struct lease_resource {
	const char *id, *type;
};

/* in->id must not be empty (the caller makes a random one).  ERR_ALREADY_EXISTS `lease "x"`. */
int lease_create(struct store *s, const char *ns, struct arena *a, const struct lease_record *in,
		 struct lease_record *ret, struct err *e);
int lease_get(struct store *s, const char *ns, struct arena *a, const char *id,
	      struct lease_record *ret, struct err *e);
int lease_delete(struct store *s, const char *ns, const char *id, struct err *e);
typedef int lease_visit(const struct lease_record *r, void *arg, struct err *e);
int lease_list(struct store *s, const char *ns, struct arena *a, lease_visit *visit, void *arg,
	       struct err *e);

/* ERR_NOT_FOUND `lease "x"`; ERR_INVALID_ARGUMENT / ERR_UNIMPLEMENTED for a type we do not have. */
int lease_add(struct store *s, const char *ns, const char *lease, const struct lease_resource *r,
	      struct err *e);
int lease_remove(struct store *s, const char *ns, const char *lease, const struct lease_resource *r,
		 struct err *e);
int lease_resources(struct store *s, const char *ns, struct arena *a, const char *lease,
		    struct lease_resource **ret, size_t *ret_n, struct err *e);
