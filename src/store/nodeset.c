#include "store/nodeset.h"

#include <string.h>

static size_t hash_text(size_t h, const char *s)
{
	do
		h = (h ^ (unsigned char)*s) * 0x100000001B3u; /* FNV-1a, the NUL included */
	while (*s++);
	return h;
}

/* Open addressing, at most half full: there is always a free slot. */
static struct node **slot(struct node **v, size_t cap, const char *ns, const char *kind,
			  const char *id)
{
	size_t i = hash_text(hash_text(hash_text(0xCBF29CE484222325u, ns), kind), id) & (cap - 1);

	while (v[i] && (strcmp(v[i]->id, id) != 0 || strcmp(v[i]->kind, kind) != 0 ||
			strcmp(v[i]->ns, ns) != 0))
		i = (i + 1) & (cap - 1);
	return &v[i];
}

static void grow(struct nodeset *s)
{
	size_t cap = s->cap ? s->cap * 2 : 256;
	struct node **v = xcalloc(cap, sizeof *v);

	for (size_t i = 0; i < s->cap; i++)
		if (s->v[i])
			*slot(v, cap, s->v[i]->ns, s->v[i]->kind, s->v[i]->id) = s->v[i];
	free(s->v);
	s->v = v;
	s->cap = cap;
}

void nodeset_mark(struct nodeset *s, const char *ns, const char *kind, const char *id, bool refs)
{
	if (s->n * 2 >= s->cap)
		grow(s);

	struct node **p = slot(s->v, s->cap, ns, kind, id);

	if (!*p) {
		*p = ARENA_NEW(s->a, struct node);
		(*p)->ns = arena_strdup(s->a, ns);
		(*p)->kind = arena_strdup(s->a, kind);
		(*p)->id = arena_strdup(s->a, id);
		s->n++;
	}
	if (refs && !(*p)->is_visited) {
		(*p)->is_visited = true;
		(*p)->next_to_visit = s->to_visit;
		s->to_visit = *p;
	}
}

struct node *nodeset_next(struct nodeset *s)
{
	struct node *n = s->to_visit;

	if (n)
		s->to_visit = n->next_to_visit;
	return n;
}

bool nodeset_has(const struct nodeset *s, const char *ns, const char *kind, const char *id)
{
	return s->cap && *slot(s->v, s->cap, ns, kind, id);
}

void nodeset_done(struct nodeset *s)
{
	free(s->v);
	*s = (struct nodeset){ 0 };
}
