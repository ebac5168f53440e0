/* Kubernetes' pods: sandboxes and the containers in them, as the container runtime interface has
 * them, over the same store, tasks and networks that everybody else's containers are made of.
 *
 * The interface's own messages (runtime/v1/api.proto) are the documents here, as config.json is the
 * runtime's: a pod's and a container's configuration is kept as it came.  Everything is in the
 * namespace k8s.io, so that `ctr -n k8s.io` sees it.
 *
 * One struct cri a daemon; all functions block and belong to pool threads unless they say
 * otherwise. */
#pragma once

#include "base/err.h"
#include "base/mem.h"

#include "runtime/v1/api.pb-c.h"

#include <stdbool.h>

#define CRI_NAMESPACE "k8s.io"

struct cri;
struct engine;

/* After the engine: finds the pods of before the start again. */
int cri_open(struct engine *en, struct cri **ret, struct err *e);
void cri_free(struct cri *cri); /* NULL is fine; when the pool is idle */

/* What works, for Status: conditions in the words kubelet looks for. */
void cri_status(struct cri *cri, struct arena *a, bool is_verbose,
		Runtime__V1__StatusResponse *ret);
