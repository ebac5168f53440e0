/* Containers in networks: attached when their task is made, detached when it has ended.
 *
 * A client says in the container's record what it wishes (net/publish.h).  What is attached has a
 * folder ROOT/io.casco.network/NS/ID with the record that the DEL goes by, the network namespace
 * (a mount, so that it is there for the DEL after the last process), and the files that the
 * container sees as /etc/hosts, /etc/hostname and /etc/resolv.conf.  So the network goes with the
 * task however it ends: by Delete, by itself, with its shim, and, when the daemon was dead
 * meanwhile, with the daemon's next start.
 *
 * Clients that attach by themselves (containerd's ctr) mark the record in their own way: what they
 * have left in the cache of results goes when the task is deleted.
 *
 * Threads: pool threads.  What is done to one container is done one after the other. */
#pragma once

#include "base/err.h"
#include "base/mem.h"
#include "task/task.h"

struct call;
struct config;
struct container_record;
struct engine;
struct engine_network;

/* After the tasks have been found again: what belongs to none is detached in the background. */
struct engine_network *network_new(struct engine *en);
void network_stop(struct engine_network *n); /* the loop's thread, while the pool works */
void network_free(struct engine_network *n); /* NULL is fine */

/* Would a container get into the default network? */
int network_ready(const struct engine_network *n, struct err *e);

/* task_create() and the network; on failure neither is left. */
int network_task_create(const struct call *call, const struct container_record *r,
			struct task_new *t, uint32_t *ret_pid, struct err *e);
/* task_delete() and the network's end. */
int network_task_delete(const struct call *call, struct task *t, const char *exec_id,
			struct task_exit *ret, struct err *e);

/* Rules that somebody has flushed, of all that is attached; how many had lost any.  A pool thread.
 */
size_t network_restore_all(struct engine_network *n);

/* The host's rules have changed: where they decide about published ports, they do so anew. */
void network_ask_again(struct engine_network *n);

/* What the container was given: its addresses, the first network's first.  Empty without one. */
struct strv;
int network_addresses(const struct engine_network *n, const char *ns, const char *id,
		      struct strv *ret, struct err *e);
/* The mount of its network namespace, in the arena. */
const char *network_netns(const struct engine_network *n, const char *ns, const char *id,
			  struct arena *a);

/* ROOT/io.casco.network */
const char *network_root(const struct config *cfg, struct arena *a);
