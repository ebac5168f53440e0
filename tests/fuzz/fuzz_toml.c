/* config.toml and hosts.toml. */
#include "base/toml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	json_object *o AUTO_JSON = NULL;
	struct err e = { 0 };

	(void)toml_parse((const char *)data, n, &o, &e);
	return 0;
}
