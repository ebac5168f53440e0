/* What engine/nri.c remembers of a container that plugins know. */
#pragma once

#include "base/jsonr.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "nri/nri.h"

#include <pthread.h>
#include <stdatomic.h>

/* Text, not objects: json-c counts references without a lock. */
struct nri_entry {
	_Atomic unsigned refs;
	struct nri_entry *next; /* engine_nri.lock */
	char *ns, *id, *pod, *container;
	pthread_mutex_t ending; /* held while its end is told */
	bool is_stopped;
	uint64_t wait; /* for its end; 0: none.  engine_nri.lock */
};

struct engine_nri {
	struct engine *en;
	struct nri_env env;
	struct nri *nri;
	struct blockio *blockio; /* NULL: no classes */
	pthread_mutex_t lock; /* guards the entries' list */
	struct nri_entry *entries;
	bool is_stopping;
};

/* A reference, or NULL. ns NULL: of any namespace. */
struct nri_entry *nri_entry_find(struct engine_nri *n, const char *ns, const char *id);
/* Takes what is there already; the list has a reference of its own. */
struct nri_entry *nri_entry_add(struct engine_nri *n, const char *ns, const char *id,
				json_object *pod, json_object *container);
void nri_entry_remove(struct engine_nri *n, struct nri_entry *x);
void nri_entry_unref(struct nri_entry *x);
static inline void nri_entry_unrefp(struct nri_entry **x)
{
	if (*x)
		nri_entry_unref(*x);
}
#define AUTO_ENTRY CLEANUP(nri_entry_unrefp)

/* Its objects, to be put by the caller. */
void nri_entry_objects(const struct nri_entry *x, json_object **ret_pod,
		       json_object **ret_container);

/* A pod and a container of a record, without what follows from the config.json. */
void nri_describe(const struct container_record *r, const char *ns, json_object *spec,
		  json_object **ret_pod, json_object **ret_container);
void nri_set_state(json_object *container, enum task_status status, uint32_t pid);
