#include "calls.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { DATA, HEADERS, RST_STREAM = 3, SETTINGS = 4, PING = 6, GOAWAY = 7, WINDOW_UPDATE = 8 };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };
enum { FRAME_HEADER = 9, FRAME_MAX = 16384, OUT_MAX = 64 << 20, CANCEL = 8 };

static void put32(uint8_t *at, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		at[i] = (uint8_t)(v >> (24 - 8 * i));
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void frame(struct calls *c, uint8_t type, uint8_t flags, uint32_t id, const void *payload,
		  size_t n)
{
	uint8_t head[FRAME_HEADER];

	put32(head, (uint32_t)n << 8 | type);
	head[4] = flags;
	put32(head + 5, id);
	str_addn(&c->out, head, sizeof head);
	str_addn(&c->out, payload, n);
}

/* The server may send what it likes, at once. */
void calls_open(struct calls *c, int fd_take)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	uint8_t window[6] = { 0, 4 }, more[4];

	*c = (struct calls){ .fd = fd_take, .next = 1, .out = STR_INIT(OUT_MAX) };
	str_addn(&c->out, preface, sizeof preface - 1);
	put32(window + 2, 0x7fffffff);
	frame(c, SETTINGS, 0, 0, window, sizeof window);
	put32(more, 0x7fffffff - 65535);
	frame(c, WINDOW_UPDATE, 0, 0, more, sizeof more);
}

void calls_close(struct calls *c)
{
	close(c->fd);
	str_done(&c->out);
}

/* HPACK's literal without an index; lengths of 127 and more have a second byte. */
static void add_text(struct str *s, const char *text)
{
	size_t n = strlen(text);

	if (n < 127) {
		str_addc(s, (char)n);
	} else {
		str_addc(s, 127);
		for (n -= 127; n >= 128; n >>= 7)
			str_addc(s, (char)(n | 128));
		str_addc(s, (char)n);
	}
	str_add(s, text);
}

static void add_header(struct str *s, const char *key, const char *value)
{
	if (!value)
		return;
	str_addc(s, 0);
	add_text(s, key);
	add_text(s, value);
}

uint32_t calls_begin(struct calls *c, const char *service, const char *method,
		     const struct calls_meta *meta)
{
	AUTO_STR struct str h = STR_INIT(4096), path = STR_INIT(1024);
	uint32_t id = c->next;

	c->next += 2;
	str_addf(&path, "/%s/%s", service, method);
	add_header(&h, ":method", "POST");
	add_header(&h, ":scheme", "http");
	add_header(&h, ":path", str_c(&path));
	add_header(&h, ":authority", "localhost");
	add_header(&h, "content-type", "application/grpc");
	add_header(&h, "te", "trailers");
	add_header(&h, "containerd-namespace", meta->ns);
	add_header(&h, "containerd-lease", meta->lease);
	frame(c, HEADERS, END_HEADERS, id, h.ptr, h.len);
	return id;
}

void calls_message(struct calls *c, uint32_t id, const uint8_t *data, size_t n, bool is_compressed)
{
	AUTO_STR struct str s = STR_INIT(OUT_MAX);
	uint8_t head[5] = { is_compressed };

	put32(head + 1, (uint32_t)n);
	str_addn(&s, head, sizeof head);
	str_addn(&s, data, n);
	for (size_t at = 0; at < s.len; at += FRAME_MAX)
		frame(c, DATA, 0, id, s.ptr + at, s.len - at < FRAME_MAX ? s.len - at : FRAME_MAX);
}

void calls_end(struct calls *c, uint32_t id)
{
	frame(c, DATA, END_STREAM, id, "", 0);
}

/* True when it was the call's last one. */
static bool is_end(struct calls *c, uint32_t id, const uint8_t *f)
{
	size_t n = get32(f) >> 8;
	uint32_t stream = get32(f + 5);

	if (f[3] == GOAWAY)
		__builtin_trap(); /* of an honest client's connection */
	if (f[3] == SETTINGS && !(f[4] & ACK))
		frame(c, SETTINGS, ACK, 0, "", 0);
	if (f[3] == PING && !(f[4] & ACK))
		frame(c, PING, ACK, 0, f + FRAME_HEADER, n);
	if (f[3] == DATA && n) { /* the windows never shrink */
		uint8_t more[4];

		put32(more, (uint32_t)n);
		frame(c, WINDOW_UPDATE, 0, 0, more, sizeof more);
	}
	if (stream != id)
		return false;
	return f[3] == RST_STREAM || ((f[3] == HEADERS || f[3] == DATA) && (f[4] & END_STREAM));
}

static bool take_frames(struct calls *c, uint32_t id)
{
	bool ended = false;
	size_t at = 0;

	while (c->n_in - at >= FRAME_HEADER) {
		size_t n = FRAME_HEADER + (get32(c->in + at) >> 8);

		if (n > FRAME_HEADER + FRAME_MAX)
			__builtin_trap(); /* larger than this client allowed */
		if (c->n_in - at < n)
			break;
		ended |= is_end(c, id, c->in + at);
		at += n;
	}
	memmove(c->in, c->in + at, c->n_in - at);
	c->n_in -= at;
	return ended;
}

static int left_ms(const struct timespec *begin, int ms)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	int64_t gone =
		(now.tv_sec - begin->tv_sec) * 1000 + (now.tv_nsec - begin->tv_nsec) / 1000000;

	return gone >= ms ? 0 : ms - (int)gone;
}

static void push(struct calls *c)
{
	ssize_t n = write(c->fd, c->out.ptr + c->sent, c->out.len - c->sent);

	if (n < 0 && errno != EAGAIN)
		__builtin_trap();
	c->sent += n > 0 ? (size_t)n : 0;
	if (c->sent == c->out.len) {
		str_reset(&c->out);
		c->sent = 0;
	}
}

bool calls_wait(struct calls *c, uint32_t id, int ms)
{
	struct timespec begin;
	bool ended = false;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (;;) {
		if (c->out.len)
			push(c);
		if (ended && !c->out.len)
			return true;

		struct pollfd p = { c->fd, (short)(POLLIN | (c->out.len ? POLLOUT : 0)), 0 };
		int left = left_ms(&begin, ms);

		if (poll(&p, 1, left) == 0 && left == 0)
			break;
		if (!(p.revents & (POLLIN | POLLHUP)))
			continue;
		ssize_t n = read(c->fd, c->in + c->n_in, sizeof c->in - c->n_in);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			__builtin_trap(); /* the server hung up on an honest client */
		c->n_in += n > 0 ? (size_t)n : 0;
		ended |= take_frames(c, id);
	}
	uint8_t code[4];

	put32(code, CANCEL);
	frame(c, RST_STREAM, 0, id, code, sizeof code);
	push(c);
	return false;
}
