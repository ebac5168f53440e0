/* Files of CDI and of classes of block devices. */
#include "base/yaml.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	json_object *o AUTO_JSON = NULL, *again AUTO_JSON = NULL;
	struct err e = { 0 };

	if (yaml_parse((const char *)data, n, &o, &e) < 0 || !o)
		return 0;
	/* What is made of it is a document that others read. */
	const char *text = json_object_to_json_string(o);

	if (jsonr_parse(text, strlen(text), &again, &e) < 0)
		__builtin_trap();
	return 0;
}
