#include "wire/ttrpc.h"

#include "base/mem.h"

#include <string.h>

static uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put_u32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

/* Kept between frames, so that a busy connection does not allocate for each. */
enum { KEEP = 4096 };

void ttrpc_reader_done(struct ttrpc_reader *r)
{
	free(r->body);
	*r = TTRPC_READER_INIT;
}

static void body_add(struct ttrpc_reader *r, const uint8_t *bytes, size_t n)
{
	size_t at = r->have - TTRPC_HEADER;

	if (at + n > r->cap) {
		size_t cap = r->cap ? r->cap : 512;

		while (cap < at + n)
			cap *= 2;
		r->body = xreallocarray(r->body, cap, 1);
		r->cap = cap;
	}
	memcpy(r->body + at, bytes, n);
	r->have += n;
}

static void frame_end(struct ttrpc_reader *r, struct ttrpc_frame *ret, bool is_too_long)
{
	*ret = (struct ttrpc_frame){
		.stream = get_u32(r->header + 4),
		.type = r->header[8],
		.flags = r->header[9],
		.is_too_long = is_too_long,
		.body = is_too_long ? NULL : r->body,
		.len = r->body_len,
	};
	r->have = 0;
}

size_t ttrpc_reader_push(struct ttrpc_reader *r, const uint8_t *bytes, size_t n,
			 struct ttrpc_frame *ret, bool *ret_has)
{
	size_t used = 0;

	*ret_has = false;
	if (!r->have && r->cap > KEEP) {
		/* The last frame was large and has been looked at. */
		free(r->body);
		r->body = NULL;
		r->cap = 0;
	}
	if (r->have < TTRPC_HEADER) {
		used = TTRPC_HEADER - r->have < n ? TTRPC_HEADER - r->have : n;
		memcpy(r->header + r->have, bytes, used);
		r->have += used;
		if (r->have < TTRPC_HEADER)
			return used;
		r->body_len = get_u32(r->header);
		r->skip = r->body_len > TTRPC_MAX_BODY ? r->body_len : 0;
	}

	size_t rest = n - used;

	if (r->skip) {
		size_t take = r->skip < rest ? r->skip : rest;

		r->skip -= take;
		if (!r->skip) {
			frame_end(r, ret, true);
			*ret_has = true;
		}
		return used + take;
	}

	size_t missing = TTRPC_HEADER + r->body_len - r->have;
	size_t take = missing < rest ? missing : rest;

	if (take)
		body_add(r, bytes + used, take);
	if (take == missing) {
		frame_end(r, ret, false);
		*ret_has = true;
	}
	return used + take;
}

void ttrpc_frame_add(struct str *out, uint32_t stream, enum ttrpc_type type, uint8_t flags,
		     const void *body, size_t len)
{
	uint8_t h[TTRPC_HEADER];

	if (len > TTRPC_MAX_BODY)
		BUG("ttrpc frame over the limit");
	put_u32(h, (uint32_t)len);
	put_u32(h + 4, stream);
	h[8] = (uint8_t)type;
	h[9] = flags;
	str_addn(out, h, sizeof h);
	if (len)
		str_addn(out, body, len);
}
