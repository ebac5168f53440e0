/* docker's config.json, for a host that the seeds name. */
#include "image/credentials.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena *a AUTO_ARENA = arena_new();
	struct transfer_credentials c = { 0 };
	struct err e = { 0 };

	/* a helper's name leads nowhere: PATH is empty */
	(void)setenv("PATH", "/nonexistent", 1);
	(void)credentials_docker((const char *)data, n, "config.json", "x.example", a, &c, &e);
	return 0;
}
