/* `containerd publish`: shims that know no ttrpc hand the daemon their events this way. */
#pragma once

#include "base/err.h"

/* The event is a google.protobuf.Any on stdin. */
int publish_event(const char *address, const char *ns, const char *topic, struct err *e);
