/* The mark half of a collection; for gc.c. */
#pragma once

#include "store/db.h"
#include "store/nodeset.h"

/* Something the sweep shall remove, whatever is marked: expired leases and images. */
struct gc_expired {
	const char *ns, *kind, *id;
	struct gc_expired *next;
};

/* Fills marked (and *ret_expired, in its arena) from all roots. */
int gc_mark(struct txn *t, struct nodeset *marked, struct gc_expired **ret_expired, struct err *e);
