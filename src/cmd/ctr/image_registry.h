/* The registry of a pull or a push, as the flags say it. */
#pragma once

#include "cmd/ctr/local.h"
#include "cmd/ctr/transfer.h"

extern const struct flag registry_flags[];

/* ret, in args->arena; opens the stream for credentials when there are some. */
int registry_from_flags(const struct args *args, struct transfer *t, const char *ref,
			Containerd__Types__Transfer__OCIRegistry *ret, struct err *e);

/* Whether an option was given that the Transfer service has no field for. */
bool registry_needs_local(const struct args *args);

/* The same, as fields of a job for a worker of our own. */
int registry_to_job(const struct args *args, struct local *l, const char *ref, struct err *e);
