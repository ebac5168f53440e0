/* Against a scripted server on loopback: what is asked, what is told to whom. */
#include "image/registry.h"

#include "base/sha256.h"
#include "base/str.h"
#include "base/test.h"
#include "os/fd.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>

/* One answer to one request whose head begins with `want` and (if set) has / lacks a header. */
struct step {
	const char *want, *has, *lacks;
	const char *answer; /* status line and headers; Content-Length is added unless `raw` */
	const char *body;
	bool raw;
};

struct server {
	int fd, port;
	const struct step *steps;
	size_t n, at;
	pthread_t thread;
	char failure[512];
};

static void serve_one(struct server *s, int c)
{
	char head[8192] = "";
	size_t n = 0;

	while (n + 1 < sizeof head && !strstr(head, "\r\n\r\n")) {
		ssize_t r = read(c, head + n, sizeof head - 1 - n);

		if (r <= 0)
			return;
		n += (size_t)r;
		head[n] = 0;
	}
	const struct step *t = s->at < s->n ? &s->steps[s->at] : NULL;
	if (!t || strncmp(head, t->want, strlen(t->want)) != 0 ||
	    (t->has && !strcasestr(head, t->has)) || (t->lacks && strcasestr(head, t->lacks))) {
		snprintf(s->failure, sizeof s->failure, "step %zu did not expect: %.300s", s->at,
			 head);
		dprintf(c, "HTTP/1.1 418 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
		return;
	}
	s->at++;
	if (t->raw)
		dprintf(c, "%s\r\nConnection: close\r\n\r\n%s", t->answer, t->body);
	else
		dprintf(c, "%s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s", t->answer,
			strlen(t->body), strncmp(t->want, "HEAD", 4) == 0 ? "" : t->body);
}

static void *serve(void *arg)
{
	struct server *s = arg;

	for (;;) {
		int c = accept(s->fd, NULL, NULL);

		if (c < 0)
			return NULL;
		serve_one(s, c);
		shutdown(c, SHUT_WR);
		close(c);
	}
}

static void start(struct server *s, const struct step *steps, size_t n)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof a;

	*s = (struct server){ .steps = steps, .n = n };
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(s->fd >= 0 && bind(s->fd, (struct sockaddr *)&a, sizeof a) == 0 &&
	      listen(s->fd, 8) == 0 && getsockname(s->fd, (struct sockaddr *)&a, &len) == 0);
	s->port = ntohs(a.sin_port);
	CHECK(pthread_create(&s->thread, NULL, serve, s) == 0);
}

static void stop(struct server *s)
{
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
	if (s->failure[0])
		FAIL_("%s", s->failure);
	if (s->at != s->n)
		FAIL_("%zu of %zu requests came", s->at, s->n);
}

static struct registry *open_at(const struct server *s, const struct registry_config *more)
{
	AUTO_FREE char *text = xasprintf("127.0.0.1:%d/me/app:1", s->port);
	AUTO_REFERENCE struct reference ref = { 0 };
	struct registry_config cfg = more ? *more : (struct registry_config){ 0 };
	struct registry *r;
	struct err e = { 0 };

	cfg.default_scheme = "http";
	CHECK_OK(reference_parse(text, &ref, &e), &e);
	CHECK_OK(registry_open(&ref, &cfg, &r, &e), &e);
	return r;
}

static int collect(void *arg, const void *bytes, size_t n, UNUSED struct err *e)
{
	str_addn(arg, bytes, n);
	return 0;
}

#define OK_MANIFEST "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.oci.image.manifest.v1+json"
#define ABC "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

TEST(a_tag_is_resolved)
{
	static const struct step steps[] = {
		{ "HEAD /v2/me/app/manifests/1 ", "accept: application/vnd", "authorization",
		  OK_MANIFEST "\r\nDocker-Content-Digest: " ABC, "abc", false },
	};
	AUTO_ARENA struct arena *a = arena_new();
	struct oci_descriptor d;
	struct err e = { 0 };
	struct server s;

	start(&s, steps, ARRAY_LEN(steps));
	struct registry *r = open_at(&s, NULL);
	CHECK_OK(registry_resolve(r, a, &d, &e), &e);
	CHECK_STR(d.digest, ABC);
	CHECK(d.size == 3);
	registry_close(r);
	stop(&s);
}

TEST(who_does_not_answer_is_named)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct oci_descriptor d;
	struct err e = { 0 };
	const struct server nobody = { .port = 1 };
	struct registry *r = open_at(&nobody, NULL);

	CHECK_FAIL(registry_resolve(r, a, &d, &e), &e, ERR_UNAVAILABLE);
	CHECK_STR(e.msg,
		  "failed to resolve reference \"127.0.0.1:1/me/app:1\": failed to do request: "
		  "Head \"http://127.0.0.1:1/v2/me/app/manifests/1\": dial tcp 127.0.0.1:1: "
		  "connect: connection refused");
	registry_close(r);
}

TEST(a_broken_connection_is_taken_up_where_it_broke)
{
	static const struct step steps[] = {
		{ "GET /v2/me/app/blobs/" ABC, NULL,
		  "range:", "HTTP/1.1 200 OK\r\nContent-Length: 3", "a", true },
		{ "GET /v2/me/app/blobs/" ABC, "range: bytes=1-", NULL,
		  "HTTP/1.1 206 Partial Content", "b", true },
		/* a server without ranges sends all of it again */
		{ "GET /v2/me/app/blobs/" ABC, "range: bytes=2-", NULL, "HTTP/1.1 200 OK", "abc",
		  false },
	};
	const struct oci_descriptor d = { .digest = ABC, .size = 3, .media_type = "" };
	AUTO_STR struct str got = STR_INIT(100);
	struct err e = { 0 };
	struct server s;

	start(&s, steps, ARRAY_LEN(steps));
	struct registry *r = open_at(&s, NULL);
	CHECK_OK(registry_get_blob(r, &d, 0, collect, &got, &e), &e);
	CHECK_STR(str_c(&got), "abc");
	registry_close(r);
	stop(&s);
}

TEST(a_blob_is_never_longer_than_said)
{
	static const struct step steps[] = {
		{ "GET /v2/me/app/blobs/" ABC, NULL, NULL, "HTTP/1.1 200 OK", "abcdef", false },
	};
	const struct oci_descriptor d = { .digest = ABC, .size = 3, .media_type = "" };
	AUTO_STR struct str got = STR_INIT(100);
	struct err e = { 0 };
	struct server s;

	start(&s, steps, ARRAY_LEN(steps));
	struct registry *r = open_at(&s, NULL);
	CHECK_FAIL(registry_get_blob(r, &d, 0, collect, &got, &e), &e, ERR_DATA_LOSS);
	CHECK(got.len == 0);
	registry_close(r);
	stop(&s);
}

static int password(UNUSED struct arena *a, UNUSED const char *host, UNUSED const char *const *www,
		    struct transfer_credentials *ret, void *arg, UNUSED struct err *e)
{
	++*(int *)arg;
	*ret = (struct transfer_credentials){ TRANSFER_AUTH_PASSWORD, "me", "secret" };
	return 0;
}

TEST(basic_credentials_are_asked_for_once)
{
	static const struct step steps[] = {
		{ "GET", NULL, "authorization",
		  "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"x\"", "", false },
		{ "GET", "authorization: Basic bWU6c2VjcmV0", NULL, "HTTP/1.1 200 OK", "abc",
		  false },
		{ "GET", "authorization: Basic bWU6c2VjcmV0", NULL, "HTTP/1.1 200 OK", "abc",
		  false },
	};
	const struct oci_descriptor d = { .digest = ABC, .size = 3, .media_type = "" };
	AUTO_ARENA struct arena *a = arena_new();
	struct err e = { 0 };
	struct server s;
	int asked = 0;
	size_t n;
	char *doc;

	start(&s, steps, ARRAY_LEN(steps));
	struct registry *r =
		open_at(&s, &(struct registry_config){ .auth = password, .arg = &asked });
	CHECK_OK(registry_get_document(r, a, &d, &doc, &n, &e), &e);
	CHECK_OK(registry_get_document(r, a, &d, &doc, &n, &e), &e);
	CHECK_STR(doc, "abc");
	CHECK(asked == 1);
	registry_close(r);
	stop(&s);
}

TEST(no_secret_goes_to_another_domain)
{
	static const struct step steps[] = {
		{ "GET", NULL, NULL,
		  "HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer realm=\"https://evil.example/t\","
		  "service=\"x\"",
		  "", false },
	};
	const struct oci_descriptor d = { .digest = ABC, .size = 3, .media_type = "" };
	AUTO_ARENA struct arena *a = arena_new();
	struct err e = { 0 };
	struct server s;
	int asked = 0;
	size_t n;
	char *doc;

	start(&s, steps, ARRAY_LEN(steps));
	struct registry *r =
		open_at(&s, &(struct registry_config){ .auth = password, .arg = &asked });
	CHECK_FAIL(registry_get_document(r, a, &d, &doc, &n, &e), &e, ERR_PERMISSION_DENIED);
	CHECK(strstr(e.msg, "evil.example") && !strstr(e.msg, "secret"));
	registry_close(r);
	stop(&s);
}

TEST(a_redirect_elsewhere_loses_the_authorization)
{
	struct step there[] = {
		{ "GET /storage", NULL, "authorization", "HTTP/1.1 200 OK", "abc", false },
	};
	struct server other, s;
	const struct oci_descriptor d = { .digest = ABC, .size = 3, .media_type = "" };
	AUTO_ARENA struct arena *a = arena_new();
	struct err e = { 0 };
	int asked = 0;
	size_t n;
	char *doc;

	start(&other, there, 1);
	AUTO_FREE char *moved = xasprintf(
		"HTTP/1.1 307 There\r\nLocation: http://127.0.0.1:%d/storage?sig=x", other.port);
	struct step here[] = {
		{ "GET", NULL, "authorization", "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic", "",
		  false },
		{ "GET", "authorization: Basic", NULL, moved, "", false },
	};
	start(&s, here, 2);
	struct registry *r =
		open_at(&s, &(struct registry_config){ .auth = password, .arg = &asked });
	CHECK_OK(registry_get_document(r, a, &d, &doc, &n, &e), &e);
	registry_close(r);
	stop(&s);
	stop(&other);
}

/* Who stores blobs for a registry may not ask for its secret: 127.0.0.1 is one domain here, as two
 * customers of one cloud are. */
TEST(a_redirects_target_gets_no_say_in_the_authorization)
{
	struct step there[] = {
		{ "GET /storage", NULL, "authorization",
		  "HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer realm=\"https://127.0.0.1:1/t\"", "",
		  false },
	};
	struct server other, s;
	const struct oci_descriptor d = { .digest = ABC, .size = 3, .media_type = "" };
	AUTO_ARENA struct arena *a = arena_new();
	struct err e = { 0 };
	int asked = 0;
	size_t n;
	char *doc;

	start(&other, there, 1);
	AUTO_FREE char *moved = xasprintf(
		"HTTP/1.1 307 There\r\nLocation: http://127.0.0.1:%d/storage?sig=x", other.port);
	struct step here[] = { { "GET", NULL, NULL, moved, "", false } };
	start(&s, here, 1);
	struct registry *r =
		open_at(&s, &(struct registry_config){ .auth = password, .arg = &asked });
	CHECK_FAIL(registry_get_document(r, a, &d, &doc, &n, &e), &e, ERR_UNAUTHENTICATED);
	CHECK(asked == 0 && strstr(e.msg, "401"));
	registry_close(r);
	stop(&s);
	stop(&other);
}

TEST(failures_are_said_in_containerds_words)
{
	static const struct {
		const char *answer, *body, *want;
		enum err_code code;
		int times;
	} rows[] = {
		{ "HTTP/1.1 404 Not Found", "{}", "/me/app:1", ERR_NOT_FOUND, 1 },
		{ "HTTP/1.1 403 Forbidden",
		  "{\"errors\":[{\"code\":\"DENIED\",\"message\":\"go\\naway\"}]}",
		  "403 Forbidden: go away", ERR_PERMISSION_DENIED, 1 },
		{ "HTTP/1.1 500 Oops\r\nRetry-After: 0", "<html>", "500 Internal Server Error",
		  ERR_UNAVAILABLE, 5 },
		{ "HTTP/1.1 429 Slow\r\nRetry-After: 0", "", "429 Too Many Requests",
		  ERR_UNAVAILABLE, 5 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct oci_descriptor d = { .digest = ABC, .size = 3, .media_type = "" };
		AUTO_ARENA struct arena *a = arena_new();
		struct step steps[5];
		struct err e = { 0 };
		struct server s;
		size_t n;
		char *doc;

		for (int k = 0; k < rows[i].times; k++)
			steps[k] = (struct step){ "GET",          NULL,         NULL,
						  rows[i].answer, rows[i].body, false };
		start(&s, steps, (size_t)rows[i].times);
		struct registry *r = open_at(&s, NULL);
		CHECK_FAIL(registry_get_document(r, a, &d, &doc, &n, &e), &e, rows[i].code);
		if (!strstr(e.msg, rows[i].want))
			FAIL_("got \"%s\", want \"%s\"", e.msg, rows[i].want);
		registry_close(r);
		stop(&s);
	}
}

TEST(a_wrong_document_is_refused)
{
	static const struct step steps[] = {
		{ "GET", NULL, NULL, "HTTP/1.1 200 OK", "abd", false },
	};
	const struct oci_descriptor d = { .digest = ABC, .size = 3, .media_type = "" };
	AUTO_ARENA struct arena *a = arena_new();
	struct err e = { 0 };
	struct server s;
	size_t n;
	char *doc;

	start(&s, steps, 1);
	struct registry *r = open_at(&s, NULL);
	CHECK_FAIL(registry_get_document(r, a, &d, &doc, &n, &e), &e, ERR_DATA_LOSS);
	registry_close(r);
	stop(&s);
}
