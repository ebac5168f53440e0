/* The registry of a pull or a push, as the flags say it. */
#pragma once

#include "cmd/ctr/transfer.h"

extern const struct flag registry_flags[];

/* ret, in args->arena; opens the stream for credentials when there are some. */
int registry_from_flags(const struct args *args, struct transfer *t, const char *ref,
			Containerd__Types__Transfer__OCIRegistry *ret, struct err *e);
