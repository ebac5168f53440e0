/* The event exchange: what happened, to everybody who wants to know, once each and in order.
 *
 * Publishers (any thread) never wait for subscribers: every subscriber has a queue of its own,
 * bounded by EVENTS_MAX_QUEUED and EVENTS_MAX_BYTES; who falls behind further is cut off - its
 * queue is emptied and events_next() says so.  An event is shared, not copied, between queues.
 * Order: all subscribers see all events in the order in which publish calls took the exchange's
 * lock, so a thread's own events keep their order. */
#pragma once

#include "base/err.h"
#include "base/filter.h"

#include <stdbool.h>
#include <time.h>

enum { EVENTS_MAX_QUEUED = 16384, EVENTS_MAX_BYTES = 16 * 1024 * 1024 };

/* Immutable and counted; everything it points to is part of it. */
struct event {
	struct timespec time;
	const char *ns;
	const char *topic; /* "/tasks/start" */
	const char *type_url; /* "containerd.events.TaskStart" */
	const void *value; /* the encoded message */
	size_t value_len;
	_Atomic unsigned refs;
};

struct event *event_ref(const struct event *ev);
void event_unref(const struct event *ev);
static inline void event_unrefp(const struct event **ev)
{
	if (*ev)
		event_unref(*ev);
}

struct events;
struct events_sub;

struct events *events_new(void);
void events_free(struct events *x); /* all subscriptions ended before */

/* A field of the payload for filters: "event.container_id" comes as path {"container_id"}.  The
 * API's border sets it, since only that knows protobuf; without it payload fields are absent.
 * Set once, before the first publish. */
typedef char *events_field_fn(const struct event *ev, const char *const *path, size_t n);
void events_set_fields(struct events *x, events_field_fn *fn); /* returns malloc'd or NULL */

/* Publish stamps the time.  ERR_INVALID_ARGUMENT for a wrong namespace or topic ("/a/b": begins
 * with "/", each part an identifier).  value is copied. */
int events_publish(struct events *x, const char *ns, const char *topic, const char *type_url,
		   const void *value, size_t len, struct err *e);

/* An envelope from a shim: keeps its time. */
int events_forward(struct events *x, struct timespec time, const char *ns, const char *topic,
		   const char *type_url, const void *value, size_t len, struct err *e);

/* wake(arg) is called, on the publishing thread and under no lock of the caller's making but under
 * the exchange's, whenever the queue of the subscription becomes non-empty or it is cut off: it
 * must be short and must not call into the exchange (post to a loop, signal a condition). */
typedef void events_wake_fn(void *arg);
int events_subscribe(struct events *x, const char *const *filters, size_t n, events_wake_fn *wake,
		     void *arg, struct events_sub **ret, struct err *e);

/* The oldest event (the caller unrefs it): 1; 0 when the queue is empty; -1 when the subscription
 * was cut off.  Any thread. */
int events_next(struct events_sub *s, const struct event **ret, struct err *e);

/* After this wake() is not running and will not be called. Not from wake(). */
void events_unsubscribe(struct events_sub *s); /* NULL is fine */
