/* A container's network as the options of run and create wish it.
 *
 * Our daemon attaches by the wishes in the container's record (engine/network.h).  With another
 * daemon ctr does itself what its original does: ADD between the creation of the task and its
 * start, DEL when the task is deleted, found again by a mark in the record. */
#pragma once

#include "cmd/ctr/ctr.h"

#include "base/jsonr.h"
#include "base/jsonw.h"

typedef Containerd__Services__Containers__V1__Container ctr_container;

/* The wishes of args, or NULL when there are none.  In the arena, as JSON. */
int network_wishes(struct ctr *ctr, const struct args *args, const char **ret, struct err *e);

/* Writes them into the record that is to be made. */
int network_mark(struct ctr *ctr, const char *wishes, ctr_container *c, struct err *e);

/* For a container that another daemon's task runs.  Containers without our mark: nothing. */
int network_attach_task(struct ctr *ctr, const ctr_container *c, uint32_t pid, struct err *e);
/* Warns of a failure. */
void network_detach_task(struct ctr *ctr, const ctr_container *c);

/* "8080->80/tcp", for people; "" without. */
const char *network_ports(struct ctr *ctr, const ctr_container *c);
/* The wishes of a record, or NULL; the caller's. */
json_object *network_wishes_of(const ctr_container *c);
/* "Network": {…} of `ctr inspect`. */
struct kept;
void network_put(struct ctr *ctr, struct jsonw *w, const ctr_container *c, const struct kept *kept);
