/* Tasks as NRI's plugins see them (nri/nri.h), whoever's containers they are.
 *
 * containerd asks its plugins about the containers of its CRI service only.  Here the tasks of
 * every client are told, from the calls below: the Tasks service and the restart monitor make
 * theirs through them.  A container that is in no sandbox counts as a pod of its own, with its id,
 * in the pod namespace that is the client's namespace.  A CRI service has pods, and calls nri/
 * itself.
 *
 * Without a plugin each of these is the call of engine/network.h or task/ that it is named after.
 * Threads: pool threads; the entry of one container is locked while its end is told, so that STOP
 * comes before REMOVE. */
#pragma once

#include "base/err.h"
#include "task/task.h"

struct call;
struct engine;
struct engine_nri;

struct engine_nri *engine_nri_new(struct engine *en); /* NULL where the config disables it */
void engine_nri_stop(struct engine_nri *n); /* the loop's thread, while the pool works */
void engine_nri_free(struct engine_nri *n); /* NULL is fine */

/* r is the record that n was made from; n->spec becomes what the plugins make of it. */
int engine_task_create(const struct call *call, const struct container_record *r,
		       struct task_new *n, uint32_t *ret_pid, struct err *e);
int engine_task_start(const struct call *call, struct task *t, const char *exec_id,
		      uint32_t *ret_pid, struct err *e);
int engine_task_update(const struct call *call, struct task *t, struct any *resources,
		       const struct labels *annotations, struct err *e);
int engine_task_delete(const struct call *call, struct task *t, const char *exec_id,
		       struct task_exit *ret, struct err *e);
