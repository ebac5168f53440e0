#include "store/any.h"

#include <string.h>

const char *text_copy(struct arena *a, const char *s)
{
	return s ? arena_strdup(a, s) : "";
}

struct any any_copy(struct arena *a, const struct any *from)
{
	return (struct any){ arena_strdup(a, from->type_url),
			     from->n ? arena_memdup(a, from->value, from->n) : NULL, from->n };
}

struct extensions extensions_copy(struct arena *a, const struct extensions *from)
{
	struct extensions x = { arena_array(a, from->n, sizeof *x.v), from->n };

	for (size_t i = 0; i < from->n; i++)
		x.v[i] = (struct extension){ arena_strdup(a, from->v[i].key),
					     any_copy(a, &from->v[i].any) };
	return x;
}

static void set_one(struct arena *a, struct extensions *x, const char *key,
		    const struct extensions *in)
{
	const struct any *any = NULL;
	size_t n = 0;
	struct extension *v = arena_array(a, x->n + 1, sizeof *v);

	for (size_t i = 0; i < in->n; i++)
		if (strcmp(in->v[i].key, key) == 0)
			any = &in->v[i].any;
	for (size_t i = 0; i < x->n; i++)
		if (strcmp(x->v[i].key, key) != 0)
			v[n++] = x->v[i];
	if (any)
		v[n++] = (struct extension){ arena_strdup(a, key), any_copy(a, any) };
	*x = (struct extensions){ v, n };
}

bool mask_extensions(struct arena *a, const char *path, struct extensions *x,
		     const struct extensions *in)
{
	static const char all[] = "extensions";
	size_t n = sizeof all - 1;

	if (strncmp(path, all, n) != 0 || (path[n] && path[n] != '.'))
		return false;
	if (path[n])
		set_one(a, x, path + n + 1, in);
	else
		*x = extensions_copy(a, in);
	return true;
}
