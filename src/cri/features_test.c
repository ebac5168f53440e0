#include "base/test.h"
#include "cri/private.h"

#include <string.h>

TEST(features_of_a_runtime)
{
	static const struct {
		const char *text;
		bool rro, userns;
	} rows[] = {
		{ "{\"mountOptions\":[\"ro\",\"rro\"],\"linux\":{\"namespaces\":[\"pid\",\"user\"],"
		  "\"mountExtensions\":{\"idmap\":{\"enabled\":true}}}}",
		  true, true },
		{ "{\"linux\":{\"namespaces\":[\"user\"],\"mountExtensions\":{\"idmap\":{"
		  "\"enabled\":false}}}}",
		  false, false },
		{ "{\"linux\":{\"namespaces\":[\"user\"]}}", false, false },
		{ "{\"mountOptions\":[\"rro\"],\"linux\":[]}", true, false },
		{ "{\"mountOptions\":\"rro\",\"linux\":{\"namespaces\":[null,7]}}", false, false },
	};
	struct err e = { 0 };
	struct handler_features f;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		f = (struct handler_features){ 0 };
		CHECK_OK(cri_features_parse(rows[i].text, strlen(rows[i].text), &f, &e), &e);
		CHECK(f.has_rro == rows[i].rro && f.has_userns == rows[i].userns);
	}
	CHECK(cri_features_parse("[", 1, &f, &e) == -1);
}
