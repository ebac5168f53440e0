/* Events on their way to the daemon, in the order they happened.
 *
 * One is on the way at a time.  One that the daemon refuses is tried again five times, after one to
 * five seconds, and dropped then.  A daemon that is away is waited for, for as long as it takes
 * (0.1 to 5 s between tries, over a new connection).  Meanwhile up to 2048 wait; beyond that the
 * oldest that is not on the way is dropped, with an error in the log. */
#pragma once

#include <protobuf-c/protobuf-c.h>

struct loop;
struct events;

struct events *events_new(struct loop *l, const char *address, const char *ns);

/* topic "/tasks/start"; the type URL is the message's full name.  m is copied. */
void events_send(struct events *ev, const char *topic, const ProtobufCMessage *m);
/* The same after what the loop is at: for what is told while somebody waits for an answer. */
void events_send_soon(struct events *ev, const char *topic, const ProtobufCMessage *m);

/* fn(arg) runs from the loop once nothing waits any more, or after 2 s. */
void events_flush(struct events *ev, void (*fn)(void *arg), void *arg);

/* Lets go of the daemon; the next event connects again. */
void events_disconnect(struct events *ev);

/* What still waits is lost. */
void events_free(struct events *ev);
