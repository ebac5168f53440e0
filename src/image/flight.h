/* Pulls of the same thing at the same time are one pull: the first to come does it, the others wait
 * for its result and show its progress.
 *
 * The same means: the whole job to the letter (reference, hosts, platforms, snapshotters) in one
 * namespace, and nobody's credentials: a client with credentials has to show them to the registry
 * itself.  One whose leader was cancelled goes on by itself.  Any thread. */
#pragma once

#include "image/transfer.h"

struct flights;
struct flights *flights_new(void);
void flights_free(struct flights *f); /* nobody is waiting; NULL is fine */

/* transfer_run(), shared where it can be.  What was pulled is held by each job's own lease. */
int flight_run(struct flights *f, const struct transfer_job *job, struct arena *a,
	       struct transfer_result *ret, struct err *e);
