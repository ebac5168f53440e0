#include "api/cri/stream_priv.h"
#include "base/test.h"

#include <string.h>

static struct stream_request *request(const char *id)
{
	return stream_request_new(STREAM_EXEC, id, "pod");
}

static struct stream_tokens *tokens_new(void)
{
	struct stream_tokens *t = NEW(struct stream_tokens);

	stream_tokens_init(t);
	return t;
}

static void tokens_free(struct stream_tokens *t)
{
	stream_tokens_done(t);
	free(t);
}

TEST(good_once)
{
	struct stream_tokens *t = tokens_new();
	char one[TOKEN_LEN + 1], two[TOKEN_LEN + 1], wrong[TOKEN_LEN + 2];

	CHECK(stream_tokens_put(t, request("a"), 1, one) == 0);
	CHECK(stream_tokens_put(t, request("b"), 1, two) == 0);
	CHECK(strlen(one) == TOKEN_LEN && strcmp(one, two) != 0);

	/* what is nearly one */
	snprintf(wrong, sizeof wrong, "%sx", one);
	CHECK(!stream_tokens_take(t, wrong, 2));
	wrong[TOKEN_LEN - 1] = 0;
	CHECK(!stream_tokens_take(t, wrong, 2));
	CHECK(!stream_tokens_take(t, "", 2));
	snprintf(wrong, sizeof wrong, "%s", one);
	wrong[TOKEN_LEN - 1] ^= 1;
	CHECK(!stream_tokens_take(t, wrong, 2));

	struct stream_request *r = stream_tokens_take(t, one, 2);

	CHECK(r);
	CHECK_STR(r->id, "a");
	stream_request_free(r);
	CHECK(!stream_tokens_take(t, one, 2));
	r = stream_tokens_take(t, two, 1 + TOKEN_NS - 1);
	CHECK(r);
	stream_request_free(r);
	tokens_free(t);
}

TEST(good_for_a_minute)
{
	struct stream_tokens *t = tokens_new();
	char text[TOKEN_LEN + 1];

	CHECK(stream_tokens_put(t, request("a"), 5, text) == 0);
	CHECK(!stream_tokens_take(t, text, 5 + TOKEN_NS));
	CHECK(!stream_tokens_take(t, text, 6)); /* nor before, once it was asked for */
	tokens_free(t);
}

TEST(so_many)
{
	struct stream_tokens *t = tokens_new();
	struct stream_request *more = request("more");
	char text[TOKEN_LEN + 1];

	for (size_t i = 0; i < TOKENS; i++)
		CHECK(stream_tokens_put(t, request("a"), i, text) == 0);
	CHECK(stream_tokens_put(t, more, TOKENS, text) < 0);
	/* the oldest one's minute is over */
	CHECK(stream_tokens_put(t, more, TOKEN_NS, text) == 0);
	more = stream_tokens_take(t, text, TOKEN_NS);
	CHECK(more);
	CHECK_STR(more->id, "more");
	stream_request_free(more);
	tokens_free(t);
}
