/* Runs the transfer worker for a call: Diff, Transfer and checkpoints have jobs for it. */
#pragma once

#include "api/containerd/api.h"
#include "image/transfer.h"

/* What the job says of store, namespace, cancellation and worker is set here, and the lease where
 * it names none. */
int worker_run(const struct call *call, struct transfer_job *job, struct transfer_result *ret,
	       struct err *e);

/* May name stand for that digest?  What was pulled or imported under the policy that holds now may.
 */
struct descriptor;
int worker_admit(const struct call *call, const char *name, const struct descriptor *target,
		 struct err *e);
