#include "wire/grpc_message.h"

#include <string.h>

/* Arena memory that one message may take, decoded. */
enum { DECODED_MAX = 64 * 1024 * 1024 };

void grpc_reader_init(struct grpc_reader *r, size_t max)
{
	*r = (struct grpc_reader){ .max = max };
}

void grpc_reader_done(struct grpc_reader *r)
{
	free(r->msg);
	r->msg = NULL;
}

size_t grpc_reader_held(const struct grpc_reader *r)
{
	return r->msg ? r->cap : 0;
}

static void grow(struct grpc_reader *r, size_t need)
{
	if (r->msg && need <= r->cap)
		return;

	size_t cap = r->cap ? r->cap : 1024, len = r->msg ? r->msg->len : 0;
	while (cap < need)
		cap *= 2;
	if (cap > r->want)
		cap = r->want;
	r->msg = xreallocarray(r->msg, 1, sizeof *r->msg + cap);
	r->msg->len = len;
	r->msg->next = NULL;
	r->cap = cap;
}

static int prefix_done(struct grpc_reader *r, struct err *e)
{
	const uint8_t *p = r->prefix;

	if (p[0] == 1)
		return err_set(e, ERR_INTERNAL,
			       "grpc: compressed flag set with identity or empty encoding");
	if (p[0] != 0)
		return err_set(e, ERR_INTERNAL, "grpc: received unexpected payload format %d",
			       p[0]);
	r->want = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
	if (r->want > r->max)
		return err_set(e, ERR_RESOURCE_EXHAUSTED,
			       "grpc: received message larger than max (%zu vs. %zu)", r->want,
			       r->max);
	return 0;
}

int grpc_reader_feed(struct grpc_reader *r, const uint8_t *p, size_t n, size_t *ret_used,
		     struct grpc_msg **ret, struct err *e)
{
	size_t used = 0;

	while (used < n && r->prefix_len < GRPC_PREFIX) {
		r->prefix[r->prefix_len++] = p[used++];
		if (r->prefix_len == GRPC_PREFIX && prefix_done(r, e) < 0)
			return -1;
	}
	*ret_used = used;
	if (r->prefix_len < GRPC_PREFIX)
		return 0;

	size_t have = r->msg ? r->msg->len : 0;
	size_t take = n - used < r->want - have ? n - used : r->want - have;
	grow(r, have + take);
	memcpy(r->msg->data + have, p + used, take);
	r->msg->len = have + take;
	*ret_used = used + take;
	if (r->msg->len < r->want)
		return 0;
	*ret = TAKE_PTR(r->msg);
	r->cap = r->want = 0;
	r->prefix_len = 0;
	return 1;
}

int grpc_encode(const ProtobufCMessage *msg, size_t max, uint8_t **ret, size_t *ret_len,
		struct err *e)
{
	size_t n = protobuf_c_message_get_packed_size(msg);

	if (n > max)
		return err_set(e, ERR_RESOURCE_EXHAUSTED,
			       "grpc: trying to send message larger than max (%zu vs. %zu)", n,
			       max);

	uint8_t *p = xmalloc(GRPC_PREFIX + n);
	p[0] = 0;
	for (int i = 0; i < 4; i++)
		p[1 + i] = (uint8_t)(n >> (24 - 8 * i));
	protobuf_c_message_pack(msg, p + GRPC_PREFIX);
	*ret = p;
	*ret_len = GRPC_PREFIX + n;
	return 0;
}

struct budget {
	struct arena *arena;
	size_t left;
};

static void *budget_alloc(void *data, size_t n)
{
	struct budget *b = data;

	if (n > b->left)
		return NULL;
	b->left -= n;
	return arena_alloc(b->arena, n);
}

static void budget_free(UNUSED void *data, UNUSED void *p)
{
}

static bool is_utf8(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;

	while (*p) {
		unsigned c = *p++, more, min;

		if (c < 0x80)
			continue;
		if (c >= 0xc2 && c <= 0xdf) {
			more = 1, min = 0x80, c &= 0x1f;
		} else if ((c & 0xf0) == 0xe0) {
			more = 2, min = 0x800, c &= 0x0f;
		} else if (c >= 0xf0 && c <= 0xf4) {
			more = 3, min = 0x10000, c &= 0x07;
		} else {
			return false;
		}
		for (; more; more--, p++) {
			if ((*p & 0xc0) != 0x80)
				return false;
			c = c << 6 | (*p & 0x3f);
		}
		if (c < min || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
			return false;
	}
	return true;
}

static bool strings_are_utf8(const ProtobufCMessage *m);

static bool value_is_utf8(const ProtobufCFieldDescriptor *f, const void *value)
{
	if (f->type == PROTOBUF_C_TYPE_STRING) {
		const char *s = *(const char *const *)value;

		return !s || is_utf8(s);
	}
	if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
		const ProtobufCMessage *m = *(const ProtobufCMessage *const *)value;

		return !m || strings_are_utf8(m);
	}
	return true;
}

/* Depth is bounded: protobuf-c nests as far as the schema does, and ours has no recursion. */
static bool strings_are_utf8(const ProtobufCMessage *m)
{
	for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
		const char *at = (const char *)m + f->offset;

		if (f->type != PROTOBUF_C_TYPE_STRING && f->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		if (f->label == PROTOBUF_C_LABEL_REPEATED) {
			size_t n = *(const size_t *)((const char *)m + f->quantifier_offset);
			const void *const *v = *(const void *const *const *)at;

			for (size_t k = 0; k < n; k++)
				if (!value_is_utf8(f, &v[k]))
					return false;
		} else if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
			   *(const uint32_t *)((const char *)m + f->quantifier_offset) != f->id) {
			continue; /* another member of the union is set */
		} else if (!value_is_utf8(f, at)) {
			return false;
		}
	}
	return true;
}

int grpc_decode(const ProtobufCMessageDescriptor *type, struct arena *a, const void *p, size_t n,
		void **ret, struct err *e)
{
	struct budget b = { a, DECODED_MAX };
	ProtobufCAllocator alloc = { budget_alloc, budget_free, &b };
	ProtobufCMessage *m = protobuf_c_message_unpack(type, &alloc, n, p);

	if (!m)
		return err_set(e, ERR_INTERNAL,
			       "grpc: error unmarshalling request: proto: cannot parse %s",
			       type->name);
	if (!strings_are_utf8(m))
		return err_set(
			e, ERR_INTERNAL,
			"grpc: error unmarshalling request: string field contains invalid UTF-8");
	*ret = m;
	return 0;
}
