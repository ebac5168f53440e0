/* One plugin's connection, and what it lives through:
 *
 *	plugin_new() → it registers → plugin_join() (configure, synchronize) → requests → gone
 *
 * Threads: the connection belongs to the loop's thread.  plugin_request() and plugin_join() block
 *on pool threads, one at a time a plugin (`turn`).  References keep the struct, not the connection.
 */
#pragma once

#include "nri/nri.h"

#include "nri/pkg/api/v1alpha1/api.pb-c.h"

#include <pthread.h>
#include <stdatomic.h>

struct mux;
struct plugin;
struct ttrpc_client;
struct ttrpc_server;

#define NRI_INIT(name) nri__pkg__api__v1alpha1__##name
#define NRI_TYPE(name) Nri__Pkg__Api__V1alpha1__##name

struct nri {
	const struct nri_env *env;
	pthread_mutex_t lock; /* guards the list; never held across a call */
	struct plugin *plugins; /* joined ones, by index */
	bool is_stopping;
	/* the loop's thread only */
	struct plugin *all;
	int fd;
	struct loop_io *io;
};

struct plugin {
	_Atomic unsigned refs;
	struct nri *nri;
	struct plugin *next; /* in nri.plugins: nri.lock */
	char *idx, *base; /* "10", "logger" */
	char name[80]; /* "10-logger"; set before it joins */
	char *config;
	uint32_t events; /* a bit for each it wants, from event 1 on */
	_Atomic bool is_gone;
	pthread_mutex_t turn; /* held while it is asked something */
	struct ttrpc_client *client; /* closed with the last reference */
	/* the loop's thread only */
	struct plugin *next_open, *prev_open;
	struct mux *mux;
	struct ttrpc_server *server;
	struct loop_timer *timer; /* until it has registered */
	int pidfd; /* of one that we started; -1: it came by itself */
	struct loop_io *pid_io;
	bool is_registered;
};

/* The loop's thread.  idx, base and config are given for those that we start, else NULL. */
struct plugin *plugin_new(struct nri *n, int fd_take, const char *idx, const char *base,
			  const char *config, int pidfd_take);
struct plugin *plugin_ref(struct plugin *p);
void plugin_unref(struct plugin *p);
void plugin_close(struct plugin *p); /* the loop's thread */
void plugin_drop(struct plugin *p, const char *why); /* any thread: closes it soon */

/* nri.c */
void nri_join(struct nri *n, struct plugin *p); /* into the list */
void nri_leave(struct nri *n, struct plugin *p);
int nri_apply_updates(struct nri *n, NRI_TYPE(ContainerUpdate) *const *v, size_t count,
		      struct err *e);

/* launch.c: those of the folder; the loop's thread */
void plugins_launch(struct nri *n);

/* Whether it wants to hear of an event. */
static inline bool plugin_wants(const struct plugin *p, enum nri_event event)
{
	return p->events & 1u << (event - 1);
}

/* One call.  0 and *ret NULL: it is gone, which is nobody's failure.  *ret is the caller's
 * (protobuf_c_message_free_unpacked). */
int plugin_request(struct plugin *p, const char *method, const ProtobufCMessage *req,
		   const ProtobufCMessageDescriptor *rsp, ProtobufCMessage **ret, struct err *e);
