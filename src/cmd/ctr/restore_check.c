#include "cmd/ctr/restore_check.h"

#include "base/jsonr.h"
#include "cmd/ctr/ctr.h"
#include "cmd/ctr/json_print.h"

#include <strings.h>

enum { SPEC_MAX = 64 << 20 };

static bool says(char why[RESTORE_WHY], const char *fmt, ...) PRINTF(2, 3);

static bool says(char why[RESTORE_WHY], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, RESTORE_WHY, fmt, ap); /* cut where it is long */
	va_end(ap);
	return true;
}

/* {"prestart": []} runs nothing. */
static bool is_empty(json_object *hooks)
{
	if (!hooks)
		return true;
	if (!json_object_is_type(hooks, json_type_object))
		return false;
	json_object_object_foreach(hooks, key, list)
	{
		(void)key;
		if (list &&
		    (!json_object_is_type(list, json_type_array) || json_object_array_length(list)))
			return false;
	}
	return true;
}

/* Letters outside of ASCII (the long s, the Kelvin sign) are folded to s and k by Go's decoder. */
static bool may_be_hooks(const char *key)
{
	for (const char *c = key; *c; c++)
		if (*c & 0x80)
			return true;
	return strcasecmp(key, "hooks") == 0;
}

/* Hands on what was looked at: of a key that is there twice the parser kept the last, where Go's
 * decoder takes something of both. */
static void keep_as_read(Google__Protobuf__Any *spec, json_object *o)
{
	struct str out = STR_INIT(SPEC_MAX);
	struct jsonw w;

	jsonw_init(&w, &out, 0);
	json_value(&w, o);
	free(spec->value.data);
	spec->value.len = out.len;
	spec->value.data = (uint8_t *)str_take(&out);
}

static bool spec_has_hooks(Google__Protobuf__Any *spec, char why[RESTORE_WHY])
{
	json_object *o AUTO_JSON = NULL;
	struct err bad = { 0 };

	if (spec->value.len > SPEC_MAX / 8 || /* six bytes may become of one */
	    jsonr_parse((const char *)spec->value.data, spec->value.len, &o, &bad) < 0 ||
	    !json_object_is_type(o, json_type_object))
		return says(why, "has a spec that can't be read");
	json_object_object_foreach(o, key, value)
	{
		if (may_be_hooks(key) && !is_empty(value))
			return says(why, "has hooks in its spec");
	}
	keep_as_read(spec, o);
	return false;
}

/* Strings and bytes of options are programs, paths and addresses, all of them. */
static bool names_one(const ProtobufCMessage *m, char why[RESTORE_WHY])
{
	if (m->n_unknown_fields)
		return says(why, "has runtime options that are not known");
	for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
		const void *at = (const uint8_t *)m + f->offset;
		const char *text = f->type == PROTOBUF_C_TYPE_STRING ? *(char *const *)at : "";
		const ProtobufCBinaryData *bytes = f->type == PROTOBUF_C_TYPE_BYTES ? at : NULL;

		if (strcmp(f->name, "type_url") != 0 && *text)
			return says(why, "sets the runtime's option %s to \"%.150s\"", f->name,
				    text);
		if (bytes && bytes->len)
			return says(why, "sets the runtime's option %s", f->name);
	}
	return false;
}

static bool options_name_programs(const Google__Protobuf__Any *options, char why[RESTORE_WHY])
{
	static const struct {
		const char *type;
		const ProtobufCMessageDescriptor *message;
	} known[] = {
		{ "containerd.runc.v1.Options", &containerd__runc__v1__options__descriptor },
		{ "runtimeoptions.v1.Options", &runtimeoptions__v1__options__descriptor },
	};
	ProtobufCMessage *m = NULL;
	bool names;

	for (size_t i = 0; !m && i < ARRAY_LEN(known); i++)
		if (str_ends(options->type_url, known[i].type))
			m = protobuf_c_message_unpack(known[i].message, NULL, options->value.len,
						      options->value.data);
	if (!m)
		return says(why, "has runtime options that are not known");
	names = names_one(m, why);
	protobuf_c_message_free_unpacked(m, NULL);
	return names;
}

bool restore_names_programs(const char *runtime, Google__Protobuf__Any *spec,
			    const Google__Protobuf__Any *options, char why[RESTORE_WHY])
{
	if (strchr(runtime, '/'))
		return says(why, "names the program \"%.150s\" as its runtime", runtime);
	if (spec_has_hooks(spec, why))
		return true;
	return options && options_name_programs(options, why);
}
