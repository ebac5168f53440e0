/* The collector's set of marked objects, with the list of those still to be visited. */
#pragma once

#include "base/mem.h"

#include <stdbool.h>

/* An object: kind is "content", "images", "containers" or "snapshots/NAME". */
struct node {
	const char *ns, *kind, *id;
	bool is_visited; /* its references are marked, too (or need not be) */
	struct node *next_to_visit;
};

struct nodeset { /* zero-initialised is empty, but for the arena */
	struct arena *a; /* nodes and texts */
	struct node **v;
	size_t n, cap;
	struct node *to_visit;
};

/* Marks; with refs, the node will come out of nodeset_next(). */
void nodeset_mark(struct nodeset *s, const char *ns, const char *kind, const char *id, bool refs);
struct node *nodeset_next(struct nodeset *s); /* NULL: all visited */
bool nodeset_has(const struct nodeset *s, const char *ns, const char *kind, const char *id);
void nodeset_done(struct nodeset *s); /* the arena is the caller's */
