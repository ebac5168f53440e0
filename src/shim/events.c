#include "shim/events.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "containerd/services/ttrpc/events/v1/events.pb-c.h"
#include "loop/loop.h"
#include "os/socket.h"
#include "wire/ttrpc_client.h"

#include <string.h>
#include <time.h>

enum { QUEUE_MAX = 2048, TRIES = 5 };

static const uint64_t second = 1000000000u, first_pause = 100000000u, longest_pause = 5000000000u;

struct event {
	char *topic;
	const char *type; /* the message's static name */
	uint8_t *bytes;
	size_t n;
	struct timespec at;
	unsigned tries;
	struct event *next;
};

struct events {
	struct loop *loop;
	char *path, *ns;
	struct ttrpc_client *client;
	struct event *first, **end;
	size_t n;
	bool is_sending;
	struct loop_timer *again, *limit;
	uint64_t pause; /* until the next try for a daemon that is away; 0: it was there */
	void (*flushed)(void *arg);
	void *flushed_arg;
};

static void send_first(struct events *ev);

static void flushed(void *arg)
{
	struct events *ev = arg;
	void (*fn)(void *arg) = ev->flushed;

	ev->flushed = NULL;
	if (fn)
		fn(ev->flushed_arg);
}

static void drop_at(struct events *ev, struct event **at)
{
	struct event *x = *at;

	*at = x->next;
	if (!*at)
		ev->end = at;
	ev->n--;
	free(x->topic);
	free(x->bytes);
	free(x);
}

static void event_drop(struct events *ev)
{
	drop_at(ev, &ev->first);
}

static void on_again(UNUSED struct loop_timer *t, void *arg)
{
	send_first(arg);
}

static void try_again(struct events *ev, uint64_t pause)
{
	if (ev->again)
		loop_timer_set(ev->again, pause);
	else
		ev->again = loop_timer_add(ev->loop, pause, on_again, ev);
}

/* One that the daemon refuses is dropped in the end. */
static void refused(struct events *ev, const char *text)
{
	struct event *x = ev->first;

	if (++x->tries > TRIES) {
		log_error(LOG({ "topic", x->topic }, { "error", text }), "event dropped");
		event_drop(ev);
		send_first(ev);
		return;
	}
	try_again(ev, x->tries * second);
}

/* A daemon that is away is waited for: what happened meanwhile is told to the next one, however
 * long that takes; the queue has an end. */
static void away(struct events *ev)
{
	ev->pause = !ev->pause                      ? first_pause
		    : ev->pause < longest_pause / 2 ? 2 * ev->pause
						    : longest_pause;
	try_again(ev, ev->pause);
}

void events_disconnect(struct events *ev)
{
	ttrpc_client_close(ev->client);
	ev->client = NULL;
}

static void on_lost(void *arg)
{
	events_disconnect(arg);
}

static void on_done(const struct err *e, UNUSED const uint8_t *payload, UNUSED size_t n, void *arg)
{
	struct events *ev = arg;

	ev->is_sending = false;
	if (e && (e->code == ERR_UNAVAILABLE || e->code == ERR_CANCELLED)) {
		away(ev);
		return;
	}
	if (e) {
		refused(ev, e->msg);
		return;
	}
	ev->pause = 0;
	event_drop(ev);
	send_first(ev);
}

static bool connect_to(struct events *ev)
{
	int fd = socket_connect_now(ev->path);

	if (fd < 0)
		return false;
	ev->client = ttrpc_client_new(ev->loop, fd);
	ttrpc_client_on_lost(ev->client, on_lost, ev);
	return true;
}

static void send_first(struct events *ev)
{
	struct event *x = ev->first;
	Containerd__Services__Events__Ttrpc__V1__ForwardRequest q =
		CONTAINERD__SERVICES__EVENTS__TTRPC__V1__FORWARD_REQUEST__INIT;
	Containerd__Types__Envelope env = CONTAINERD__TYPES__ENVELOPE__INIT;
	Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
	struct ttrpc_target t = { "containerd.services.events.ttrpc.v1.Events", "Forward", ev->ns,
				  5 * second };

	if (!x)
		flushed(ev);
	if (!x || ev->is_sending)
		return;
	if (!ev->client && !connect_to(ev)) {
		away(ev);
		return;
	}
	at.seconds = x->at.tv_sec;
	at.nanos = (int32_t)x->at.tv_nsec;
	any.type_url = (char *)x->type;
	any.value.data = x->bytes;
	any.value.len = x->n;
	env.timestamp = &at;
	env.namespace_ = ev->ns;
	env.topic = x->topic;
	env.event = &any;
	q.envelope = &env;
	ev->is_sending = true;
	ttrpc_client_call(ev->client, &t, &q.base, on_done, ev);
}

struct events *events_new(struct loop *l, const char *address, const char *ns)
{
	struct events *ev = NEW(struct events);

	*ev = (struct events){
		.loop = l,
		.path = xstrdup(str_starts(address, "unix://") ? address + 7 : address),
		.ns = xstrdup(ns),
		.end = &ev->first,
	};
	return ev;
}

/* True when it is the first: nobody else will send it. */
static bool put(struct events *ev, const char *topic, const ProtobufCMessage *m)
{
	struct event *x = NEW(struct event);

	x->topic = xstrdup(topic);
	x->type = m->descriptor->name;
	x->n = protobuf_c_message_get_packed_size(m);
	x->bytes = xmalloc(x->n + 1);
	protobuf_c_message_pack(m, x->bytes);
	clock_gettime(CLOCK_REALTIME, &x->at);
	if (ev->n == QUEUE_MAX) {
		struct event **oldest = ev->is_sending ? &ev->first->next : &ev->first;

		log_error(LOG({ "topic", (*oldest)->topic }), "event queue is full, event dropped");
		drop_at(ev, oldest);
	}
	*ev->end = x;
	ev->end = &x->next;
	ev->n++;
	return ev->first == x;
}

void events_send(struct events *ev, const char *topic, const ProtobufCMessage *m)
{
	if (put(ev, topic, m))
		send_first(ev);
}

static void send_posted(void *arg)
{
	send_first(arg);
}

void events_send_soon(struct events *ev, const char *topic, const ProtobufCMessage *m)
{
	if (put(ev, topic, m))
		loop_post(ev->loop, send_posted, ev);
}

static void on_limit(UNUSED struct loop_timer *t, void *arg)
{
	flushed(arg);
}

void events_flush(struct events *ev, void (*fn)(void *arg), void *arg)
{
	ev->flushed = fn;
	ev->flushed_arg = arg;
	if (!ev->first) {
		loop_post(ev->loop, flushed, ev);
		return;
	}
	ev->limit = loop_timer_add(ev->loop, 2 * second, on_limit, ev);
}

void events_free(struct events *ev)
{
	while (ev->first)
		event_drop(ev);
	loop_timer_remove(ev->again);
	loop_timer_remove(ev->limit);
	events_disconnect(ev);
	free(ev->path);
	free(ev->ns);
	free(ev);
}
