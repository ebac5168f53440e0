/* Image references and platforms: what was taken must be taken again, and mean the same. */
#include "oci/platform.h"
#include "oci/reference.h"

#include "base/mem.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO_FREE char *text = xstrndup((const char *)data, n);
	AUTO_FREE char *once = NULL, *twice = NULL;
	struct err e = { 0 };
	struct platform p;

	if (platform_parse(text, &p, &e) < 0)
		err_clear(&e);
	if (reference_normalize(text, &once, &e) < 0)
		return 0;
	if (reference_normalize(once, &twice, &e) < 0 || strcmp(once, twice) != 0)
		BUG("a normalised reference changes when it is normalised");
	return 0;
}
