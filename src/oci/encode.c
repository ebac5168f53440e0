#include "oci/encode.h"

#include "oci/spec.h"

static void put_pairs(const struct oci_pairs *p, struct jsonw *w)
{
	jsonw_object(w);
	for (size_t i = 0; i < p->n; i++)
		jsonw_kstring(w, p->v[i].key, p->v[i].value);
	jsonw_end(w);
}

static void put_strings(const struct oci_strings *s, struct jsonw *w)
{
	jsonw_array(w);
	for (size_t i = 0; i < s->n; i++)
		jsonw_string(w, s->v[i]);
	jsonw_end(w);
}

static void put_list(const struct decode_field *f, const char *items, size_t n, struct jsonw *w)
{
	bool is_map = f->kind == DECODE_MAP;

	if (is_map)
		jsonw_object(w);
	else
		jsonw_array(w);
	for (size_t i = 0; i < n; i++, items += f->table->size) {
		if (is_map)
			jsonw_key(w, *(const char *const *)(const void *)items);
		encode_struct(f->table, items, w);
	}
	jsonw_end(w);
}

static void put_char(char c, struct jsonw *w)
{
	jsonw_string(w, (char[2]){ c, 0 });
}

static size_t count_of(const struct decode_field *f, const char *in)
{
	return *(const size_t *)(const void *)(in + f->at_n);
}

static void put_ids(const uint32_t *v, size_t n, struct jsonw *w)
{
	jsonw_array(w);
	for (size_t i = 0; i < n; i++)
		jsonw_u64(w, v[i]);
	jsonw_end(w);
}

/* What the document did not have is left out again. */
static bool is_there(const struct decode_field *f, const char *in)
{
	const void *at = in + f->at;

	switch (f->kind) {
	case DECODE_STRING:
	case DECODE_STRUCT_PTR:
		return *(const void *const *)at;
	case DECODE_BOOL:
		return *(const bool *)at;
	case DECODE_CHAR:
		return *(const char *)at;
	case DECODE_HAS_I64:
		return ((const struct oci_i64 *)at)->has;
	case DECODE_HAS_U64:
		return ((const struct oci_u64 *)at)->has;
	case DECODE_STRINGS:
		return ((const struct oci_strings *)at)->n;
	case DECODE_PAIRS:
		return ((const struct oci_pairs *)at)->n;
	case DECODE_LIST:
	case DECODE_MAP:
	case DECODE_IDS:
		return count_of(f, in);
	case DECODE_UNSUPPORTED:
		return false;
	default:
		return !f->at_has || *(const bool *)(in + f->at_has);
	}
}

static void put_value(const struct decode_field *f, const char *in, struct jsonw *w)
{
	const void *at = in + f->at;

	switch (f->kind) {
	case DECODE_STRING:
		jsonw_string(w, *(const char *const *)at);
		return;
	case DECODE_BOOL:
		jsonw_bool(w, *(const bool *)at);
		return;
	case DECODE_CHAR:
		put_char(*(const char *)at, w);
		return;
	case DECODE_U32:
	case DECODE_ID:
		jsonw_u64(w, *(const uint32_t *)at);
		return;
	case DECODE_I64:
		jsonw_i64(w, *(const int64_t *)at);
		return;
	case DECODE_U64:
		jsonw_u64(w, *(const uint64_t *)at);
		return;
	case DECODE_HAS_I64:
		jsonw_i64(w, ((const struct oci_i64 *)at)->v);
		return;
	case DECODE_HAS_U64:
		jsonw_u64(w, ((const struct oci_u64 *)at)->v);
		return;
	case DECODE_STRINGS:
		put_strings(at, w);
		return;
	case DECODE_IDS:
		put_ids(*(const uint32_t *const *)at, count_of(f, in), w);
		return;
	case DECODE_PAIRS:
		put_pairs(at, w);
		return;
	case DECODE_STRUCT:
		encode_struct(f->table, at, w);
		return;
	case DECODE_STRUCT_PTR:
		encode_struct(f->table, *(const void *const *)at, w);
		return;
	case DECODE_LIST:
	case DECODE_MAP:
		put_list(f, *(const char *const *)at, count_of(f, in), w);
		return;
	case DECODE_UNSUPPORTED:
		break;
	}
	BUG("a field that can't be written");
}

void encode_struct(const struct decode_table *t, const void *in, struct jsonw *w)
{
	jsonw_object(w);
	for (const struct decode_field *f = t->fields; f->name; f++)
		if (is_there(f, in)) {
			jsonw_key(w, f->name);
			put_value(f, in, w);
		}
	jsonw_end(w);
}
