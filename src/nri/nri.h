/* NRI: programs of the operator's that see containers come and go, and may change them.
 *
 * A plugin connects to a socket (root's alone), or is started from a folder with its connection as
 * fd 3.  It registers, is configured, told of all that runs, and from then on asked about what it
 * subscribed to, in the order of the plugins' indices.  One that does not answer in time is
 * dropped; an error of one ends the request it was asked about.
 *
 * Pods and containers are JSON objects with the members of NRI's messages in camel case (map.h).
 * Who creates containers (engine/nri.c for tasks of the API; a CRI service for its pods) calls the
 * functions below, on pool threads: they block as long as the plugins take, each at most the
 * request timeout.  Requests to one plugin come one after the other. */
#pragma once

#include "base/err.h"
#include "base/jsonr.h"

struct loop;
struct nri;
struct pool;

struct nri_rules;
struct blockio;

struct nri_env {
	struct loop *loop;
	struct pool *pool;
	const char *socket; /* or "": nobody connects */
	const char *plugins, *plugin_config; /* folders */
	const char *version; /* of the runtime */
	const struct nri_rules *rules; /* validate.h */
	const struct blockio *blockio; /* classes of block devices (blockio.h), or NULL */
	uint64_t registration_timeout, request_timeout; /* ns */
	/* Pool threads.  All that is there now, as arrays; the caller's. */
	void (*list)(void *arg, json_object **ret_pods, json_object **ret_containers);
	/* A plugin wants other limits for a container: resources of the runtime spec's form. */
	int (*update)(void *arg, const char *container_id, json_object *resources, struct err *e);
	void *arg;
};

/* NRI's numbers. */
enum nri_event {
	NRI_RUN_POD_SANDBOX = 1,
	NRI_STOP_POD_SANDBOX = 2,
	NRI_REMOVE_POD_SANDBOX = 3,
	NRI_CREATE_CONTAINER = 4,
	NRI_POST_CREATE_CONTAINER = 5,
	NRI_START_CONTAINER = 6,
	NRI_POST_START_CONTAINER = 7,
	NRI_UPDATE_CONTAINER = 8,
	NRI_POST_UPDATE_CONTAINER = 9,
	NRI_STOP_CONTAINER = 10,
	NRI_REMOVE_CONTAINER = 11,
	NRI_UPDATE_POD_SANDBOX = 12,
	NRI_POST_UPDATE_POD_SANDBOX = 13,
};

/* env is borrowed.  Plugins are started and the socket is opened on the loop's thread, soon; what
 * fails there is logged. */
struct nri *nri_new(const struct nri_env *env);
void nri_stop(struct nri *n); /* the loop's thread, while the pool still works */
void nri_free(struct nri *n); /* after the pool has ended; NULL is fine */

/* No plugin is there: nothing needs to be prepared for one. */
bool nri_is_idle(struct nri *n);

/* One of the events that only tell: those but CREATE, UPDATE (both) and STOP_CONTAINER. */
int nri_tell(struct nri *n, enum nri_event event, json_object *pod, json_object *container,
	     struct err *e);

/* CreateContainer: spec (a config.json) is changed as the plugins want it, and container gets the
 * members that follow from it. */
int nri_create(struct nri *n, json_object *pod, json_object *container, json_object *spec,
	       struct err *e);

/* UpdateContainer: resources (the runtime spec's form) is changed as the plugins want it. */
int nri_update(struct nri *n, json_object *pod, json_object *container, json_object *resources,
	       struct err *e);

int nri_stop_container(struct nri *n, json_object *pod, json_object *container, struct err *e);

/* Members of a Container that its config.json gives. */
void nri_fill(json_object *container, json_object *spec);
