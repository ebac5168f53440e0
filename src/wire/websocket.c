#include "wire/websocket.h"

#include "base/mem.h"

#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
#include <string.h>

#define KEY_SUFFIX "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455, 1.3 */

enum opcode { CONTINUATION = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };
enum { FIN = 0x80, RESERVED = 0x70, MASKED = 0x80, MASK = 4 };

void ws_done(struct ws *w)
{
	str_done(&w->out);
}

/* --- what is sent --- */

static void put_head(struct ws *w, enum opcode op, uint64_t n)
{
	uint8_t b[10] = { FIN | (uint8_t)op };
	size_t len = n < 126 ? 2 : n <= UINT16_MAX ? 4 : 10;

	b[1] = n < 126 ? (uint8_t)n : len == 4 ? 126 : 127;
	for (size_t i = 2; i < len; i++)
		b[i] = (uint8_t)(n >> 8 * (len - 1 - i));
	str_addn(&w->out, b, len);
}

void ws_send(struct ws *w, bool is_text, const void *first, size_t n_first, const void *bytes,
	     size_t n)
{
	if (w->said_goodbye)
		return;
	put_head(w, is_text ? TEXT : BINARY, n_first + n);
	str_addn(&w->out, first, n_first);
	str_addn(&w->out, bytes, n);
}

void ws_close(struct ws *w, enum ws_code code)
{
	const uint8_t b[] = { (uint8_t)(code >> 8), (uint8_t)code };

	if (w->said_goodbye)
		return;
	w->said_goodbye = true;
	put_head(w, CLOSE, sizeof b);
	str_addn(&w->out, b, sizeof b);
}

/* --- what comes --- */

static void fail(struct ws *w, struct ws_event *ret, const char *reason)
{
	*ret = (struct ws_event){ .kind = WS_FAILED, .reason = reason };
	w->is_over = true;
	ws_close(w, WS_PROTOCOL_ERROR);
}

static enum opcode opcode(const struct ws *w)
{
	return w->head[0] & 15;
}

static bool is_final(const struct ws *w)
{
	return w->head[0] & FIN;
}

static size_t length_bytes(const struct ws *w)
{
	return (w->head[1] & 127) == 126 ? 2 : (w->head[1] & 127) == 127 ? 8 : 0;
}

/* The first two bytes: NULL, or what is wrong. */
static const char *check_start(const struct ws *w)
{
	enum opcode op = opcode(w);

	if (w->head[0] & RESERVED)
		return "bits of an extension that nobody asked for";
	if (!(w->head[1] & MASKED))
		return "a client's frame without a mask";
	if (op > PONG || (op > BINARY && op < CLOSE))
		return "a frame of an unknown kind";
	if (op >= CLOSE)
		return is_final(w) && (w->head[1] & 127) < 126
			       ? NULL
			       : "a control frame in pieces, or longer than 125 bytes";
	if ((op == CONTINUATION) != w->in_message)
		return w->in_message ? "a message inside a message"
				     : "more of a message that was not begun";
	return NULL;
}

static const char *read_length(struct ws *w)
{
	size_t n = length_bytes(w);

	w->left = n ? 0 : w->head[1] & 127;
	for (size_t i = 0; i < n; i++)
		w->left = w->left << 8 | w->head[2 + i];
	if ((n == 2 && w->left < 126) || (n == 8 && w->left <= UINT16_MAX))
		return "a length in more bytes than it needs";
	return w->left >> 63 ? "a length of more than 63 bits" : NULL;
}

/* A byte of a frame's beginning; true: it is whole. */
static bool add_head(struct ws *w, uint8_t byte, struct ws_event *ret)
{
	const char *bad = NULL;

	w->head[w->n_head++] = byte;
	if (w->n_head == 2) {
		bad = check_start(w);
		w->head_len = 2 + length_bytes(w) + MASK;
	}
	if (!bad && w->n_head > 2 && w->n_head == w->head_len)
		bad = read_length(w);
	if (bad) {
		fail(w, ret, bad);
		return false;
	}
	return w->n_head > 2 && w->n_head == w->head_len;
}

static void on_close(struct ws *w, struct ws_event *ret)
{
	unsigned code = w->n_control < 2 ? WS_NORMAL : (unsigned)w->control[0] << 8 | w->control[1];

	if (w->n_control == 1 || code < 1000 || code >= 5000 || (code >= 1004 && code <= 1006)) {
		fail(w, ret, "a goodbye with a bad code");
		return;
	}
	ws_close(w, WS_NORMAL);
	w->is_over = true;
	*ret = (struct ws_event){ .kind = WS_CLOSED };
}

static void on_control(struct ws *w, struct ws_event *ret)
{
	if (opcode(w) == CLOSE)
		on_close(w, ret);
	if (opcode(w) == PING && !w->said_goodbye) {
		put_head(w, PONG, w->n_control);
		str_addn(&w->out, w->control, w->n_control);
	}
	w->n_control = 0;
}

static void on_message(struct ws *w, const uint8_t *bytes, size_t n, struct ws_event *ret)
{
	bool is_last = is_final(w) && !w->left;

	if (!w->in_message) {
		w->in_message = true;
		w->is_text = opcode(w) == TEXT;
		w->is_begun = false;
	}
	*ret = (struct ws_event){ .kind = WS_PIECE,
				  .is_first = !w->is_begun,
				  .is_last = is_last,
				  .is_text = w->is_text,
				  .bytes = bytes,
				  .n = n };
	w->is_begun = true;
	w->in_message = !is_last;
}

static size_t push_payload(struct ws *w, uint8_t *bytes, size_t n, struct ws_event *ret)
{
	size_t take = n < w->left ? n : (size_t)w->left;
	const uint8_t *mask = w->head + w->head_len - MASK;

	for (size_t i = 0; i < take; i++)
		bytes[i] ^= mask[w->mask_at++ % MASK];
	w->left -= take;
	if (opcode(w) >= CLOSE) {
		memcpy(w->control + w->n_control, bytes, take); /* at most 125 in all */
		w->n_control += take;
		if (!w->left)
			on_control(w, ret);
	} else {
		on_message(w, bytes, take, ret);
	}
	if (!w->left) {
		w->n_head = 0;
		w->mask_at = 0;
	}
	return take;
}

size_t ws_push(struct ws *w, uint8_t *bytes, size_t n, struct ws_event *ret)
{
	size_t at = 0;

	*ret = (struct ws_event){ .kind = WS_MORE };
	while (at < n && !w->is_over && ret->kind == WS_MORE) {
		if (w->n_head > 2 && w->n_head == w->head_len)
			at += push_payload(w, bytes + at, n - at, ret);
		else if (add_head(w, bytes[at++], ret) && !w->left)
			(void)push_payload(w, bytes + at, 0, ret); /* it has none */
		if (w->out.len > WS_OUT / 2 && !w->is_over)
			fail(w, ret, "the peer takes no answers");
	}
	return w->is_over ? n : at;
}

void ws_accept_key(const char *key, char ret[WS_ACCEPT + 1])
{
	AUTO_STR struct str text = STR_INIT(WS_ACCEPT);
	uint8_t sum[SHA_DIGEST_LENGTH];
	SHA_CTX c;

	SHA1_Init(&c);
	SHA1_Update(&c, key, strlen(key));
	SHA1_Update(&c, KEY_SUFFIX, strlen(KEY_SUFFIX));
	SHA1_Final(sum, &c);
	str_add_base64(&text, sum, sizeof sum);
	memcpy(ret, str_c(&text), WS_ACCEPT + 1);
}
