/* Fields of event payloads, for the filters of subscriptions ("event.container_id==c1"). */
#pragma once

#include "engine/events.h"

/* An events_field_fn: strings that are not empty, booleans, members of sub-messages and keys of
 * string maps; numbers and times are never there, as in containerd.  NULL for types not known. */
char *event_field(const struct event *ev, const char *const *path, size_t n);
