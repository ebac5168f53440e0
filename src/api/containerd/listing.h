/* What a List method answers: of all records, those that match the request's filters, as messages.
 *
 *	AUTO_LISTING struct listing l = { .arena = c->arena, .field = field };
 *
 *	if (listing_filter(&l, CONV_FILTERS(q), e) < 0 || image_list(…, add_listed, &l, e) < 0)
 *		return -1;
 *	a->images = (image **)listing_take(&l, &a->n_images);
 *
 * with an add_listed() that calls listing_matches() and listing_add().  Collected first and sent
 * after the walk: a slow client holds no snapshot of the database. */
#pragma once

#include "base/filter.h"
#include "store/label.h"
#include "wire/rpc.h"

struct listing {
	struct arena *arena; /* the call's: messages live there */
	filter_get_fn *field; /* how filters look at a record */
	struct filter_set *filters; /* NULL: everything matches */
	void **v; /* messages */
	size_t n, cap;
};

void listing_done(struct listing *l);
#define AUTO_LISTING CLEANUP(listing_done)

int listing_filter(struct listing *l, const char *const *filters, size_t n, struct err *e);
bool listing_matches(const struct listing *l, const void *record);
void listing_add(struct listing *l, void *msg);

/* The messages as a repeated field, in the arena. */
void **listing_take(struct listing *l, size_t *ret_n);

/* For streams: all of them, a hundred a message, by a function that sends n in one. */
typedef int listing_send_fn(struct rpc_call *c, void **v, size_t n, struct err *e);
int listing_send(const struct listing *l, struct rpc_call *c, listing_send_fn *send, struct err *e);

/* Of a filter's path what stands behind "labels": the label of that name, or NULL. */
const char *listing_label(const struct labels *l, const char *const *path, size_t n);
