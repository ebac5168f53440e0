#include "store/label.h"

#include "base/ident.h"

#include <string.h>

enum { LABEL_MAX = 4096, SHOWN_KEY = 64 };

const char *labels_get(const struct labels *l, const char *key)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i].key, key) == 0)
			return l->v[i].value;
	return NULL;
}

static void labels_del(struct labels *l, size_t i)
{
	memmove(&l->v[i], &l->v[i + 1], (l->n - i - 1) * sizeof *l->v);
	l->n--;
}

void labels_set(struct arena *a, struct labels *l, const char *key, const char *value)
{
	bool keep = value && *value;

	for (size_t i = 0; i < l->n; i++) {
		if (strcmp(l->v[i].key, key) != 0)
			continue;
		if (keep)
			l->v[i].value = arena_strdup(a, value);
		else
			labels_del(l, i);
		return;
	}
	if (!keep)
		return;

	/* An arena can't grow an array in place. */
	struct label *v = arena_array(a, l->n + 1, sizeof *v);

	if (l->n)
		memcpy(v, l->v, l->n * sizeof *v);
	v[l->n] = (struct label){ arena_strdup(a, key), arena_strdup(a, value) };
	l->v = v;
	l->n++;
}

struct labels labels_copy(struct arena *a, const struct labels *from)
{
	struct labels l = { arena_array(a, from->n, sizeof *l.v), 0 };

	for (size_t i = 0; i < from->n; i++)
		if (from->v[i].value && *from->v[i].value)
			l.v[l.n++] = (struct label){ arena_strdup(a, from->v[i].key),
						     arena_strdup(a, from->v[i].value) };
	return l;
}

int labels_check(const struct labels *l, struct err *e)
{
	for (size_t i = 0; i < l->n; i++) {
		const char *value = l->v[i].value ?: "";

		if (strlen(l->v[i].key) + strlen(value) > LABEL_MAX)
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "label key and value length (%zu bytes) > maximum size "
				       "(%d bytes), key: %.*s",
				       strlen(l->v[i].key) + strlen(value), LABEL_MAX, SHOWN_KEY,
				       l->v[i].key);
	}
	return 0;
}

bool mask_labels(struct arena *a, const char *path, const char *field, struct labels *l,
		 const struct labels *in)
{
	size_t n = strlen(field);

	if (strncmp(path, field, n) != 0)
		return false;
	if (path[n] == 0) {
		*l = labels_copy(a, in);
		return true;
	}
	if (path[n] != '.')
		return false;
	labels_set(a, l, path + n + 1, labels_get(in, path + n + 1));
	return true;
}

int labels_update(struct arena *a, struct labels *l, const struct labels *in,
		  const struct mask *mask, const char *what, const char *id, struct err *e)
{
	for (size_t i = 0; mask && i < mask->n; i++)
		if (!mask_labels(a, mask->paths[i], "labels", l, in))
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "cannot update \"%s\" field on %s \"%s\"", mask->paths[i],
				       what, id);
	if (!mask || mask->n == 0)
		*l = labels_copy(a, in);
	return labels_check(l, e);
}
