/* The two steps of a container's network, without the daemon around them.
 *
 * The caller holds the container's turn (engine/network.c).  Both block while plugins run, and for
 * those of a daemon that was killed (place_lock()).  What plugins say is the error. */
#pragma once

#include "engine/network_place.h"

struct network_job {
	json_object *wishes; /* net/publish.h; NULL: the client attaches it himself */
	const char *id, *hostname;
	uint32_t pid;
	const char *publish_address; /* for ports without one, or "" */
	struct cancel *cancel; /* or NULL */
};

/* Is there a default network that can take containers? */
int network_check_default(const struct cni_env *env, struct err *e);

/* ADD to each network, as eth0, eth1, …  After a failure network_detach() is due. */
int network_attach(const struct cni_env *env, const struct place *p, const struct network_job *job,
		   struct err *e);

/* DEL by the record, and the folder goes.  Without a folder there is nothing to do. */
int network_detach(const struct cni_env *env, const struct place *p, struct err *e);

/* Rules of the built-in network that somebody has taken away.  Plugins have no such call. */
int network_restore(const struct cni_env *env, const struct place *p, bool *ret_did, struct err *e);

/* Does the record say that its client attaches it? */
bool network_is_foreign(const struct place *p);

/* The DEL of cached attachments whose namespace was in a folder below root that is gone: the record
 * did not survive the machine's crash, the cache did. */
int network_sweep_cache(const struct cni_env *env, const char *root, struct err *e);
