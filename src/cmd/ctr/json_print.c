#include "cmd/ctr/json_print.h"

enum { DEPTH_MAX = 24 };

void json_value(struct jsonw *w, json_object *o)
{
	/* json-c writes numbers exactly; depth was bounded when the text was parsed */
	switch (json_object_get_type(o)) {
	case json_type_object: {
		jsonw_object(w);
		json_object_object_foreach(o, key, value)
		{
			jsonw_key(w, key);
			json_value(w, value);
		}
		jsonw_end(w);
		break;
	}
	case json_type_array:
		jsonw_array(w);
		for (size_t i = 0; i < json_object_array_length(o); i++)
			json_value(w, json_object_array_get_idx(o, i));
		jsonw_end(w);
		break;
	case json_type_string:
		jsonw_string(w, json_object_get_string(o));
		break;
	default:
		jsonw_raw(w,
			  o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN) : "null");
		break;
	}
}

void json_labels(struct jsonw *w, const struct labels *l)
{
	if (!l->n) {
		jsonw_raw(w, "null");
		return;
	}
	jsonw_object(w);
	for (size_t i = 0; i < l->n; i++)
		jsonw_kstring(w, l->keys[i], l->values[i]);
	jsonw_end(w);
}

static void put_message(struct jsonw *w, const ProtobufCMessage *m, unsigned depth);

static bool is_zero(const ProtobufCFieldDescriptor *f, const void *p)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING:
		return !*(char *const *)p || !**(char *const *)p;
	case PROTOBUF_C_TYPE_BYTES:
		return !((const ProtobufCBinaryData *)p)->len;
	case PROTOBUF_C_TYPE_MESSAGE:
		return !*(const ProtobufCMessage *const *)p;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return !*(const uint64_t *)p;
	default:
		return !*(const uint32_t *)p;
	}
}

static size_t element_size(const ProtobufCFieldDescriptor *f)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	default:
		return 4;
	}
}

static void put_one(struct jsonw *w, const ProtobufCFieldDescriptor *f, const void *p,
		    unsigned depth)
{
	struct str b64 AUTO_STR = STR_INIT(16 << 20);
	const ProtobufCEnumValue *v;

	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING:
		jsonw_string(w, *(char *const *)p);
		break;
	case PROTOBUF_C_TYPE_BYTES:
		str_add_base64(&b64, ((const ProtobufCBinaryData *)p)->data,
			       ((const ProtobufCBinaryData *)p)->len);
		jsonw_string(w, str_c(&b64));
		break;
	case PROTOBUF_C_TYPE_MESSAGE:
		put_message(w, *(const ProtobufCMessage *const *)p, depth);
		break;
	case PROTOBUF_C_TYPE_BOOL:
		jsonw_bool(w, *(const protobuf_c_boolean *)p);
		break;
	case PROTOBUF_C_TYPE_ENUM:
		v = protobuf_c_enum_descriptor_get_value(f->descriptor, *(const int *)p);
		jsonw_string(w, v ? v->name : "?");
		break;
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		jsonw_u64(w, *(const uint64_t *)p);
		break;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		jsonw_i64(w, *(const int64_t *)p);
		break;
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		jsonw_i64(w, *(const int32_t *)p);
		break;
	default:
		jsonw_u64(w, *(const uint32_t *)p);
		break;
	}
}

/* A map is a list of entries with key and value. */
static bool is_map(const ProtobufCFieldDescriptor *f)
{
	const ProtobufCMessageDescriptor *d = f->descriptor;

	return f->type == PROTOBUF_C_TYPE_MESSAGE && str_ends(d->name, "Entry") &&
	       d->n_fields == 2 && !strcmp(d->fields[0].name, "key");
}

static void put_repeated(struct jsonw *w, const ProtobufCFieldDescriptor *f, const void *base,
			 size_t n, unsigned depth)
{
	const uint8_t *v = *(const uint8_t *const *)base;

	if (is_map(f)) {
		jsonw_object(w);
		for (size_t i = 0; i < n; i++) {
			const ProtobufCMessage *m =
				((const ProtobufCMessage *const *)(const void *)v)[i];
			const ProtobufCFieldDescriptor *value = &m->descriptor->fields[1];

			jsonw_key(w, ((const struct entry *)m)->key);
			put_one(w, value, (const uint8_t *)m + value->offset, depth);
		}
	} else {
		jsonw_array(w);
		for (size_t i = 0; i < n; i++)
			put_one(w, f, v + i * element_size(f), depth);
	}
	jsonw_end(w);
}

static void put_fields(struct jsonw *w, const ProtobufCMessage *m, unsigned depth)
{
	for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
		const uint8_t *p = (const uint8_t *)m + f->offset;

		if (f->label == PROTOBUF_C_LABEL_REPEATED) {
			size_t n = *(const size_t *)(const void *)((const uint8_t *)m +
								   f->quantifier_offset);

			if (!n)
				continue;
			jsonw_key(w, f->name);
			put_repeated(w, f, p, n, depth);
		} else if (!is_zero(f, p)) {
			jsonw_key(w, f->name);
			put_one(w, f, p, depth);
		}
	}
}

static void put_message(struct jsonw *w, const ProtobufCMessage *m, unsigned depth)
{
	struct arena *a AUTO_ARENA = arena_new();

	if (depth >= DEPTH_MAX) {
		jsonw_raw(w, "null");
		return;
	}
	if (m->descriptor == &google__protobuf__timestamp__descriptor) {
		jsonw_string(w, time_rfc3339(a, (const Google__Protobuf__Timestamp *)m));
		return;
	}
	jsonw_object(w);
	put_fields(w, m, depth + 1);
	jsonw_end(w);
}

void json_message(struct jsonw *w, const ProtobufCMessage *m)
{
	put_message(w, m, 0);
}
