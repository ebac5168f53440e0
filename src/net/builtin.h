/* The network without plugins: a bridge, addresses of our own store, ports in our own table.
 *
 * Its configuration is one that CNI's bridge, host-local and portmap would take for the same
 * network, with the member "casco.builtin" by which we do it ourselves; results and addresses are
 * kept in the same files.  So other CNI programs can look at it. */
#pragma once

#include "net/cni.h"

#define BUILTIN_NAME "casco"
#define BUILTIN_BRIDGE "casco0"

/* The default network: of the bridge that is there, or of the first subnet no route of the host has
 * yet. */
int builtin_default(struct cni_net **ret, struct err *e);

/* cni_add() and so on, for a network with is_builtin. */
int builtin_add(const struct cni_env *env, const struct cni_net *net,
		const struct cni_attachment *at, json_object **ret, struct err *e);
int builtin_del(const struct cni_env *env, const struct cni_net *net,
		const struct cni_attachment *at, json_object *args, struct err *e);
/* What somebody took from the table of nf_tables comes back; *ret_did: something had. */
int builtin_restore(const struct cni_env *env, const struct cni_net *net,
		    const struct cni_attachment *at, bool *ret_did, struct err *e);
int builtin_check(const struct cni_env *env, const struct cni_net *net,
		  const struct cni_attachment *at, struct err *e);
