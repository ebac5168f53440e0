#include "cmd/ctr/list_json.h"

#include "cmd/ctr/json_print.h"

enum { LIST_JSON_MAX = 64 << 20 };

const struct flag list_format_flags[] = {
	{ "format", FLAG_STRING, NULL, "how to print it: table or json", "table" },
	{ NULL },
};

int list_wants_json(const struct args *args, bool *ret, struct err *e)
{
	const char *format = args_string(args, "format");

	*ret = !strcmp(format, "json");
	if (!*ret && strcmp(format, "table") != 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "unknown format \"%s\": table or json",
			       format);
	return 0;
}

int list_print_json(const void *v, size_t n, struct err *e)
{
	struct str out AUTO_STR = STR_INIT(LIST_JSON_MAX);
	const ProtobufCMessage *const *messages = v;
	struct jsonw w;

	jsonw_init(&w, &out, 4);
	jsonw_array(&w);
	for (size_t i = 0; i < n; i++)
		json_message(&w, messages[i]);
	jsonw_end(&w);
	if (out.over)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "the list is larger than %d MiB as JSON",
			       LIST_JSON_MAX >> 20);
	puts(str_c(&out));
	return 0;
}
