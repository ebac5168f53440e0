#include "image/credentials.h"

#include "base/test.h"

#include <string.h>

static struct transfer_credentials ask(struct arena *a, const char *text, const char *host)
{
	struct transfer_credentials c = { 0 };
	struct err e = { 0 };

	CHECK_OK(credentials_docker(text, strlen(text), "config.json", host, a, &c, &e), &e);
	return c;
}

TEST(docker_knows_a_host_by_many_names)
{
	static const struct {
		const char *key, *host;
		bool fits;
	} rows[] = {
		{ "x.example", "x.example", true },
		{ "https://x.example", "x.example", true },
		{ "https://x.example/v1/", "x.example", true },
		{ "x.example:5000", "x.example:5000", true },
		{ "x.example", "x.example:5000", false },
		{ "x.example:5000", "x.example", false },
		{ "x.example", "y.x.example", false },
		{ "https://index.docker.io/v1/", "registry-1.docker.io", true },
		{ "docker.io", "registry-1.docker.io", true },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena *a AUTO_ARENA = arena_new();
		AUTO_FREE char *text =
			xasprintf("{\"auths\":{\"%s\":{\"auth\":\"bWU6czpjcmV0\"}}}", rows[i].key);
		struct transfer_credentials c = ask(a, text, rows[i].host);

		CHECK((c.type == TRANSFER_AUTH_PASSWORD) == rows[i].fits);
		if (rows[i].fits)
			CHECK(strcmp(c.username, "me") == 0 && strcmp(c.secret, "s:cret") == 0);
	}
}

TEST(tokens)
{
	struct arena *a AUTO_ARENA = arena_new();
	struct transfer_credentials c =
		ask(a, "{\"auths\":{\"h\":{\"identitytoken\":\"t\"}}}", "h");

	CHECK(c.type == TRANSFER_AUTH_REFRESH && strcmp(c.secret, "t") == 0);
	c = ask(a, "{\"auths\":{\"h\":{\"registrytoken\":\"t\"}}}", "h");
	CHECK(c.type == TRANSFER_AUTH_HEADER && strcmp(c.secret, "Bearer t") == 0);
	c = ask(a, "{\"auths\":{\"h\":{}}}", "h");
	CHECK(c.type == TRANSFER_AUTH_NONE);
	c = ask(a, "{}", "h");
	CHECK(c.type == TRANSFER_AUTH_NONE);
}

TEST(what_is_no_credential)
{
	static const char *const rows[] = {
		"{\"auths\":{\"h\":{\"auth\":\"bWU\"}}}", /* not padded */
		"{\"auths\":{\"h\":{\"auth\":\"bWU=\"}}}", /* no colon */
		"{\"auths\":{\"h\":{\"auth\":\"bTo=\\n\"}}}",
		"{\"auths\":{\"h\":{\"auth\":5}}}",
		"{\"auths\":[]}",
		"{\"credHelpers\":{\"h\":\"../x\"}}",
		"{\"credHelpers\":{\"h\":\"\"}}",
		"{\"credHelpers\":{\"h\":5}}",
		"{\"credsStore\":\"no-such-helper-anywhere\"}",
		"{",
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena *a AUTO_ARENA = arena_new();
		struct transfer_credentials c = { 0 };
		struct err e = { 0 };

		CHECK(credentials_docker(rows[i], strlen(rows[i]), "config.json", "h", a, &c, &e) <
		      0);
		CHECK(strstr(e.msg, "config.json"));
	}
}
