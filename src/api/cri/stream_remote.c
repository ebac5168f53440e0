/* Exec and attach: a connection whose streams are a process's stdin, stdout and stderr, one for
 * terminal sizes and one for how it ended. */
#include "api/cri/stream_priv.h"
#include "base/jsonr.h"

#include <stdio.h>
#include <string.h>

/* The numbers of Kubernetes' WebSocket channels. */
enum lane { STDIN, STDOUT, STDERR, STATUS, RESIZE, LANES };

static const char *const lane_names[LANES] = { "stdin", "stdout", "stderr", "error", "resize" };

enum { SIZE_TEXT = 1024 };

struct remote {
	struct stream_seat seat; /* first: what a process knows of us */
	struct stream_conn *conn;
	struct stream_request *request; /* NULL: the process has it */
	enum stream_kind kind;
	bool is_wanted[LANES], has[LANES];
	uint32_t id[LANES];
	size_t n_missing; /* streams that the client has yet to open */
	uint64_t until; /* and by when */
	bool is_stdin_once, is_held, has_input_end, is_joined;
	struct str early; /* input that came before all streams were there */
	struct str size; /* of a terminal, as far as it has come */
	char *what; /* what is run, for the sentence at the end */
};

/* --- the end --- */

static void remote_free(struct remote *r)
{
	stream_process_leave(&r->seat);
	stream_request_free(r->request);
	str_done(&r->size);
	str_done(&r->early);
	free(r->what);
	free(r);
}

static void end_lane(struct remote *r, enum lane lane, const char *text)
{
	if (r->has[lane])
		stream_conn_say(r->conn, r->id[lane], text, true);
}

static void finish(struct remote *r, const char *status)
{
	end_lane(r, STDOUT, "");
	end_lane(r, STDERR, "");
	end_lane(r, STATUS, status);
	stream_conn_finish(r->conn);
	remote_free(r);
}

static void say_failure(struct remote *r, const char *sentence)
{
	AUTO_STR struct str out = STR_INIT(1 << 16);

	if (stream_conn_has_status(r->conn))
		stream_status_error(sentence, &out);
	else
		str_add(&out, sentence);
	finish(r, str_c(&out));
}

static void say_exit(struct remote *r, uint32_t code)
{
	AUTO_STR struct str out = STR_INIT(1 << 16), text = STR_INIT(1 << 15);
	bool has_status = stream_conn_has_status(r->conn);

	if (code) {
		str_addf(&text, "error executing command [%s], exit code %u", r->what, code);
		if (has_status)
			stream_status_exit(str_c(&text), code, &out);
		else
			str_addf(&out, "command terminated with non-zero exit code: %s",
				 str_c(&text));
	} else if (has_status) {
		stream_status_success(&out);
	}
	finish(r, str_c(&out));
}

static void on_ended(struct stream_seat *seat, const struct err *e, uint32_t status)
{
	struct remote *r = (struct remote *)seat;
	char text[sizeof e->msg + 128], msg[sizeof e->msg];

	if (e && e->code) {
		snprintf(text, sizeof text,
			 r->kind == STREAM_EXEC ? "error executing command in container: %s"
						: "error attaching to container: %s",
			 err_text(e, msg, sizeof msg));
		say_failure(r, text);
	} else {
		say_exit(r, r->kind == STREAM_EXEC ? status : 0);
	}
}

/* --- from the process --- */

static void on_output(struct stream_seat *seat, int which, const uint8_t *p, size_t n, bool is_last)
{
	struct remote *r = (struct remote *)seat;
	enum lane lane = which == 1 ? STDOUT : STDERR;

	if (!r->has[lane])
		return;
	stream_conn_send(r->conn, r->id[lane], p, n, is_last);
	if (is_last && stream_conn_is_spdy(r->conn))
		r->has[lane] = false;
}

static size_t on_room_asked(struct stream_seat *seat, int which)
{
	struct remote *r = (struct remote *)seat;
	enum lane lane = which == 1 ? STDOUT : STDERR;

	/* what nobody wants goes nowhere */
	return r->has[lane] ? stream_conn_room(r->conn, r->id[lane]) : STREAM_CHUNK;
}

static void on_input_room(struct stream_seat *seat)
{
	struct remote *r = (struct remote *)seat;

	if (r->is_held)
		stream_conn_hold(r->conn, false);
	r->is_held = false;
}

/* --- from the client --- */

static void pass_input(struct remote *r, const void *p, size_t n)
{
	if (n && !stream_process_input(&r->seat, p, n) && !r->is_held) {
		r->is_held = true;
		stream_conn_hold(r->conn, true);
	}
}

/* r may be gone after it. */
static void end_input(struct remote *r)
{
	if (r->kind == STREAM_EXEC || r->is_stdin_once)
		stream_process_input_end(&r->seat);
	else
		say_exit(r, 0); /* who is attached and says no more has left */
}

static void begin(struct remote *r)
{
	r->is_joined = true;
	r->seat.output = on_output;
	r->seat.room = on_room_asked;
	r->seat.input_room = on_input_room;
	r->seat.ended = on_ended;
	stream_process_join(stream_conn_server(r->conn), TAKE_PTR(r->request), &r->seat);
	pass_input(r, str_c(&r->early), r->early.len);
	str_done(&r->early);
	if (r->has_input_end)
		end_input(r);
}

static void on_opened(void *arg, uint32_t id, bool is_last)
{
	struct remote *r = arg;
	const char *type = stream_conn_header(r->conn, "streamtype") ?: "";

	for (enum lane i = 0; i < LANES; i++) {
		if (strcmp(type, lane_names[i]) != 0)
			continue;
		if (!r->is_wanted[i] || r->has[i] || r->is_joined)
			break;
		r->has[i] = true;
		r->id[i] = id;
		r->has_input_end |= i == STDIN && is_last;
		stream_conn_accept(r->conn, id);
		if (--r->n_missing == 0)
			begin(r);
		return;
	}
	stream_conn_reset(r->conn, id);
}

static void on_stdin(struct remote *r, const uint8_t *p, size_t n, bool is_last)
{
	if (r->has_input_end)
		return;
	if (r->is_joined) {
		pass_input(r, p, n);
	} else {
		str_addn(&r->early, p, n);
		if (r->early.over) {
			say_failure(r, "too much input before there are streams for the output");
			return;
		}
	}
	stream_conn_passed(r->conn, r->id[STDIN], n);
	r->has_input_end = is_last;
	if (is_last && r->is_joined)
		end_input(r);
}

static int read_side(json_object *o, const char *key, uint16_t *ret)
{
	struct err e = { 0 };
	uint64_t v = 0;

	if (jsonr_u64(o, key, &v, &e) < 0 || v > UINT16_MAX)
		return -1;
	*ret = (uint16_t)v;
	return 0;
}

static void set_size(struct remote *r, const char *text, size_t n)
{
	AUTO_JSON json_object *o = NULL;
	uint16_t width = 0, height = 0;
	struct err e = { 0 };

	/* What is no size changes none. */
	if (jsonr_parse(text, n, &o, &e) < 0 || !json_object_is_type(o, json_type_object) ||
	    read_side(o, "Width", &width) < 0 || read_side(o, "Height", &height) < 0)
		return;
	if (r->is_joined && width && height)
		stream_process_resize(&r->seat, width, height);
}

/* Objects one behind the other, in pieces of any size; none has another in it. */
static void on_size(struct remote *r, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		str_addc(&r->size, (char)p[i]);
		if (p[i] == '}' || r->size.over) {
			if (!r->size.over)
				set_size(r, str_c(&r->size), r->size.len);
			str_reset(&r->size);
		}
	}
	stream_conn_passed(r->conn, r->id[RESIZE], n);
}

static void on_bytes(void *arg, uint32_t id, const uint8_t *p, size_t n, bool is_last)
{
	struct remote *r = arg;

	if (r->has[STDIN] && r->id[STDIN] == id)
		on_stdin(r, p, n, is_last);
	else if (r->has[RESIZE] && r->id[RESIZE] == id)
		on_size(r, p, n);
	else
		stream_conn_passed(r->conn, id, n);
}

/* A client that does not want a stream any more; without stdin the process goes on. */
static void on_reset(void *arg, uint32_t id)
{
	struct remote *r = arg;

	for (enum lane i = 0; i < LANES; i++)
		if (r->has[i] && r->id[i] == id) {
			if (i == STDIN) {
				on_stdin(r, NULL, 0, true);
				return; /* r may be gone */
			}
			r->has[i] = false;
		}
}

static void on_room(void *arg)
{
	struct remote *r = arg;

	if (r->is_joined)
		stream_process_room(&r->seat);
}

static void on_gone(void *arg)
{
	remote_free(arg);
}

static uint64_t on_timer(void *arg, uint64_t now)
{
	struct remote *r = arg;

	if (r->is_joined || now < r->until)
		return r->is_joined ? 0 : r->until;
	say_failure(r, "timed out waiting for client to create streams");
	return 0;
}

/* --- the beginning --- */

static void choose_lanes(struct remote *r, const struct stream_request *q)
{
	r->is_wanted[STATUS] = true;
	r->is_wanted[STDIN] = q->in;
	r->is_wanted[STDOUT] = q->out;
	r->is_wanted[STDERR] = q->err && !q->tty;
	r->is_wanted[RESIZE] = q->tty && stream_conn_has_resize(r->conn);
	for (enum lane i = 0; i < LANES; i++)
		r->n_missing += r->is_wanted[i];
}

static char *what_of(const struct stream_request *q)
{
	AUTO_STR struct str s = STR_INIT(4096);

	for (size_t i = 0; i < q->n_cmd; i++)
		str_addf(&s, "%s%.512s", i ? " " : "", q->cmd[i]);
	return str_take(&s);
}

/* All channels are there at once; an empty message says so. */
static void begin_channels(struct remote *r)
{
	enum lane first = r->is_wanted[STDOUT] ? STDOUT : r->is_wanted[STDERR] ? STDERR : STATUS;

	for (enum lane i = 0; i < LANES; i++) {
		r->has[i] = r->is_wanted[i];
		r->id[i] = i;
	}
	r->n_missing = 0;
	stream_conn_greet(r->conn, r->id[first]);
	begin(r);
}

void stream_remote_new(struct stream_conn *c, struct stream_request *q)
{
	static const struct stream_user user = {
		on_opened, on_bytes, on_reset, on_room, on_gone, on_timer,
	};
	struct remote *r = NEW(struct remote);

	*r = (struct remote){
		.conn = c,
		.request = q,
		.kind = q->kind,
		.until = loop_now() + STREAM_CREATION_NS,
		.is_stdin_once = q->is_stdin_once,
		.size = STR_INIT(SIZE_TEXT),
		.early = STR_INIT(STREAM_IN),
		.what = what_of(q),
	};
	choose_lanes(r, q);
	stream_conn_use(c, &user, r);
	if (!stream_conn_is_spdy(c))
		begin_channels(r);
}
