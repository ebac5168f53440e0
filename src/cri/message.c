#include "cri/message.h"

#include <string.h>

enum { JSON_MAX = 4 << 20 };

/* What protobuf-c generates for every entry of a map<string, string>. */
struct entry {
	ProtobufCMessage base;
	char *key, *value;
};

static void *take(void *arena, size_t n)
{
	return arena_alloc(arena, n);
}

static void give_back(UNUSED void *arena, UNUSED void *p)
{
}

void *message_unpack(struct arena *a, const ProtobufCMessageDescriptor *type, const void *bytes,
		     size_t n)
{
	ProtobufCAllocator in = { take, give_back, a };

	return protobuf_c_message_unpack(type, &in, n, bytes);
}

struct any message_pack(struct arena *a, const ProtobufCMessage *m)
{
	size_t n = protobuf_c_message_get_packed_size(m);
	uint8_t *bytes = arena_alloc(a, n + 1);

	protobuf_c_message_pack(m, bytes);
	return (struct any){ m->descriptor->name, bytes, n };
}

void *message_copy(struct arena *a, const ProtobufCMessage *m)
{
	struct any packed = message_pack(a, m);

	return message_unpack(a, m->descriptor, packed.value, packed.n);
}

/* --- maps --- */

const char *message_map_get(size_t n, const void *entries, const char *key)
{
	const struct entry *const *v = entries;

	/* the last one counts, as for every reader of a map that has a key twice */
	for (size_t i = n; i-- > 0;)
		if (!strcmp(v[i]->key, key))
			return v[i]->value;
	return NULL;
}

bool message_map_has(size_t n, const void *entries, size_t n_wanted, const void *wanted)
{
	const struct entry *const *w = wanted;

	for (size_t i = 0; i < n_wanted; i++) {
		const char *v = message_map_get(n, entries, w[i]->key);

		if (!v || strcmp(v, w[i]->value) != 0)
			return false;
	}
	return true;
}

struct labels message_map_labels(struct arena *a, size_t n, const void *entries)
{
	const struct entry *const *in = entries;
	struct labels l = { arena_array(a, n + 1, sizeof *l.v), 0 };

	for (size_t i = 0; i < n; i++)
		if (message_map_get(n, entries, in[i]->key) == in[i]->value)
			l.v[l.n++] = (struct label){ in[i]->key, in[i]->value };
	return l;
}

/* --- JSON --- */

static bool is_map(const ProtobufCFieldDescriptor *f)
{
	const ProtobufCMessageDescriptor *d = f->descriptor;

	return f->label == PROTOBUF_C_LABEL_REPEATED && f->type == PROTOBUF_C_TYPE_MESSAGE &&
	       d->n_fields == 2 && str_ends(d->short_name, "Entry");
}

static void put_bytes(struct jsonw *w, const ProtobufCBinaryData *b)
{
	AUTO_STR struct str out = STR_INIT(JSON_MAX);

	str_add_base64(&out, b->data, b->len);
	jsonw_string(w, str_c(&out));
}

static void put_double(struct jsonw *w, double v)
{
	char text[32];

	snprintf(text, sizeof text, "%.17g", v);
	jsonw_raw(w, text);
}

static size_t size_of(ProtobufCType t)
{
	switch (t) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_ENUM:
		return 4;
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	default:
		return 8; /* pointers and 64-bit numbers: all that the interface has */
	}
}

static void put_value(struct jsonw *w, const ProtobufCFieldDescriptor *f, const void *at)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_MESSAGE:
		message_json(*(const ProtobufCMessage *const *)at, w);
		return;
	case PROTOBUF_C_TYPE_STRING:
		jsonw_string(w, *(const char *const *)at);
		return;
	case PROTOBUF_C_TYPE_BYTES:
		put_bytes(w, at);
		return;
	case PROTOBUF_C_TYPE_BOOL:
		jsonw_bool(w, *(const protobuf_c_boolean *)at != 0);
		return;
	case PROTOBUF_C_TYPE_DOUBLE:
		put_double(w, *(const double *)at);
		return;
	case PROTOBUF_C_TYPE_INT64:
		jsonw_i64(w, *(const int64_t *)at);
		return;
	case PROTOBUF_C_TYPE_UINT64:
		jsonw_u64(w, *(const uint64_t *)at);
		return;
	case PROTOBUF_C_TYPE_UINT32:
		jsonw_u64(w, *(const uint32_t *)at);
		return;
	default:
		jsonw_i64(w, *(const int32_t *)at);
	}
}

static bool is_empty(const ProtobufCFieldDescriptor *f, const void *at)
{
	static const char zero[sizeof(ProtobufCBinaryData)];

	if (f->type == PROTOBUF_C_TYPE_STRING)
		return !**(const char *const *)at;
	if (f->type == PROTOBUF_C_TYPE_BYTES)
		return !((const ProtobufCBinaryData *)at)->len;
	return !memcmp(at, zero, size_of(f->type));
}

static void put_map(struct jsonw *w, size_t n, const struct entry *const *v)
{
	jsonw_object(w);
	for (size_t i = 0; i < n; i++)
		jsonw_kstring(w, v[i]->key, v[i]->value);
	jsonw_end(w);
}

static void put_repeated(struct jsonw *w, const ProtobufCFieldDescriptor *f, size_t n,
			 const char *v)
{
	jsonw_key(w, f->name);
	if (is_map(f)) {
		put_map(w, n, (const void *)v);
		return;
	}
	jsonw_array(w);
	for (size_t i = 0; i < n; i++)
		put_value(w, f, v + i * size_of(f->type));
	jsonw_end(w);
}

void message_json(const ProtobufCMessage *m, struct jsonw *w)
{
	const ProtobufCMessageDescriptor *d = m->descriptor;

	jsonw_object(w);
	for (unsigned i = 0; i < d->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &d->fields[i];
		const char *at = (const char *)m + f->offset;

		if (f->label == PROTOBUF_C_LABEL_REPEATED) {
			size_t n = *(const size_t *)(const void *)((const char *)m +
								   f->quantifier_offset);

			if (n)
				put_repeated(w, f, n, *(const char *const *)(const void *)at);
		} else if (!is_empty(f, at)) {
			jsonw_key(w, f->name);
			put_value(w, f, at);
		}
	}
	jsonw_end(w);
}

const char *message_json_text(struct arena *a, const ProtobufCMessage *m)
{
	AUTO_STR struct str out = STR_INIT(JSON_MAX);
	struct jsonw w;

	jsonw_init(&w, &out, 0);
	message_json(m, &w);
	return arena_strdup(a, out.over ? "{}" : str_c(&out));
}
