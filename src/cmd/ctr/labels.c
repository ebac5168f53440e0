/* Labels between the command line, messages and tables. */
#include "cmd/ctr/ctr.h"

void labels_add(struct arena *a, struct labels *l, const char *key, const char *value)
{
	const char **keys, **values;

	for (size_t i = 0; i < l->n; i++)
		if (!strcmp(l->keys[i], key)) {
			l->values[i] = arena_strdup(a, value);
			return;
		}
	keys = arena_array(a, l->n + 1, sizeof *keys);
	values = arena_array(a, l->n + 1, sizeof *values);
	for (size_t i = 0; i < l->n; i++) {
		keys[i] = l->keys[i];
		values[i] = l->values[i];
	}
	keys[l->n] = arena_strdup(a, key);
	values[l->n] = arena_strdup(a, value);
	l->keys = keys;
	l->values = values;
	l->n++;
}

void labels_parse(struct arena *a, const char *const *words, size_t n, struct labels *ret)
{
	for (size_t i = 0; i < n; i++) {
		size_t k = strcspn(words[i], "=");

		labels_add(a, ret, arena_strndup(a, words[i], k),
			   words[i][k] ? words[i] + k + 1 : "true");
	}
}

struct entry **labels_to_pb(struct arena *a, const struct labels *l,
			    const ProtobufCMessageDescriptor *entry_type)
{
	struct entry **v = arena_array(a, l->n + 1, sizeof *v);

	for (size_t i = 0; i < l->n; i++) {
		v[i] = arena_alloc(a, entry_type->sizeof_message);
		protobuf_c_message_init(entry_type, v[i]);
		v[i]->key = PB(l->keys[i]);
		v[i]->value = PB(l->values[i]);
	}
	return v;
}

static int by_key(const void *a, const void *b)
{
	const struct entry *const *x = a, *const *y = b;

	return strcmp((*x)->key, (*y)->key);
}

void labels_from_pb(struct arena *a, void *map, size_t n, struct labels *ret)
{
	struct entry **v = n ? arena_memdup(a, map, n * sizeof *v) : NULL;

	*ret = (struct labels){ arena_array(a, n + 1, sizeof *ret->keys),
				arena_array(a, n + 1, sizeof *ret->values), n };
	if (n)
		qsort(v, n, sizeof *v, by_key);
	for (size_t i = 0; i < n; i++) {
		ret->keys[i] = v[i]->key;
		ret->values[i] = v[i]->value;
	}
}

const char *labels_get(const struct labels *l, const char *key)
{
	for (size_t i = 0; i < l->n; i++)
		if (!strcmp(l->keys[i], key))
			return l->values[i];
	return NULL;
}

const char *labels_text(struct arena *a, const struct labels *l)
{
	struct str s AUTO_STR = STR_INIT(1 << 20);

	for (size_t i = 0; i < l->n; i++)
		str_addf(&s, "%s%s=%s", i ? "," : "", l->keys[i], l->values[i]);
	return arena_strdup(a, str_c(&s));
}

char **labels_mask(struct arena *a, const struct labels *l)
{
	char **v = arena_array(a, l->n + 1, sizeof *v);

	for (size_t i = 0; i < l->n; i++)
		v[i] = arena_printf(a, "labels.%s", l->keys[i]);
	return v;
}
