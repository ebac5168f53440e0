/* Container Network Interface, 0.3.0 to 1.1.0: network configurations as the operator wrote them,
 * and the plugins that they name, run as the runtime's side of the specification asks.
 *
 * What a plugin says and what a configuration holds are json-c objects here, since plugins add
 * members of their own which the next one must see.  A plugin is started by its path, without a
 * shell, with a time limit; both of its outputs are bounded.  Results are kept in files of libcni's
 * own format, so that every other CNI runtime of the machine sees these attachments.
 *
 * Threads: nothing is shared; a network is its loader's.  A call blocks while plugins run. */
#pragma once

#include "base/err.h"
#include "base/jsonr.h"
#include "loop/cancel.h"

#define CNI_CONF_DIR "/etc/cni/net.d"
#define CNI_CACHE_DIR "/var/lib/cni"
#define CNI_TIMEOUT 60000000000ull /* of one plugin, ns */

/* The folders where plugins are looked for, in order. */
extern const char *const cni_bin_dirs[]; /* /opt/cni/bin, /usr/lib/cni; ends with NULL */

/* Where everything is.  Borrowed. */
struct cni_env {
	const char *conf_dir, *cache_dir;
	const char *const *bin_dirs; /* ends with NULL */
	uint64_t timeout; /* of one plugin, ns */
	bool is_screened; /* of the built-in network: net/nft.h */
};
#define CNI_ENV_DEFAULT                                \
	((struct cni_env){ .conf_dir = CNI_CONF_DIR,   \
			   .cache_dir = CNI_CACHE_DIR, \
			   .bin_dirs = cni_bin_dirs,   \
			   .timeout = CNI_TIMEOUT })

/* --- configurations --- */

/* One network: a configuration list, or a single configuration made one. */
struct cni_net {
	json_object *list; /* checked: name, cniVersion, plugins of which each has a type */
	json_object *plugins; /* borrowed from list */
	const char *name, *version; /* borrowed from list */
	char *text; /* the list as the cache keeps it */
	size_t n;
	bool no_check, no_gc; /* disableCheck, disableGC */
	bool is_builtin; /* casco.builtin: no plugin is run (net/builtin.h) */
};

void cni_net_free(struct cni_net *net); /* NULL is fine */
static inline void cni_net_freep(struct cni_net **net)
{
	cni_net_free(*net);
}
#define AUTO_CNI_NET CLEANUP(cni_net_freep)

/* The network of that name; name NULL: the first file in the order of names, which must be good.
 * ERR_NOT_FOUND when there is none; the sentences are those of containerd's clients. */
int cni_net_load(const struct cni_env *env, const char *name, struct cni_net **ret, struct err *e);

/* From text.  is_list: a .conflist, whose plugins may also be in dir/NAME (dir may be NULL). */
int cni_net_parse(const char *text, size_t n, bool is_list, const char *dir, struct cni_net **ret,
		  struct err *e);

/* Is the network's version at least major.minor? */
bool cni_net_has(const struct cni_net *net, unsigned major, unsigned minor);

/* Has one of its plugins this capability? */
bool cni_net_can(const struct cni_net *net, const char *capability);

/* --- attachments --- */

/* An interface of one container in one network. */
struct cni_attachment {
	const char *container; /* "NAMESPACE-ID" */
	const char *netns; /* a path; "" in a DEL: it is gone */
	const char *ifname; /* "eth0" */
	json_object *capability_args; /* runtimeConfig's pool: portMappings, ips …; or NULL */
	const char *args; /* CNI_ARGS, "K=V;K=V"; or "" */
	int lock; /* 0: none; else plugins have it too, and hold it when we are gone */
};

/* libcni's rules for what comes from outside; ERR_INVALID_ARGUMENT. */
int cni_check_container(const char *id, struct err *e);
int cni_check_network(const char *name, struct err *e);
int cni_check_ifname(const char *name, struct err *e);

/* Is everything there that an ADD runs?  ERR_NOT_FOUND for the first plugin that is not. */
int cni_find_plugins(const struct cni_env *env, const struct cni_net *net, struct err *e);

/* All plugins in order.  On failure those that were run are told DEL, in reverse.  *ret is the last
 * result, the caller's.  c may be NULL. */
int cni_add(const struct cni_env *env, const struct cni_net *net, const struct cni_attachment *at,
	    struct cancel *c, json_object **ret, struct err *e);

/* All plugins in reverse, each of them also when another one fails (the first failure is told), and
 * the cached result goes if none did.  One that is not attached is fine. */
int cni_del(const struct cni_env *env, const struct cni_net *net, const struct cni_attachment *at,
	    struct err *e);

/* Is everything as ADD left it?  ERR_NOT_FOUND without a cached result. */
int cni_check(const struct cni_env *env, const struct cni_net *net, const struct cni_attachment *at,
	      struct err *e);

/* Can the network take containers?  (1.1.0; older networks always can.) */
int cni_status(const struct cni_env *env, const struct cni_net *net, struct err *e);

/* DEL of the network's cached attachments that are not in valid, then (1.1.0) GC. */
int cni_gc(const struct cni_env *env, const struct cni_net *net, const struct cni_attachment *valid,
	   size_t n_valid, struct err *e);

/* What a plugin says of itself: {"cniVersion", "supportedVersions"}. */
int cni_version(const struct cni_env *env, const char *type, json_object **ret, struct err *e);

/* --- the cache (cache.c): CACHE_DIR/results/NETWORK-CONTAINER-IFNAME --- */

int cni_cache_write(const struct cni_env *env, const struct cni_net *net,
		    const struct cni_attachment *at, json_object *result, struct err *e);
/* 1 with the whole document, 0: there is none. */
int cni_cache_read(const struct cni_env *env, const char *network, const char *container,
		   const char *ifname, json_object **ret, struct err *e);
int cni_cache_remove(const struct cni_env *env, const char *network, const char *container,
		     const char *ifname, struct err *e);

/* Each document whose container (NULL: any) and network (NULL: any) are these. */
typedef int cni_cache_visit(json_object *doc, void *arg, struct err *e);
int cni_cache_list(const struct cni_env *env, const char *network, const char *container,
		   cni_cache_visit *visit, void *arg, struct err *e);

/* Names may be the same, namespaces are not: attachments whose netns is in this folder, or in any
 * other one. */
struct cni_whose {
	const char *folder;
	bool is_outside;
};

/* The DEL of what the cache has of a container, by the configurations kept there, for namespaces
 * that are gone.  whose NULL: of everything. */
int cni_del_cached(const struct cni_env *env, const char *container, const struct cni_whose *whose,
		   struct err *e);
