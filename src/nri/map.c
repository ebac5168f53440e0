#include "nri/map.h"

#include <string.h>

typedef const ProtobufCFieldDescriptor field;

/* "cgroups_path" → "cgroupsPath"; the runtime spec has these in another way. */
static void json_name(const char *name, char *out, size_t n)
{
	static const char *const special[][2] = {
		{ "kernel_tcp", "kernelTCP" },
		{ "clos_id", "closID" },
		{ "disable_oom_killer", "disableOOMKiller" },
		{ "default_errno", "defaultErrnoRet" },
		{ "CDI_devices", "CDIDevices" },
	};
	size_t at = 0;

	for (size_t i = 0; i < ARRAY_LEN(special); i++)
		if (!strcmp(special[i][0], name)) {
			snprintf(out, n, "%s", special[i][1]);
			return;
		}
	for (const char *p = name; *p && at + 1 < n; p++)
		if (*p == '_' && p[1] >= 'a' && p[1] <= 'z')
			out[at++] = (char)(*++p - 'a' + 'A');
		else
			out[at++] = *p;
	out[at] = 0;
}

static bool is_map(const ProtobufCMessageDescriptor *d)
{
	size_t n = strlen(d->short_name);

	return n > 5 && !strcmp(d->short_name + n - 5, "Entry") && d->n_fields == 2;
}

static bool is_optional(const ProtobufCMessageDescriptor *d)
{
	return !strncmp(d->short_name, "Optional", 8) && d->n_fields == 1;
}

static size_t size_of(field *f)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_UINT64:
		return sizeof(int64_t);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	default:
		return sizeof(int32_t); /* INT32, UINT32, ENUM: the rest is not in NRI */
	}
}

/* --- message → JSON --- */

/* NULL: nothing worth telling. */
static json_object *value_to_json(field *f, const void *p)
{
	const ProtobufCEnumValue *v;

	switch (f->type) {
	case PROTOBUF_C_TYPE_INT64:
		return json_object_new_int64(*(const int64_t *)p);
	case PROTOBUF_C_TYPE_UINT64:
		return json_object_new_uint64(*(const uint64_t *)p);
	case PROTOBUF_C_TYPE_INT32:
		return json_object_new_int(*(const int32_t *)p);
	case PROTOBUF_C_TYPE_UINT32:
		return json_object_new_int64(*(const uint32_t *)p);
	case PROTOBUF_C_TYPE_BOOL:
		return json_object_new_boolean(*(const protobuf_c_boolean *)p);
	case PROTOBUF_C_TYPE_ENUM:
		v = protobuf_c_enum_descriptor_get_value(f->descriptor, *(const int *)p);
		return v && v->value ? json_object_new_string(v->name) : NULL;
	case PROTOBUF_C_TYPE_STRING:
		return json_object_new_string(*(char *const *)p ?: "");
	case PROTOBUF_C_TYPE_MESSAGE: {
		const ProtobufCMessage *m = *(ProtobufCMessage *const *)p;

		if (!m)
			return NULL;
		if (is_optional(m->descriptor)) {
			field *value = &m->descriptor->fields[0];

			if (value->label != PROTOBUF_C_LABEL_REPEATED)
				return value_to_json(value, (const char *)m + value->offset);
			json_object *o = map_to_json(m), *list;

			if (!json_object_object_get_ex(o, "value", &list))
				list = NULL;
			json_object_get(list);
			json_object_put(o);
			return list;
		}
		return map_to_json(m);
	}
	default:
		return NULL;
	}
}

static json_object *entries_to_json(field *f, char *v, size_t n)
{
	json_object *o = json_object_new_object();

	for (size_t i = 0; i < n; i++) {
		const ProtobufCMessage *m = ((ProtobufCMessage **)v)[i];
		field *key = &m->descriptor->fields[0], *value = &m->descriptor->fields[1];
		const char *k = *(char *const *)((const char *)m + key->offset);

		json_object_object_add(o, k ?: "",
				       value_to_json(value, (const char *)m + value->offset));
	}
	(void)f;
	return o;
}

static json_object *list_to_json(field *f, char *v, size_t n)
{
	json_object *list = json_object_new_array();

	for (size_t i = 0; i < n; i++) {
		json_object *item = value_to_json(f, v + i * size_of(f));

		if (item)
			json_object_array_add(list, item);
	}
	return list;
}

static json_object *field_to_json(const ProtobufCMessage *m, field *f)
{
	const char *p = (const char *)m + f->offset;

	if (f->label == PROTOBUF_C_LABEL_REPEATED) {
		size_t n = *(const size_t *)(const void *)((const char *)m + f->quantifier_offset);
		char *v = *(char *const *)(const void *)p;

		if (!n)
			return NULL;
		return f->type == PROTOBUF_C_TYPE_MESSAGE && is_map(f->descriptor)
			       ? entries_to_json(f, v, n)
			       : list_to_json(f, v, n);
	}
	if (f->type == PROTOBUF_C_TYPE_STRING) {
		const char *s = *(char *const *)(const void *)p;

		return s && *s ? json_object_new_string(s) : NULL;
	}
	return value_to_json(f, p);
}

json_object *map_to_json(const ProtobufCMessage *m)
{
	json_object *o = json_object_new_object();

	for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
		json_object *v = field_to_json(m, &m->descriptor->fields[i]);
		char name[64];

		json_name(m->descriptor->fields[i].name, name, sizeof name);
		if (v)
			json_object_object_add(o, name, v);
	}
	return o;
}

/* --- JSON → message --- */

static bool value_from_json(field *f, json_object *o, void *p, struct arena *a);

static ProtobufCMessage *new_message(const ProtobufCMessageDescriptor *d, struct arena *a)
{
	ProtobufCMessage *m = arena_alloc(a, d->sizeof_message);

	protobuf_c_message_init(d, m);
	return m;
}

static bool list_from_json(ProtobufCMessage *m, field *f, json_object *o, struct arena *a)
{
	size_t n = json_object_array_length(o), used = 0, size = size_of(f);
	char *v = arena_array(a, n + 1, size);

	for (size_t i = 0; i < n; i++)
		used += value_from_json(f, json_object_array_get_idx(o, i), v + used * size, a);
	memcpy((char *)m + f->offset, &v, sizeof v);
	memcpy((char *)m + f->quantifier_offset, &used, sizeof used);
	return true;
}

static bool entries_from_json(ProtobufCMessage *m, field *f, json_object *o, struct arena *a)
{
	const ProtobufCMessageDescriptor *d = f->descriptor;
	size_t n = (size_t)json_object_object_length(o), used = 0;
	ProtobufCMessage **v = arena_array(a, n + 1, sizeof *v);

	json_object_object_foreach(o, key, value)
	{
		ProtobufCMessage *entry = new_message(d, a);
		const char *k = arena_strdup(a, key);

		memcpy((char *)entry + d->fields[0].offset, &k, sizeof k);
		if (value_from_json(&d->fields[1], value, (char *)entry + d->fields[1].offset, a))
			v[used++] = entry;
	}
	memcpy((char *)m + f->offset, &v, sizeof v);
	memcpy((char *)m + f->quantifier_offset, &used, sizeof used);
	return true;
}

static bool field_from_json(ProtobufCMessage *m, field *f, json_object *o, struct arena *a)
{
	bool is_map_field = f->type == PROTOBUF_C_TYPE_MESSAGE && is_map(f->descriptor);

	if (f->label != PROTOBUF_C_LABEL_REPEATED)
		return value_from_json(f, o, (char *)m + f->offset, a);
	if (is_map_field)
		return json_object_is_type(o, json_type_object) && entries_from_json(m, f, o, a);
	return json_object_is_type(o, json_type_array) && list_from_json(m, f, o, a);
}

static bool message_from_json(field *f, json_object *o, void *p, struct arena *a)
{
	const ProtobufCMessageDescriptor *d = f->descriptor;
	ProtobufCMessage *m;

	if (is_optional(d)) {
		m = new_message(d, a);
		if (!field_from_json(m, &d->fields[0], o, a))
			return false;
	} else if (json_object_is_type(o, json_type_object)) {
		m = map_from_json(d, o, a);
	} else {
		return false;
	}
	memcpy(p, &m, sizeof m);
	return true;
}

static bool text_from_json(field *f, json_object *o, void *p, struct arena *a)
{
	if (!json_object_is_type(o, json_type_string))
		return false;
	const char *s = json_object_get_string(o);

	if (f->type == PROTOBUF_C_TYPE_ENUM) {
		const ProtobufCEnumValue *v =
			protobuf_c_enum_descriptor_get_value_by_name(f->descriptor, s);

		if (v)
			memcpy(p, &v->value, sizeof v->value);
		return v;
	}
	s = arena_strdup(a, s);
	memcpy(p, &s, sizeof s);
	return true;
}

static bool value_from_json(field *f, json_object *o, void *p, struct arena *a)
{
	bool is_int = json_object_is_type(o, json_type_int);

	switch (f->type) {
	case PROTOBUF_C_TYPE_INT64:
		*(int64_t *)p = json_object_get_int64(o);
		return is_int;
	case PROTOBUF_C_TYPE_UINT64:
		*(uint64_t *)p = json_object_get_uint64(o);
		return is_int;
	case PROTOBUF_C_TYPE_INT32:
		*(int32_t *)p = json_object_get_int(o);
		return is_int;
	case PROTOBUF_C_TYPE_UINT32:
		*(uint32_t *)p = (uint32_t)json_object_get_int64(o);
		return is_int;
	case PROTOBUF_C_TYPE_BOOL:
		*(protobuf_c_boolean *)p = json_object_get_boolean(o);
		return json_object_is_type(o, json_type_boolean);
	case PROTOBUF_C_TYPE_ENUM:
	case PROTOBUF_C_TYPE_STRING:
		return text_from_json(f, o, p, a);
	case PROTOBUF_C_TYPE_MESSAGE:
		return message_from_json(f, o, p, a);
	default:
		return false;
	}
}

ProtobufCMessage *map_from_json(const ProtobufCMessageDescriptor *d, json_object *o,
				struct arena *a)
{
	ProtobufCMessage *m = new_message(d, a);

	for (unsigned i = 0; i < d->n_fields; i++) {
		json_object *v;
		char name[64];

		json_name(d->fields[i].name, name, sizeof name);
		if (json_object_object_get_ex(o, name, &v) && v)
			(void)field_from_json(m, &d->fields[i], v, a);
	}
	return m;
}
