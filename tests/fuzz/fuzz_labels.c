/* Labels and the field masks that change them: texts ended by NUL.  Pairs of key and value up to an
 * empty key are what is there, pairs up to the next one what a client sends, the rest are a mask's
 * paths. */
#include "base/ident.h"
#include "store/label.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { MAX = 64 };

static const char *next_text(struct arena *a, const uint8_t **data, size_t *left)
{
	size_t n = strnlen((const char *)*data, *left);
	const char *text = arena_strndup(a, (const char *)*data, n);

	n = n < *left ? n + 1 : n;
	*data += n;
	*left -= n;
	return text;
}

static struct labels next_labels(struct arena *a, const uint8_t **data, size_t *left)
{
	struct labels l = { 0 };

	for (int i = 0; i < MAX && *left; i++) {
		const char *key = next_text(a, data, left);

		if (!*key)
			break;
		labels_set(a, &l, key, next_text(a, data, left));
	}
	return l;
}

static void require_valid(const struct labels *l)
{
	for (size_t i = 0; i < l->n; i++) {
		if (!label_is_valid(l->v[i].key, l->v[i].value))
			__builtin_trap(); /* and was accepted */
		for (size_t k = 0; k < i; k++)
			if (!strcmp(l->v[i].key, l->v[k].key))
				__builtin_trap(); /* twice the same key */
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct labels have = next_labels(a, &data, &n), in = next_labels(a, &data, &n);
	const char *paths[MAX];
	struct mask mask = { paths, 0 };
	struct err e = { 0 };

	while (n && mask.n < MAX)
		paths[mask.n++] = next_text(a, &data, &n);
	if (labels_check(&have, &e) < 0)
		return 0;
	require_valid(&have);
	if (labels_update(a, &have, &in, &mask, "namespace", "id", &e) < 0)
		return 0;
	require_valid(&have);
	for (size_t i = 0; i < have.n; i++)
		if (labels_get(&have, have.v[i].key) != have.v[i].value)
			__builtin_trap();
	return 0;
}
