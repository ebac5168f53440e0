/* Rules of the built-in network that somebody has flushed come back by themselves: the kernel says
 * when, and at the daemon's start it is looked for. */
#pragma once

struct engine_network;
struct loop;
struct pool;
struct network_repair;

/* On the loop's thread.  NULL when the kernel tells nothing: then containers that start bring the
 * rules back, and the daemon's next start the ports. */
struct network_repair *network_repair_new(struct engine_network *n, struct loop *l, struct pool *p);
void network_repair_free(struct network_repair *r); /* NULL is fine; the loop's thread */
