/* Publish, Forward, Subscribe.
 *
 * A subscription is a parked call.  All of struct subscription but `posted` belongs to the loop's
 * thread: publishers only post a wake-up there. */
#include "engine/events.h"
#include "api/containerd/api.h"
#include "api/containerd/convert.h"
#include "api/containerd/services.h"
#include "base/log.h"
#include "loop/loop.h"

#include "containerd/services/events/v1/events.pb-c.h"
#include "google/protobuf/empty.pb-c.h"

#include <stdatomic.h>

static int publish(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const Containerd__Services__Events__V1__PublishRequest *q = req;
	struct any ev = conv_any(q->event);
	struct call call;

	if (api_call(c, &call, e) < 0)
		return -1;
	if (!ev.type_url || !*ev.type_url)
		return err_set(e, ERR_INVALID_ARGUMENT, "event has no type");
	return events_publish(call.engine->events, call.ns, q->topic, ev.type_url, ev.value, ev.n,
			      e);
}

static int forward(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const Containerd__Services__Events__V1__ForwardRequest *q = req;
	const Containerd__Types__Envelope *m = q->envelope;
	struct any ev = conv_any(m ? m->event : NULL);

	if (!m || !ev.type_url || !*ev.type_url)
		return err_set(e, ERR_INVALID_ARGUMENT, "envelope has no event");
	if (!m->timestamp)
		return err_set(e, ERR_INVALID_ARGUMENT, "envelope has no timestamp");
	return events_forward(api_engine(c)->events, conv_time(m->timestamp), m->namespace_,
			      m->topic, ev.type_url, ev.value, ev.n, e);
}

struct subscription {
	struct rpc_call *call;
	struct loop *loop;
	struct events_sub *sub;
	const struct event *waiting; /* taken from the queue, not yet sent */
	bool is_ended;
	atomic_bool posted; /* a drain() is on its way: it frees an ended one */
};

static void end(struct subscription *s, const struct err *e)
{
	events_unsubscribe(s->sub); /* no wake-up comes after this */
	if (s->waiting)
		event_unref(s->waiting);
	rpc_finish(s->call, NULL, e);
	s->is_ended = true;
	if (!atomic_load(&s->posted))
		free(s);
}

/* 1 sent, 0 no room, -1 the call is over. */
static int send_event(struct subscription *s, const struct event *ev, struct err *e)
{
	Containerd__Types__Envelope m = CONTAINERD__TYPES__ENVELOPE__INIT;
	Google__Protobuf__Timestamp t = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;

	t.seconds = ev->time.tv_sec;
	t.nanos = (int32_t)ev->time.tv_nsec;
	any.type_url = (char *)ev->type_url;
	any.value = (ProtobufCBinaryData){ ev->value_len, (uint8_t *)ev->value };
	m.timestamp = &t;
	m.namespace_ = (char *)ev->ns;
	m.topic = (char *)ev->topic;
	m.event = &any;
	return rpc_try_send(s->call, &m, e);
}

/* Everything that the client takes now. */
static void pump(struct subscription *s)
{
	struct err e = { 0 };
	int r = 1;

	while (r > 0) {
		if (!s->waiting && (r = events_next(s->sub, &s->waiting, &e)) <= 0)
			break;
		r = send_event(s, s->waiting, &e);
		if (r > 0) {
			event_unref(s->waiting);
			s->waiting = NULL;
		}
	}
	if (r < 0)
		end(s, &e);
}

static void drain(void *arg)
{
	struct subscription *s = arg;

	atomic_store(&s->posted, false);
	if (s->is_ended)
		free(s);
	else
		pump(s);
}

static void on_wake(void *arg)
{
	struct subscription *s = arg;

	if (!atomic_exchange(&s->posted, true))
		loop_post(s->loop, drain, s);
}

static void on_writable(UNUSED struct rpc_call *c, void *arg)
{
	pump(arg);
}

static void on_cancel(struct rpc_call *c, void *arg)
{
	struct err e = { 0 };

	(void)cancel_check(c->cancel, &e);
	end(arg, &e);
}

/* On the loop's thread, so that a hook that runs at once runs there, too. */
static void start(void *arg)
{
	struct subscription *s = arg;
	struct rpc_call *c = s->call;

	log_debug(LOG_NONE, "Subscribe: a client listens to events");
	rpc_headers(c); /* clients wait for them before they cause what they want to see */
	rpc_on_writable(c, on_writable, s);
	rpc_on_cancel(c, on_cancel, s); /* may end it: last */
}

static int subscribe(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const Containerd__Services__Events__V1__SubscribeRequest *q = req;
	struct engine *en = api_engine(c);
	struct subscription *s = NEW(struct subscription);

	s->call = c;
	s->loop = en->loop;
	atomic_init(&s->posted, true); /* held back until s is complete and started */
	if (events_subscribe(en->events, CONV_FILTERS(q), on_wake, s, &s->sub, e) < 0) {
		free(s);
		return -1;
	}
	loop_post(s->loop, start, s);
	loop_post(s->loop, drain, s);
	return RPC_PARKED;
}

#define MESSAGE(name) containerd__services__events__v1__##name
const struct rpc_method events_methods[] = {
	RPC_UNARY("Publish", MESSAGE(publish_request), google__protobuf__empty, publish),
	RPC_UNARY("Forward", MESSAGE(forward_request), google__protobuf__empty, forward),
	RPC_SERVER_STREAM("Subscribe", MESSAGE(subscribe_request), containerd__types__envelope,
			  subscribe),
	RPC_END,
};
