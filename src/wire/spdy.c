#include "wire/spdy.h"

#include "base/mem.h"
#include "wire/spdy_header.h"

#include <string.h>

enum {
	HEAD = 8,
	VERSION = 3,
	FLAG_FIN = 1,
	SETTING_WINDOW = 7,
	WINDOW_MAX = 0x7fffffff,
	GIVE_BACK = SPDY_WINDOW / 2, /* so much is passed on before the peer is told */
};

enum type {
	SYN_STREAM = 1,
	SYN_REPLY = 2,
	RST_STREAM = 3,
	SETTINGS = 4,
	PING = 6,
	GOAWAY = 7,
	HEADERS = 8,
	WINDOW_UPDATE = 9,
};

struct spdy_stream {
	uint32_t id; /* 0: a free place */
	bool in_ended, out_ended;
	int64_t window; /* what may be sent; less than nothing after a change of the settings */
	size_t passed; /* not yet told */
};

struct spdy {
	uint8_t head[HEAD];
	size_t n_head;
	size_t left; /* of the frame that head begins */
	struct str body; /* of a control frame */
	struct str out;
	struct spdy_header_in *in;
	struct spdy_header_out *replies;
	struct spdy_stream streams[SPDY_STREAMS];
	size_t n_streams; /* places that were used */
	uint32_t last; /* the highest id that came */
	bool has_windows; /* the peer knows of them */
	int64_t window, first_window; /* the session's, and that of a new stream */
	size_t passed;
	bool is_over, said_goodbye;
};

struct spdy *spdy_new(void)
{
	struct spdy *s = NEW(struct spdy);

	s->body = STR_INIT(SPDY_CONTROL);
	s->out = STR_INIT(SPDY_OUT);
	s->in = spdy_header_in_new();
	s->replies = spdy_header_out_new();
	s->window = s->first_window = SPDY_WINDOW;
	return s;
}

void spdy_free(struct spdy *s)
{
	if (!s)
		return;
	spdy_header_in_free(s->in);
	spdy_header_out_free(s->replies);
	str_done(&s->body);
	str_done(&s->out);
	free(s);
}

struct str *spdy_out(struct spdy *s)
{
	return &s->out;
}

/* --- numbers and frames --- */

static uint32_t get_u32(const void *bytes)
{
	const uint8_t *p = bytes;

	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put_u32(struct str *out, uint32_t v)
{
	const uint8_t b[] = { (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8),
			      (uint8_t)v };

	str_addn(out, b, sizeof b);
}

static void put_control(struct spdy *s, enum type type, size_t len)
{
	put_u32(&s->out, 0x80000000u | VERSION << 16 | (uint32_t)type);
	put_u32(&s->out, (uint32_t)len);
}

static void put_two(struct spdy *s, enum type type, uint32_t a, uint32_t b)
{
	put_control(s, type, 8);
	put_u32(&s->out, a);
	put_u32(&s->out, b);
}

/* --- streams --- */

static struct spdy_stream *find(const struct spdy *s, uint32_t id)
{
	for (size_t i = 0; i < s->n_streams; i++)
		if (s->streams[i].id == id)
			return (struct spdy_stream *)&s->streams[i];
	return NULL;
}

static struct spdy_stream *add(struct spdy *s, uint32_t id)
{
	struct spdy_stream *st = find(s, 0);

	if (!st && s->n_streams == SPDY_STREAMS)
		return NULL;
	if (!st)
		st = &s->streams[s->n_streams++];
	*st = (struct spdy_stream){ .id = id, .window = s->first_window };
	return st;
}

static void end_if_done(struct spdy_stream *st)
{
	if (st->in_ended && st->out_ended)
		st->id = 0;
}

void spdy_reset(struct spdy *s, uint32_t stream, enum spdy_status status)
{
	struct spdy_stream *st = find(s, stream);

	if (st)
		st->id = 0;
	put_two(s, RST_STREAM, stream, (uint32_t)status);
}

static void go_away(struct spdy *s, uint32_t status)
{
	if (!s->said_goodbye)
		put_two(s, GOAWAY, s->last, status);
	s->said_goodbye = true;
}

void spdy_go_away(struct spdy *s)
{
	go_away(s, 0);
}

/* --- what is sent --- */

void spdy_accept(struct spdy *s, uint32_t stream)
{
	AUTO_STR struct str block = STR_INIT(1024);

	if (!stream || !find(s, stream))
		return;
	spdy_header_none(s->replies, &block);
	put_control(s, SYN_REPLY, 4 + block.len);
	put_u32(&s->out, stream);
	str_addn(&s->out, str_c(&block), block.len);
}

size_t spdy_room(const struct spdy *s, uint32_t stream)
{
	const struct spdy_stream *st = stream ? find(s, stream) : NULL;
	int64_t room = s->has_windows ? s->window : WINDOW_MAX;

	if (!st || st->out_ended)
		return 0;
	if (s->has_windows && st->window < room)
		room = st->window;
	return room > 0 ? (size_t)room : 0;
}

void spdy_send(struct spdy *s, uint32_t stream, const void *bytes, size_t n, bool is_last)
{
	struct spdy_stream *st = stream ? find(s, stream) : NULL;
	const uint8_t *p = bytes;

	if (!st || st->out_ended)
		return;
	st->window -= (int64_t)n;
	s->window -= (int64_t)n;
	do {
		size_t len = n < SPDY_DATA_MAX ? n : SPDY_DATA_MAX;

		n -= len;
		put_u32(&s->out, stream);
		put_u32(&s->out, (uint32_t)len | (is_last && !n ? FLAG_FIN << 24 : 0));
		str_addn(&s->out, p, len);
		p += len;
	} while (n);
	st->out_ended = is_last;
	end_if_done(st);
}

static void give_back(struct spdy *s, uint32_t stream, size_t *passed, size_t n)
{
	*passed += n;
	if (*passed < GIVE_BACK)
		return;
	put_two(s, WINDOW_UPDATE, stream, (uint32_t)*passed);
	*passed = 0;
}

void spdy_passed(struct spdy *s, uint32_t stream, size_t n)
{
	struct spdy_stream *st = stream ? find(s, stream) : NULL;

	give_back(s, 0, &s->passed, n);
	if (st && !st->in_ended)
		give_back(s, stream, &st->passed, n);
}

/* --- control frames --- */

static void fail(struct spdy *s, struct spdy_event *ret, const char *reason)
{
	*ret = (struct spdy_event){ .kind = SPDY_FAILED, .reason = reason };
	s->is_over = true;
	go_away(s, SPDY_PROTOCOL_ERROR);
}

static uint32_t body_u32(const struct spdy *s, size_t at)
{
	return get_u32(s->body.ptr + at) & 0x7fffffff;
}

static void on_syn_stream(struct spdy *s, struct spdy_event *ret)
{
	enum { FIELDS = 10 };
	bool is_last = s->head[4] & FLAG_FIN, is_bad;

	if (s->body.len < FIELDS) {
		fail(s, ret, "SYN_STREAM is too short");
		return;
	}

	uint32_t id = body_u32(s, 0);
	const char *bad = spdy_header_read(s->in, (const uint8_t *)s->body.ptr + FIELDS,
					   s->body.len - FIELDS, &is_bad);

	if (!bad && (id <= s->last || id % 2 == 0))
		bad = "a stream's number is not the next one";
	if (bad) {
		fail(s, ret, bad);
		return;
	}
	s->last = id;
	if (s->said_goodbye)
		return;

	struct spdy_stream *st = is_bad ? NULL : add(s, id);

	if (!st) {
		spdy_reset(s, id, is_bad ? SPDY_PROTOCOL_ERROR : SPDY_REFUSED_STREAM);
		return;
	}
	st->in_ended = is_last;
	*ret = (struct spdy_event){ .kind = SPDY_OPENED, .stream = id, .is_last = is_last };
}

/* More headers of a stream that is there: what packs them has to see them, and nobody else. */
static void on_headers(struct spdy *s, struct spdy_event *ret)
{
	bool is_bad;
	const char *bad = s->body.len < 4 ? "HEADERS is too short"
					  : spdy_header_read(s->in, (uint8_t *)s->body.ptr + 4,
							     s->body.len - 4, &is_bad);

	if (bad)
		fail(s, ret, bad);
}

static void on_rst(struct spdy *s, struct spdy_event *ret)
{
	if (s->body.len != 8) {
		fail(s, ret, "RST_STREAM is not 8 bytes long");
		return;
	}

	uint32_t id = body_u32(s, 0);
	struct spdy_stream *st = id ? find(s, id) : NULL;

	if (!st)
		return;
	st->id = 0;
	*ret = (struct spdy_event){ .kind = SPDY_RESET, .stream = id };
}

static void on_settings(struct spdy *s, struct spdy_event *ret)
{
	size_t n = s->body.len < 4 ? 0 : get_u32(s->body.ptr);

	if (s->body.len < 4 || (s->body.len - 4) / 8 != n || s->body.len % 8 != 4) {
		fail(s, ret, "SETTINGS is not as long as it says");
		return;
	}
	for (size_t i = 0; i < n; i++) {
		const char *p = s->body.ptr + 4 + 8 * i;
		uint32_t value = get_u32(p + 4);

		if ((get_u32(p) & 0xffffff) != SETTING_WINDOW)
			continue;
		if (value > WINDOW_MAX) {
			fail(s, ret, "a window of more than 2 GiB");
			return;
		}
		for (size_t k = 0; k < s->n_streams; k++)
			s->streams[k].window += (int64_t)value - s->first_window;
		s->first_window = value;
		s->has_windows = true;
	}
}

static void on_window(struct spdy *s, struct spdy_event *ret)
{
	if (s->body.len != 8) {
		fail(s, ret, "WINDOW_UPDATE is not 8 bytes long");
		return;
	}

	uint32_t id = body_u32(s, 0), more = body_u32(s, 4);
	struct spdy_stream *st = id ? find(s, id) : NULL;
	int64_t *window = st ? &st->window : &s->window;

	s->has_windows = true;
	if (id && !st)
		return; /* of a stream that has ended */
	if (more && *window + more <= WINDOW_MAX) {
		*window += more;
		return;
	}
	if (!st) {
		fail(s, ret, "a window of more than 2 GiB, or a change by nothing");
		return;
	}
	spdy_reset(s, id, SPDY_FLOW_CONTROL_ERROR);
	*ret = (struct spdy_event){ .kind = SPDY_RESET, .stream = id };
}

static void on_ping(struct spdy *s, struct spdy_event *ret)
{
	if (s->body.len != 4) {
		fail(s, ret, "PING is not 4 bytes long");
		return;
	}
	if (get_u32(s->body.ptr) % 2 == 0)
		return; /* the answer to one that nobody sent */
	put_control(s, PING, 4);
	str_addn(&s->out, s->body.ptr, 4);
}

static void on_control(struct spdy *s, struct spdy_event *ret)
{
	switch (s->head[2] << 8 | s->head[3]) {
	case SYN_STREAM:
		on_syn_stream(s, ret);
		break;
	case SYN_REPLY:
		fail(s, ret, "SYN_REPLY to nothing");
		break;
	case RST_STREAM:
		on_rst(s, ret);
		break;
	case SETTINGS:
		on_settings(s, ret);
		break;
	case PING:
		on_ping(s, ret);
		break;
	case HEADERS:
		on_headers(s, ret);
		break;
	case WINDOW_UPDATE:
		on_window(s, ret);
		break;
	default: /* GOAWAY: it closes when it has done; others are to be passed over */
		break;
	}
	str_reset(&s->body);
}

/* --- bytes --- */

static bool is_control(const struct spdy *s)
{
	return s->head[0] & 0x80;
}

/* A data frame of nothing, which ends a stream, is an event as well. */
static bool begin_frame(struct spdy *s, struct spdy_event *ret)
{
	uint32_t id = get_u32(s->head) & 0x7fffffff;

	s->left = get_u32(s->head + 4) & 0xffffff;
	if (is_control(s)) {
		if ((get_u32(s->head) >> 16 & 0x7fff) != VERSION)
			fail(s, ret, "a frame of another version than 3");
		else if (s->left > SPDY_CONTROL)
			fail(s, ret, "a control frame is too long");
		return !s->left;
	}

	const struct spdy_stream *st = id ? find(s, id) : NULL;

	if (id == 0 || id > s->last)
		fail(s, ret, "data of a stream that was never opened");
	else if (!st || st->in_ended)
		spdy_reset(s, id, SPDY_INVALID_STREAM);
	if (st && st->in_ended)
		*ret = (struct spdy_event){ .kind = SPDY_RESET, .stream = id };
	return !s->left;
}

/* A piece of a data frame, which may be its end. */
static void data(struct spdy *s, const uint8_t *bytes, size_t n, struct spdy_event *ret)
{
	uint32_t id = get_u32(s->head);
	struct spdy_stream *st = id ? find(s, id) : NULL;

	if (!st || st->in_ended)
		return; /* what was on its way when the stream ended */
	st->in_ended = !s->left && (s->head[4] & FLAG_FIN);
	*ret = (struct spdy_event){
		.kind = SPDY_BYTES, .stream = id, .is_last = st->in_ended, .bytes = bytes, .n = n
	};
	end_if_done(st);
}

static size_t push_body(struct spdy *s, const uint8_t *bytes, size_t n, struct spdy_event *ret)
{
	size_t take = n < s->left ? n : s->left;

	s->left -= take;
	if (is_control(s))
		str_addn(&s->body, bytes, take);
	else
		data(s, bytes, take, ret);
	if (s->left)
		return take;
	if (is_control(s))
		on_control(s, ret);
	s->n_head = 0;
	return take;
}

size_t spdy_push(struct spdy *s, const uint8_t *bytes, size_t n, struct spdy_event *ret)
{
	size_t at = 0;

	*ret = (struct spdy_event){ .kind = SPDY_MORE };
	while (at < n && !s->is_over && ret->kind == SPDY_MORE) {
		if (s->n_head == HEAD) {
			at += push_body(s, bytes + at, n - at, ret);
			continue;
		}
		s->head[s->n_head++] = bytes[at++];
		if (s->n_head == HEAD && begin_frame(s, ret) && !s->is_over)
			(void)push_body(s, bytes + at, 0, ret); /* takes nothing: it has no body */
		if (s->out.len > SPDY_OUT / 2)
			fail(s, ret, "the peer takes no answers");
	}
	return s->is_over ? n : at;
}

const char *spdy_header(const struct spdy *s, const char *name)
{
	return spdy_header_get(s->in, name);
}
