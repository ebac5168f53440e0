/* What a sandbox tells about its containers: its figures are the sum of theirs. */
#pragma once

#include "base/mem.h"
#include "shim/sandbox.h"

struct shim;

/* JSON for a status in detail: the shim's process, and each container with its process and state.
 */
const char *sandbox_info(const struct shim *s, struct arena *a);

/* of the one in s, or NULL; sandbox.c has it. */
const char *sandbox_id(const struct shim *s);

/* Adds each number of `from` to the same one of `to`, which may borrow from it: counters are
 * summed up to UINT64_MAX, averages become the larger one, and entries of lists are the same when
 * their texts and device numbers are. */
void figures_add(struct arena *a, ProtobufCMessage *to, const ProtobufCMessage *from);
