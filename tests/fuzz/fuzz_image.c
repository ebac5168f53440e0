/* Manifests, indexes and image configs. */
#include "oci/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char *const types[] = { "", MEDIA_OCI_INDEX, MEDIA_DOCKER_MANIFEST };
	struct arena *a AUTO_ARENA = arena_new();
	struct image_config config;
	struct image_doc doc;

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct err e = { 0 };

		(void)image_doc_parse(a, types[i], (const char *)data, n, &doc, &e);
	}
	struct err e = { 0 };

	if (image_config_parse(a, (const char *)data, n, &config, &e) == 0)
		(void)image_chain_ids(a, config.diff_ids, config.n_diff_ids);
	return 0;
}
