/* A sandbox's record, from the message that both sandbox services have. */
#pragma once

#include "store/sandbox.h"

#include "containerd/types/sandbox.pb-c.h"

struct sandbox_record sandbox_from_pb(struct arena *a, const Containerd__Types__Sandbox *m);
