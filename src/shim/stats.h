/* A container's figures as the message that clients know. */
#pragma once

#include "base/err.h"
#include "base/mem.h"
#include "google/protobuf/any.pb-c.h"

struct container;

/* io.containerd.cgroups.v1.Metrics or v2.Metrics, in a; NULL and e. */
ProtobufCMessage *stats_of(struct container *c, struct arena *a, struct err *e);
Google__Protobuf__Any *stats_pack(const ProtobufCMessage *m, struct arena *a);
