#include "wire/spdy_header.h"

#include "base/mem.h"
#include "base/str.h"
#include "wire/spdy.h"
#include "wire/spdy_words.h"

#include <string.h>
#include <zlib.h>

/* The smallest there are: what is packed here is empty. */
enum { OUT_WINDOW_BITS = 9, OUT_MEMORY = 1, OUT_CHUNK = 64, CHUNK = 4096 };

struct spdy_pair {
	const char *name, *value; /* in text */
};

struct spdy_header_in {
	z_stream z;
	struct str text; /* the unpacked block, with an end behind each word */
	struct spdy_pair pairs[SPDY_PAIRS];
	size_t n_pairs;
};

struct spdy_header_out {
	z_stream z;
};

struct spdy_header_in *spdy_header_in_new(void)
{
	struct spdy_header_in *h = NEW(struct spdy_header_in);

	h->text = STR_INIT(SPDY_HEADERS);
	if (inflateInit(&h->z) != Z_OK)
		BUG("inflateInit"); /* out of memory, as everywhere */
	return h;
}

void spdy_header_in_free(struct spdy_header_in *h)
{
	if (!h)
		return;
	(void)inflateEnd(&h->z); /* in whatever state it is */
	str_done(&h->text);
	free(h);
}

/* One step; NULL, or what is wrong. */
static const char *inflate_step(z_stream *z)
{
	int r = inflate(z, Z_SYNC_FLUSH);

	if (r == Z_NEED_DICT)
		r = inflateSetDictionary(z, (const Bytef *)spdy_words, SPDY_WORDS);
	return r == Z_OK || r == Z_BUF_ERROR ? NULL : "headers cannot be unpacked";
}

static const char *unpack(struct spdy_header_in *h, const uint8_t *block, size_t n)
{
	uint8_t chunk[CHUNK];

	str_reset(&h->text);
	h->z.next_in = (Bytef *)block;
	h->z.avail_in = (uInt)n;
	do {
		uInt before = h->z.avail_in;

		h->z.next_out = chunk;
		h->z.avail_out = sizeof chunk;

		const char *bad = inflate_step(&h->z);
		size_t got = sizeof chunk - h->z.avail_out;

		if (bad)
			return bad;
		str_addn(&h->text, chunk, got);
		if (h->text.over)
			return "headers are too long";
		if (!got && h->z.avail_in == before && before)
			return "headers cannot be unpacked";
	} while (h->z.avail_in || !h->z.avail_out);
	return NULL;
}

static bool read_u32(const struct str *t, size_t *at, uint32_t *ret)
{
	if (t->len - *at < 4)
		return false;

	const uint8_t *p = (const uint8_t *)t->ptr + *at;

	*ret = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	*at += 4;
	return true;
}

/* A word, which ends where the next length begins: that byte has been read already. */
static bool read_word(struct str *t, size_t *at, const char **ret, uint32_t *ret_len)
{
	if (!read_u32(t, at, ret_len) || *ret_len > t->len - *at)
		return false;
	/* one to the left, over the last byte of the length */
	char *to = t->ptr + *at - 1;

	memmove(to, to + 1, *ret_len);
	to[*ret_len] = 0;
	*ret = to;
	*at += *ret_len;
	return true;
}

static bool is_name(const char *name, uint32_t len)
{
	if (!len || strlen(name) != len)
		return false;
	for (const char *p = name; *p; p++)
		if (*p <= ' ' || *p > '~' || (*p >= 'A' && *p <= 'Z'))
			return false;
	return true;
}

const char *spdy_header_read(struct spdy_header_in *h, const uint8_t *block, size_t n,
			     bool *ret_bad)
{
	const char *bad = unpack(h, block, n);
	uint32_t count, len;
	size_t at = 0;

	h->n_pairs = 0;
	*ret_bad = false;
	if (bad)
		return bad;
	if (!read_u32(&h->text, &at, &count))
		return "headers without a count";
	if (count > SPDY_PAIRS)
		return "too many headers";
	for (uint32_t i = 0; i < count; i++) {
		struct spdy_pair *p = &h->pairs[h->n_pairs];

		if (!read_word(&h->text, &at, &p->name, &len))
			return "a header is longer than its block";
		*ret_bad |= !is_name(p->name, len);
		if (!read_word(&h->text, &at, &p->value, &len))
			return "a header is longer than its block";
		h->n_pairs++;
	}
	return at == h->text.len ? NULL : "bytes behind the headers";
}

const char *spdy_header_get(const struct spdy_header_in *h, const char *name)
{
	for (size_t i = 0; i < h->n_pairs; i++)
		if (strcmp(h->pairs[i].name, name) == 0)
			return h->pairs[i].value;
	return NULL;
}

struct spdy_header_out *spdy_header_out_new(void)
{
	struct spdy_header_out *h = NEW(struct spdy_header_out);

	if (deflateInit2(&h->z, 1, Z_DEFLATED, OUT_WINDOW_BITS, OUT_MEMORY, Z_DEFAULT_STRATEGY) !=
		    Z_OK ||
	    deflateSetDictionary(&h->z, (const Bytef *)spdy_words, SPDY_WORDS) != Z_OK)
		BUG("deflateInit2");
	return h;
}

void spdy_header_out_free(struct spdy_header_out *h)
{
	if (!h)
		return;
	(void)deflateEnd(&h->z); /* says that there was more: there always is */
	free(h);
}

void spdy_header_none(struct spdy_header_out *h, struct str *out)
{
	uint8_t zero[4] = { 0 }, chunk[OUT_CHUNK];

	h->z.next_in = zero;
	h->z.avail_in = sizeof zero;
	do {
		h->z.next_out = chunk;
		h->z.avail_out = sizeof chunk;
		(void)deflate(&h->z, Z_SYNC_FLUSH); /* Z_BUF_ERROR: nothing was left */
		str_addn(out, chunk, sizeof chunk - h->z.avail_out);
	} while (!h->z.avail_out);
}
