#include "oci/image.h"

#include "base/test.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DESC(type) "{\"mediaType\":\"" type "\",\"digest\":\"sha256:" HEX "\",\"size\":7}"

static int parse(struct arena *a, const char *media, const char *s, struct image_doc *d,
		 struct err *e)
{
	return image_doc_parse(a, media, s, strlen(s), d, e);
}

TEST(manifest)
{
	struct arena *a AUTO_ARENA = arena_new();
	struct err e = { 0 };
	struct image_doc d;

	CHECK_OK(
		parse(a, MEDIA_DOCKER_MANIFEST,
		      "{\"schemaVersion\":2,\"config\":" DESC(
			      MEDIA_DOCKER_CONFIG) ",\"layers\":[" DESC(MEDIA_DOCKER_LAYER_GZIP) "]"
												 "}",
		      &d, &e),
		&e);
	CHECK(d.kind == IMAGE_MANIFEST && d.n_layers == 1 && d.layers[0].size == 7);
	CHECK_STR(d.media_type, MEDIA_DOCKER_MANIFEST);
	CHECK_STR(d.config.digest, "sha256:" HEX);
}

TEST(index_with_platforms)
{
	struct arena *a AUTO_ARENA = arena_new();
	struct err e = { 0 };
	struct image_doc d;

	CHECK_OK(parse(a, "",
		       "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"" MEDIA_OCI_MANIFEST
		       "\",\"digest\":\"sha256:" HEX
		       "\",\"size\":1,\"platform\":{\"os\":\"linux\",\"architecture\":\"arm64\","
		       "\"variant\":\"v8\"},\"annotations\":{\"k\":\"v\"}}]}",
		       &d, &e),
		 &e);
	CHECK(d.kind == IMAGE_INDEX && d.n_manifests == 1 && d.manifests[0].has_platform);
	CHECK_STR(d.manifests[0].platform.variant, "");
	CHECK_STR(oci_descriptor_annotation(&d.manifests[0], "k"), "v");
	CHECK_STR(d.media_type, MEDIA_OCI_INDEX);
}

/* What says no type may be a manifest for a reader that looks inside: the others must not pass it
 * over. */
TEST(one_entry_of_an_index_is_picked)
{
	struct platform host = platform_host(), other = host;
	struct oci_descriptor v[4] = { { .media_type = "text/plain" },
				       { .media_type = MEDIA_OCI_MANIFEST, .has_platform = true },
				       { .media_type = "" },
				       { .media_type = MEDIA_OCI_INDEX } };
	struct image_doc index = { .kind = IMAGE_INDEX, .n_manifests = 4, .manifests = v };

	snprintf(other.os, sizeof other.os, "plan9");
	v[1].platform = other;
	CHECK(image_doc_pick(&index, &host) == &v[2]);
	CHECK(image_doc_pick(&index, &other) == &v[1]);
	v[2].has_platform = true;
	v[2].platform = other;
	CHECK(image_doc_pick(&index, &host) == &v[3]);
	index.n_manifests = 3;
	CHECK(!image_doc_pick(&index, &host));
}

TEST(documents_that_are_refused)
{
	static const struct {
		const char *media, *doc, *why;
	} rows[] = {
		{ "", "{\"manifests\":[],\"layers\":[]}",
		  "the document is a manifest and an index at once" },
		{ "", "{\"manifests\":[],\"config\":{}}",
		  "the document is a manifest and an index at once" },
		{ "", "{}", "the document is neither a manifest nor an index" },
		{ "", "[]", "the manifest is no JSON object" },
		{ "", "{\"schemaVersion\":1,\"fsLayers\":[]}",
		  "schema 1 manifests are not supported any more" },
		{ MEDIA_OCI_MANIFEST, "{\"manifests\":[]}",
		  "media type \"" MEDIA_OCI_MANIFEST "\" contradicts the document" },
		{ MEDIA_OCI_INDEX, "{\"mediaType\":\"" MEDIA_DOCKER_LIST "\",\"manifests\":[]}",
		  "the document says \"" MEDIA_DOCKER_LIST "\", its descriptor \"" MEDIA_OCI_INDEX
		  "\"" },
		{ "", "{\"manifests\":[{\"digest\":\"sha256:../../x\",\"size\":1}]}",
		  "manifests[0]: invalid digest \"sha256:../../x\"" },
		{ "", "{\"manifests\":[{\"digest\":\"sha256:" HEX "\",\"size\":-1}]}",
		  "manifests[0]: field \"size\" is negative" },
		{ "", "{\"manifests\":[{\"digest\":\"sha256:" HEX "\"}]}",
		  "manifests[0]: sha256:" HEX ": size is missing or out of range" },
		{ "",
		  "{\"manifests\":[{\"mediaType\":\"a/b\\r\\n\\r\\nDELETE /v2/x "
		  "HTTP/1.1\",\"digest\":\"sha256:" HEX "\",\"size\":1}]}",
		  "manifests[0]: sha256:" HEX ": invalid media type" },
		{ "", "{\"mediaType\":\"a\\u007f\",\"manifests\":[]}",
		  "the document has an invalid media type" },
		{ "", "{\"manifests\":[null]}", NULL },
		{ "", "{\"config\":[]}", NULL },
		{ "", "{\"manifests\":[", "unexpected end of JSON input" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena *a AUTO_ARENA = arena_new();
		struct err e = { 0 };
		struct image_doc d;

		CHECK_FAIL(parse(a, rows[i].media, rows[i].doc, &d, &e), &e, ERR_INVALID_ARGUMENT);
		if (rows[i].why)
			CHECK_STR(e.msg, rows[i].why);
	}
}

TEST(config)
{
	static const char s[] =
		"{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"Env\":"
		"[\"A=b\"],\"Cmd\":[\"sh\"],\"Entrypoint\":null,\"User\":\"1\","
		"\"WorkingDir\":\"/w\",\"Volumes\":{\"/v\":{}},\"Labels\":{\"l\":\"m\"}},"
		"\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:" HEX
		"\"]},\"history\":null}";
	struct arena *a AUTO_ARENA = arena_new();
	struct err e = { 0 };
	struct image_config c;

	CHECK_OK(image_config_parse(a, s, strlen(s), &c, &e), &e);
	CHECK(c.n_diff_ids == 1 && c.n_labels == 1 && !c.entrypoint[0] && !c.cmd[1]);
	CHECK_STR(c.env[0], "A=b");
	CHECK_STR(c.working_dir, "/w");
	CHECK_STR(c.volumes[0], "/v");

	static const char bad[] = "{\"rootfs\":{\"diff_ids\":[\"x\"]}}";

	CHECK_FAIL(image_config_parse(a, bad, strlen(bad), &c, &e), &e, ERR_INVALID_ARGUMENT);
	CHECK_STR(e.msg, "rootfs: invalid digest \"x\"");
}

TEST(chain_ids)
{
	static const char *const diffs[] = { "sha256:" HEX, "sha256:" HEX };
	struct arena *a AUTO_ARENA = arena_new();
	const char **ids = image_chain_ids(a, diffs, 2);

	CHECK_STR(ids[0], "sha256:" HEX);
	/* printf 'sha256:HEX sha256:HEX' | sha256sum */
	CHECK_STR(ids[1],
		  "sha256:ccdf9b58ee7087c8f4415f1c3e98945bf64a4cd9920de109ec94d64947636830");
}
