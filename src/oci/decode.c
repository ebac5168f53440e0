#include "oci/decode.h"

#include "base/str.h"
#include "oci/spec.h"

#include <stdarg.h>

enum { PATH_TEXT_MAX = 512 };

static void add_steps(struct str *s, const struct decode_step *at)
{
	if (!at)
		return;
	add_steps(s, at->up);
	if (!at->name)
		str_addf(s, "[%zu]", at->index);
	else
		str_addf(s, "%s%s", s->len ? "." : "", at->name);
}

const char *decode_path(struct decoder *d, const char *name)
{
	AUTO_STR struct str s = STR_INIT(PATH_TEXT_MAX);

	add_steps(&s, d->at);
	if (name)
		str_addf(&s, "%s%s", s.len ? "." : "", name);
	return arena_strdup(d->arena, s.len ? str_c(&s) : "the document");
}

int decode_fail(struct decoder *d, const char *name, const char *fmt, ...)
{
	va_list ap;
	char text[256];

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return err_set(d->e, ERR_INVALID_ARGUMENT, "%s %s", decode_path(d, name), text);
}

bool decode_has_nul(const char *text, size_t n)
{
	bool escaped = false;

	for (size_t i = 0; i < n; i++) {
		if (!escaped) {
			escaped = text[i] == '\\';
			continue;
		}
		escaped = false;
		if (n - i >= 5 && memcmp(text + i, "u0000", 5) == 0)
			return true;
	}
	return false;
}

static const char *type_text(json_object *o)
{
	static const char *const names[] = {
		[json_type_null] = "null",
		[json_type_boolean] = "a boolean",
		[json_type_double] = "a number with a fraction",
		[json_type_int] = "an integer",
		[json_type_object] = "an object",
		[json_type_array] = "an array",
		[json_type_string] = "a string",
	};
	return names[json_object_get_type(o)];
}

static int wrong_type(struct decoder *d, json_object *o, const char *want)
{
	return decode_fail(d, NULL, "is %s, must be %s", type_text(o), want);
}

static int get_string(struct decoder *d, json_object *o, const char **ret)
{
	if (!json_object_is_type(o, json_type_string))
		return wrong_type(d, o, "a string");

	size_t n = (size_t)json_object_get_string_len(o);
	const char *s = json_object_get_string(o);

	if (strlen(s) != n)
		return decode_fail(d, NULL, "holds a NUL byte");
	*ret = arena_memdup(d->arena, s, n + 1);
	return 0;
}

static int get_i64(struct decoder *d, json_object *o, int64_t *ret)
{
	if (!json_object_is_type(o, json_type_int))
		return wrong_type(d, o, "an integer");
	if (json_object_get_int64(o) == INT64_MAX && json_object_get_uint64(o) > INT64_MAX)
		return decode_fail(d, NULL, "is too large");
	*ret = json_object_get_int64(o);
	return 0;
}

static int get_u64(struct decoder *d, json_object *o, uint64_t max, uint64_t *ret)
{
	if (!json_object_is_type(o, json_type_int))
		return wrong_type(d, o, "an integer");
	if (json_object_get_int64(o) < 0)
		return decode_fail(d, NULL, "is negative");
	*ret = json_object_get_uint64(o);
	if (*ret > max)
		return decode_fail(d, NULL, "is %llu, must be at most %llu",
				   (unsigned long long)*ret, (unsigned long long)max);
	return 0;
}

static int get_u32(struct decoder *d, json_object *o, uint32_t max, uint32_t *ret)
{
	uint64_t v;

	if (get_u64(d, o, max, &v) < 0)
		return -1;
	*ret = (uint32_t)v;
	return 0;
}

static int get_char(struct decoder *d, json_object *o, char *ret)
{
	const char *s;

	if (get_string(d, o, &s) < 0)
		return -1;
	if (strlen(s) > 1)
		return decode_fail(d, NULL, "is \"%s\", must be one letter", s);
	*ret = *s;
	return 0;
}

static int array_length(struct decoder *d, json_object *o, size_t *ret)
{
	if (!json_object_is_type(o, json_type_array))
		return wrong_type(d, o, "an array");
	*ret = json_object_array_length(o);
	return 0;
}

static int get_strings(struct decoder *d, json_object *o, struct oci_strings *ret)
{
	struct decode_step step = { .up = d->at };
	size_t n = 0;

	if (array_length(d, o, &n) < 0)
		return -1;
	ret->v = arena_array(d->arena, n + 1, sizeof *ret->v);
	ret->n = n;
	d->at = &step;
	for (step.index = 0; step.index < n; step.index++)
		if (get_string(d, json_object_array_get_idx(o, step.index), &ret->v[step.index]) <
		    0)
			return -1;
	d->at = step.up;
	return 0;
}

static int get_ids(struct decoder *d, json_object *o, uint32_t **ret, size_t *ret_n)
{
	struct decode_step step = { .up = d->at };
	size_t n = 0;

	if (array_length(d, o, &n) < 0)
		return -1;
	*ret = arena_array(d->arena, n, sizeof **ret);
	*ret_n = n;
	d->at = &step;
	for (step.index = 0; step.index < n; step.index++)
		if (get_u32(d, json_object_array_get_idx(o, step.index), UINT32_MAX - 1,
			    *ret + step.index) < 0)
			return -1;
	d->at = step.up;
	return 0;
}

static int get_pairs(struct decoder *d, json_object *o, struct oci_pairs *ret)
{
	struct decode_step step = { .up = d->at };

	if (!json_object_is_type(o, json_type_object))
		return wrong_type(d, o, "an object");
	ret->v = arena_array(d->arena, (size_t)json_object_object_length(o), sizeof *ret->v);
	ret->n = 0;
	d->at = &step;
	json_object_object_foreach(o, key, value)
	{
		struct oci_pair *p = &ret->v[ret->n++];

		step.name = key;
		p->key = arena_strdup(d->arena, key);
		if (get_string(d, value, &p->value) < 0)
			return -1;
	}
	d->at = step.up;
	return 0;
}

static int get_list(struct decoder *d, json_object *o, const struct decode_table *t, void **ret,
		    size_t *ret_n)
{
	struct decode_step step = { .up = d->at };
	size_t n = 0;

	if (array_length(d, o, &n) < 0)
		return -1;
	*ret = arena_array(d->arena, n, t->size);
	*ret_n = n;
	d->at = &step;
	for (step.index = 0; step.index < n; step.index++)
		if (decode_struct(d, json_object_array_get_idx(o, step.index), t,
				  (char *)*ret + step.index * t->size) < 0)
			return -1;
	d->at = step.up;
	return 0;
}

static int get_map(struct decoder *d, json_object *o, const struct decode_table *t, void **ret,
		   size_t *ret_n)
{
	struct decode_step step = { .up = d->at };
	char *out;

	if (!json_object_is_type(o, json_type_object))
		return wrong_type(d, o, "an object");
	out = arena_array(d->arena, (size_t)json_object_object_length(o), t->size);
	*ret = out;
	*ret_n = 0;
	d->at = &step;
	json_object_object_foreach(o, key, value)
	{
		step.name = key;
		*(const char **)(void *)out = arena_strdup(d->arena, key);
		if (decode_struct(d, value, t, out) < 0)
			return -1;
		out += t->size;
		++*ret_n;
	}
	d->at = step.up;
	return 0;
}

/* Empty objects and lists ask for nothing, and neither do objects of such. */
static bool asks_nothing(json_object *o)
{
	switch (json_object_get_type(o)) {
	case json_type_null:
		return true;
	case json_type_string:
		return json_object_get_string_len(o) == 0;
	case json_type_array:
		return json_object_array_length(o) == 0;
	case json_type_object:
		break;
	default:
		return false;
	}
	json_object_object_foreach(o, key, value)
	{
		(void)key; /* the macro makes it */
		if (!asks_nothing(value))
			return false;
	}
	return true;
}

static int get_has_i64(struct decoder *d, json_object *o, struct oci_i64 *ret)
{
	ret->has = true;
	return get_i64(d, o, &ret->v);
}

static int get_has_u64(struct decoder *d, json_object *o, struct oci_u64 *ret)
{
	ret->has = true;
	return get_u64(d, o, UINT64_MAX, &ret->v);
}

static int get_value(struct decoder *d, json_object *o, const struct decode_field *f, char *out)
{
	void *at = out + f->at;
	size_t *at_n = (void *)(out + f->at_n);

	switch (f->kind) {
	case DECODE_STRING:
		return get_string(d, o, at);
	case DECODE_BOOL:
		if (!json_object_is_type(o, json_type_boolean))
			return wrong_type(d, o, "a boolean");
		*(bool *)at = json_object_get_boolean(o);
		return 0;
	case DECODE_CHAR:
		return get_char(d, o, at);
	case DECODE_U32:
		return get_u32(d, o, UINT32_MAX, at);
	case DECODE_ID:
		return get_u32(d, o, UINT32_MAX - 1, at);
	case DECODE_I64:
		return get_i64(d, o, at);
	case DECODE_U64:
		return get_u64(d, o, UINT64_MAX, at);
	case DECODE_HAS_I64:
		return get_has_i64(d, o, at);
	case DECODE_HAS_U64:
		return get_has_u64(d, o, at);
	case DECODE_STRINGS:
		return get_strings(d, o, at);
	case DECODE_IDS:
		return get_ids(d, o, at, at_n);
	case DECODE_PAIRS:
		return get_pairs(d, o, at);
	case DECODE_STRUCT:
		return decode_struct(d, o, f->table, at);
	case DECODE_STRUCT_PTR:
		if (!*(void **)at)
			*(void **)at = arena_alloc(d->arena, f->table->size);
		return decode_struct(d, o, f->table, *(void **)at);
	case DECODE_LIST:
		return get_list(d, o, f->table, at, at_n);
	case DECODE_MAP:
		return get_map(d, o, f->table, at, at_n);
	case DECODE_UNSUPPORTED:
		if (!*(const char **)at && !asks_nothing(o))
			*(const char **)at = decode_path(d, NULL);
		return 0;
	}
	BUG("a decode kind without a case");
}

/* The originals' JSON reader takes names in any case ("CPU": {"Cpus": "0"}), and reads all that
 * mean the same member in their order: a "CPU" adds to the "cpu" before it.  So must who wants to
 * read the same out of a document as they do. */
int decode_member(struct decoder *d, json_object *o, const struct decode_field *f, void *out)
{
	struct decode_step step = { .up = d->at, .name = f->name };
	bool is_there = false;

	json_object_object_foreach(o, key, value)
	{
		if (!value || strcasecmp(key, f->name) != 0)
			continue;
		is_there = true;
		d->at = &step;
		if (get_value(d, value, f, out) < 0)
			return -1;
		d->at = step.up;
	}
	if (!is_there)
		return f->required ? decode_fail(d, f->name, "is missing") : 0;
	if (f->at_has)
		*(bool *)((char *)out + f->at_has) = true;
	return 0;
}

int decode_struct(struct decoder *d, json_object *o, const struct decode_table *t, void *out)
{
	if (!json_object_is_type(o, json_type_object))
		return wrong_type(d, o, "an object");
	for (const struct decode_field *f = t->fields; f->name; f++)
		if (decode_member(d, o, f, out) < 0)
			return -1;
	return t->check ? t->check(d, out) : 0;
}
