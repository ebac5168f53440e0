#include "base/test.h"
#include "cmd/containerd/http.h"

TEST(a_path_without_its_query)
{
	AUTO_FREE char *path = NULL;

	CHECK(http_parse("GET /v1/metrics?x=1 HTTP/1.1\r\n\r\n", &path) == 200);
	CHECK_STR(path, "/v1/metrics");
}

TEST(what_is_no_get_is_refused)
{
	static const struct {
		const char *request;
		int status;
	} cases[] = {
		{ "POST / HTTP/1.1\r\n\r\n", 405 },
		{ "", 405 },
		{ "GET", 405 },
		{ "GET  HTTP/1.1\r\n\r\n", 400 },
		{ "GET http://x/ HTTP/1.1\r\n\r\n", 400 },
		{ "GET /\r\n\r\n", 400 },
		{ "GET / HTTP/2.0\r\n\r\n", 400 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_FREE char *path = NULL;
		int status = http_parse(cases[i].request, &path);

		if (status != cases[i].status)
			FAIL_("\"%s\": %d", cases[i].request, status);
	}
}

TEST(addresses_have_a_port)
{
	static const char *const bad[] = { "127.0.0.1", "nohost.invalid:1", "127.0.0.1:x" };
	struct err e = { 0 };
	int fd = -1;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CHECK(http_listen_tcp(bad[i], &fd, &e) == -1);
		err_clear(&e);
	}
	CHECK(http_listen_tcp("127.0.0.1:0", &fd, &e) == 0);
	close(fd);
}
