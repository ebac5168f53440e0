#include "api/containerd/listing.h"

enum { CHUNK = 100 };

void listing_done(struct listing *l)
{
	filter_free(l->filters);
	free(l->v);
}

int listing_filter(struct listing *l, const char *const *filters, size_t n, struct err *e)
{
	return filter_compile(filters, n, &l->filters, e);
}

bool listing_matches(const struct listing *l, const void *record)
{
	return filter_match(l->filters, l->field, record);
}

void listing_add(struct listing *l, void *msg)
{
	GROW(l->v, l->n, l->cap);
	l->v[l->n++] = msg;
}

void **listing_take(struct listing *l, size_t *ret_n)
{
	*ret_n = l->n;
	return arena_memdup(l->arena, l->v, l->n * sizeof *l->v);
}

int listing_send(const struct listing *l, struct rpc_call *c, listing_send_fn *send, struct err *e)
{
	for (size_t i = 0; i < l->n; i += CHUNK)
		if (send(c, l->v + i, l->n - i < CHUNK ? l->n - i : CHUNK, e) < 0)
			return -1;
	return 0;
}

const char *listing_label(const struct labels *l, const char *const *path, size_t n)
{
	for (size_t i = 0; i < l->n; i++)
		if (filter_path_is(path, n, l->v[i].key))
			return l->v[i].value;
	return NULL;
}
