/* WWW-Authenticate, a line a header; and where a Location leads. */
#include "base/mem.h"
#include "image/registry_priv.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO_FREE char *text = xstrndup((const char *)data, n), *url = NULL;
	AUTO_STRV struct strv lines = { 0 };
	struct challenge c;

	for (char *p = text; *p && lines.n < MAX_CHALLENGES;) {
		size_t len = strcspn(p, "\n");

		strv_add_take(&lines, xstrndup(p, len));
		p += len + (p[len] == '\n');
	}
	(void)registry_read_challenges(&lines, &c);
	url = registry_absolute("https://a.example/v2/x/blobs/uploads/", text);
	return 0;
}
