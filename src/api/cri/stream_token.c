/* Tokens: each is good once, for a minute, and there are not many of them. */
#include "api/cri/stream_priv.h"

#include <string.h>
#include <sys/random.h>

void stream_tokens_init(struct stream_tokens *t)
{
	*t = (struct stream_tokens){ 0 };
	pthread_mutex_init(&t->lock, NULL);
}

static void clear(struct stream_token *t)
{
	stream_request_free(t->request);
	*t = (struct stream_token){ 0 };
}

void stream_tokens_done(struct stream_tokens *t)
{
	for (size_t i = 0; i < TOKENS; i++)
		clear(&t->v[i]);
	pthread_mutex_destroy(&t->lock);
}

/* 48 bits, in letters that need no quoting in a URL. */
static void make_text(char ret[TOKEN_LEN + 1])
{
	static const char set[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint8_t b[TOKEN_LEN];

	while (getrandom(b, sizeof b, 0) != sizeof b)
		; /* interrupted, early in the life of the machine */
	for (size_t i = 0; i < TOKEN_LEN; i++)
		ret[i] = set[b[i] & 63];
	ret[TOKEN_LEN] = 0;
}

int stream_tokens_put(struct stream_tokens *t, struct stream_request *r, uint64_t now,
		      char ret[TOKEN_LEN + 1])
{
	struct stream_token *place = NULL;

	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < TOKENS; i++) {
		if (t->v[i].request && t->v[i].until <= now)
			clear(&t->v[i]);
		if (!t->v[i].request && !place)
			place = &t->v[i];
	}
	if (place) {
		make_text(place->text);
		memcpy(ret, place->text, sizeof place->text);
		place->until = now + TOKEN_NS;
		place->request = r;
	}
	pthread_mutex_unlock(&t->lock);
	return place ? 0 : -1;
}

/* Takes as long whatever the text is. */
static bool is_same(const char *a, const char *b)
{
	unsigned differs = 0;

	for (size_t i = 0; i < TOKEN_LEN; i++)
		differs |= (unsigned)(a[i] ^ b[i]);
	return !differs;
}

struct stream_request *stream_tokens_take(struct stream_tokens *t, const char *text, uint64_t now)
{
	struct stream_request *r = NULL;

	if (strlen(text) != TOKEN_LEN)
		return NULL;
	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < TOKENS; i++) {
		struct stream_token *k = &t->v[i];

		if (!k->request || !is_same(k->text, text))
			continue;
		if (k->until > now)
			r = TAKE_PTR(k->request);
		clear(k);
	}
	pthread_mutex_unlock(&t->lock);
	return r;
}
