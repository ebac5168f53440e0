#include "image/hosts.h"

#include "base/err.h"
#include "base/test.h"

TEST(mirrors_come_first_and_the_server_last)
{
	static const char text[] = "server = \"https://registry-1.docker.io\"\n"
				   "[host.\"http://127.0.0.1:5000\"]\n"
				   "  capabilities = [\"pull\", \"resolve\"]\n"
				   "[host.\"https://mirror.example/x\"]\n"
				   "  capabilities = [\"pull\"]\n"
				   "  ca = [\"a.crt\", \"/b.crt\"]\n"
				   "  client = [[\"c.cert\", \"c.key\"]]\n"
				   "  override_path = true\n"
				   "  skip_verify = true\n"
				   "  [host.\"https://mirror.example/x\".header]\n"
				   "    x-a = \"1\"\n";
	AUTO_ARENA struct arena *a = arena_new();
	struct host_config *v;
	struct err e = { 0 };
	size_t n;

	CHECK_OK(hosts_parse(text, sizeof text - 1, "/d", "docker.io", "", a, &v, &n, &e), &e);
	CHECK(n == 3);
	CHECK_STR(v[0].host, "127.0.0.1:5000");
	CHECK_STR(v[0].scheme, "http");
	CHECK_STR(v[0].path, "/v2");
	CHECK(v[0].can_pull && v[0].can_resolve && !v[0].skip_verify && !v[0].may_fall_back);
	CHECK_STR(v[1].path, "/x");
	CHECK(v[1].can_pull && !v[1].can_resolve && v[1].skip_verify);
	CHECK_STR(v[1].ca[0], "/d/a.crt");
	CHECK_STR(v[1].ca[1], "/b.crt");
	CHECK_STR(v[1].key, "/d/c.key");
	CHECK_STR(v[1].headers[0], "x-a: 1");
	CHECK_STR(v[2].host, "registry-1.docker.io");
}

TEST(folders_are_split)
{
	AUTO_ARENA struct arena *a = arena_new();
	const char **v = hosts_split_dirs(a, ":/etc/a::/etc/b:");

	CHECK_STR(v[0], "/etc/a");
	CHECK_STR(v[1], "/etc/b");
	CHECK(!v[2] && !hosts_split_dirs(a, "")[0]);
}

TEST(without_files_the_name_decides)
{
	static const struct {
		const char *domain, *scheme, *want_scheme, *want_host;
		bool falls_back;
	} rows[] = {
		{ "docker.io", "", "https", "registry-1.docker.io", false },
		{ "example.com", "", "https", "example.com", false },
		{ "example.com", "http", "http", "example.com", false },
		{ "localhost:5000", "", "https", "localhost:5000", true },
		{ "127.0.0.1:5000", "", "https", "127.0.0.1:5000", true },
		{ "127.0.0.1:5000", "http", "http", "127.0.0.1:5000", false },
		{ "127.evil.com", "", "https", "127.evil.com", false },
		{ "localhost.evil.com", "", "https", "localhost.evil.com", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_ARENA struct arena *a = arena_new();
		struct host_config *v;
		struct err e = { 0 };
		size_t n;

		CHECK_OK(hosts_load(NULL, rows[i].domain, rows[i].scheme, a, &v, &n, &e), &e);
		CHECK(n == 1 && v->may_fall_back == rows[i].falls_back);
		CHECK_STR(v->scheme, rows[i].want_scheme);
		CHECK_STR(v->host, rows[i].want_host);
	}
}

TEST(what_hosts_toml_may_not_say)
{
	static const char *const bad[] = {
		"server = 5",
		"server = \"ftp://x\"",
		"server = \"https://user@x\"",
		"server = \"https://x?y\"",
		"[host.\"https://x\"]\ncapabilities = [\"fly\"]",
		"[host.\"https://x\"]\nskip_verify = \"yes\"",
		"[host.\"https://x\".header]\na = \"b\\nc: d\"",
		"host = []",
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		AUTO_ARENA struct arena *a = arena_new();
		struct host_config *v;
		struct err e = { 0 };
		size_t n;

		if (hosts_parse(bad[i], strlen(bad[i]), "/d", "x.io", "", a, &v, &n, &e) == 0)
			FAIL_("accepted: %s", bad[i]);
	}
	AUTO_ARENA struct arena *a = arena_new();
	struct host_config *v;
	struct err e = { 0 };
	size_t n;
	CHECK_FAIL(hosts_load(NULL, "../etc", "", a, &v, &n, &e), &e, ERR_INVALID_ARGUMENT);
}
