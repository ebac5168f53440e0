/* hosts.toml. */
#include "base/err.h"
#include "image/hosts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena *a AUTO_ARENA = arena_new();
	struct host_config *hosts;
	struct err e = { 0 };
	size_t count;

	(void)hosts_parse((const char *)data, n, "/d", "docker.io", "", a, &hosts, &count, &e);
	return 0;
}
