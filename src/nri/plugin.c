#include "nri/plugin.h"

#include "base/log.h"
#include "base/str.h"
#include "loop/loop.h"
#include "loop/pool.h"
#include "nri/map.h"
#include "nri/mux.h"
#include "os/fd.h"
#include "os/spawn.h"
#include "os/syscall.h"
#include "wire/ttrpc.h"
#include "wire/ttrpc_client.h"
#include "wire/ttrpc_server.h"

#include <signal.h>
#include <string.h>

#define PLUGIN_SERVICE "nri.pkg.api.v1alpha1.Plugin"
#define RUNTIME_SERVICE "nri.pkg.api.v1alpha1.Runtime"
enum { EVENTS_ALL = (1 << 14) - 1, SYNC_MAX = TTRPC_MAX_BODY / 2 };

struct plugin *plugin_ref(struct plugin *p)
{
	atomic_fetch_add(&p->refs, 1);
	return p;
}

void plugin_unref(struct plugin *p)
{
	if (atomic_fetch_sub(&p->refs, 1) != 1)
		return;
	ttrpc_client_close(p->client);
	pthread_mutex_destroy(&p->turn);
	free(p->idx);
	free(p->base);
	free(p->config);
	FREE_SHARED(p);
}

/* --- its end --- */

static void reap(struct plugin *p)
{
	int status;

	loop_io_remove(TAKE_PTR(p->pid_io));
	if (p->pidfd < 0)
		return;
	(void)sys_pidfd_send_signal(p->pidfd, SIGKILL, NULL, 0); /* it may have ended */
	(void)spawn_wait(p->pidfd, -1, &status);
	close_fd(&p->pidfd);
}

void plugin_close(struct plugin *p)
{
	struct nri *n = p->nri;

	if (atomic_exchange(&p->is_gone, true))
		return;
	nri_leave(n, p);
	loop_timer_remove(TAKE_PTR(p->timer));
	ttrpc_server_free(TAKE_PTR(p->server));
	mux_free(TAKE_PTR(p->mux)); /* open calls of the client fail by it */
	reap(p);
	if (p->next_open)
		p->next_open->prev_open = p->prev_open;
	if (p->prev_open)
		p->prev_open->next_open = p->next_open;
	else
		n->all = p->next_open;
	plugin_unref(p);
}

static void drop_posted(void *arg)
{
	plugin_close(arg);
	plugin_unref(arg);
}

void plugin_drop(struct plugin *p, const char *why)
{
	log_warn(LOG({ "plugin", p->name }, { "error", why }), "closing NRI plugin");
	loop_post(p->nri->env->loop, drop_posted, plugin_ref(p));
}

static void on_gone(void *arg)
{
	struct plugin *p = arg;

	log_info(LOG({ "plugin", p->name }), "connection to NRI plugin closed");
	plugin_close(p);
}

static void on_exit_of(UNUSED struct loop_io *io, UNUSED uint32_t events, void *arg)
{
	on_gone(arg);
}

static void on_late(UNUSED struct loop_timer *t, void *arg)
{
	struct plugin *p = arg;

	loop_timer_remove(TAKE_PTR(p->timer));
	plugin_drop(p, "plugin registration timed out");
}

/* --- asking it --- */

static bool is_its_end(const struct err *e)
{
	return e->code == ERR_DEADLINE_EXCEEDED || e->code == ERR_UNAVAILABLE ||
	       e->code == ERR_CANCELLED;
}

static int request(struct plugin *p, const char *method, const ProtobufCMessage *req,
		   const ProtobufCMessageDescriptor *rsp, ProtobufCMessage **ret, struct err *e)
{
	const struct ttrpc_target t = { PLUGIN_SERVICE, method, NULL,
					p->nri->env->request_timeout };
	struct err failed = { 0 };

	*ret = NULL;
	if (p->is_gone || ttrpc_client_call_wait(p->client, &t, req, rsp, ret, &failed) == 0)
		return 0;
	if (is_its_end(&failed)) {
		if (!p->is_gone)
			plugin_drop(p, failed.msg);
		return 0;
	}
	err_copy(e, &failed);
	return err_wrap(e, "NRI plugin \"%s\"", p->name);
}

int plugin_request(struct plugin *p, const char *method, const ProtobufCMessage *req,
		   const ProtobufCMessageDescriptor *rsp, ProtobufCMessage **ret, struct err *e)
{
	pthread_mutex_lock(&p->turn);
	int r = request(p, method, req, rsp, ret, e);

	pthread_mutex_unlock(&p->turn);
	return r;
}

/* --- joining --- */

static int configure(struct plugin *p, struct err *e)
{
	NRI_TYPE(ConfigureRequest) q;
	ProtobufCMessage *m;

	NRI_INIT(configure_request__init)(&q);
	q.config = p->config ?: (char *)"";
	q.runtime_name = (char *)"containerd";
	q.runtime_version = (char *)p->nri->env->version;
	q.registration_timeout = (int64_t)(p->nri->env->registration_timeout / 1000000);
	q.request_timeout = (int64_t)(p->nri->env->request_timeout / 1000000);
	if (request(p, "Configure", &q.base, &NRI_INIT(configure_response__descriptor), &m, e) < 0)
		return -1;
	if (!m)
		return err_set(e, ERR_UNAVAILABLE, "it went before it was configured");
	const NRI_TYPE(ConfigureResponse) *r = (const void *)m;

	p->events = r->events ? (uint32_t)r->events : EVENTS_ALL;
	protobuf_c_message_free_unpacked(m, NULL);
	return p->events & ~(uint32_t)EVENTS_ALL
		       ? err_set(e, ERR_INVALID_ARGUMENT, "invalid plugin events: 0x%x", p->events)
		       : 0;
}

static int send_part(struct plugin *p, NRI_TYPE(SynchronizeRequest) * q, struct err *e)
{
	ProtobufCMessage *m;

	if (request(p, "Synchronize", &q->base, &NRI_INIT(synchronize_response__descriptor), &m,
		    e) < 0)
		return -1;
	if (!m)
		return err_set(e, ERR_UNAVAILABLE, "it went before it was synchronized");
	NRI_TYPE(SynchronizeResponse) *r = (void *)m;
	int ok = 0;

	if (q->more && !r->more)
		ok = err_set(e, ERR_UNIMPLEMENTED, "plugin does not handle split sync requests");
	else if (!q->more)
		ok = nri_apply_updates(p->nri, r->update, r->n_update, e);
	protobuf_c_message_free_unpacked(m, NULL);
	return ok;
}

/* In parts that fit into frames. */
static int synchronize(struct plugin *p, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_JSON json_object *pods = NULL, *containers = NULL;
	AUTO_JSON json_object *all = json_object_new_object();
	size_t at = 0, size = 0;

	p->nri->env->list(p->nri->env->arg, &pods, &containers);
	json_object_object_add(all, "pods", json_object_get(pods));
	json_object_object_add(all, "containers", json_object_get(containers));
	NRI_TYPE(SynchronizeRequest) *q =
		(void *)map_from_json(&NRI_INIT(synchronize_request__descriptor), all, a);
	NRI_TYPE(SynchronizeRequest) part = *q;

	for (size_t i = 0; i < q->n_containers; i++) {
		size_t n = protobuf_c_message_get_packed_size(&q->containers[i]->base);

		if (size && size + n > SYNC_MAX) {
			part.containers = q->containers + at;
			part.n_containers = i - at;
			part.more = true;
			if (send_part(p, &part, e) < 0)
				return -1;
			part.n_pods = 0;
			at = i;
			size = 0;
		}
		size += n;
	}
	part.containers = q->containers + at;
	part.n_containers = q->n_containers - at;
	part.more = false;
	return send_part(p, &part, e);
}

/* Pool thread.  It is in the list before it is told what there is, and its turn is taken: what
 * comes after the list was made waits until it has it. */
static void join(void *arg)
{
	struct plugin *p = arg;
	struct err e = { 0 };

	pthread_mutex_lock(&p->turn);
	if (configure(p, &e) == 0) {
		nri_join(p->nri, p);
		if (synchronize(p, &e) == 0)
			log_info(LOG({ "plugin", p->name }), "NRI plugin registered");
	}
	pthread_mutex_unlock(&p->turn);
	if (e.code)
		plugin_drop(p, e.msg);
	plugin_unref(p);
}

/* --- what it asks us --- */

static const char *bad_name(const NRI_TYPE(RegisterPluginRequest) * q)
{
	if (strlen(q->plugin_idx) != 2 || strspn(q->plugin_idx, "0123456789") != 2)
		return "invalid plugin index";
	if (!*q->plugin_name || strlen(q->plugin_name) > 64 || strpbrk(q->plugin_name, "/\n\""))
		return "invalid plugin name";
	return NULL;
}

static void on_register(struct ttrpc_call *c)
{
	struct plugin *p = c->user;
	const NRI_TYPE(RegisterPluginRequest) *q = c->req;
	struct err e = { 0 };

	if (p->is_registered)
		err_set(&e, ERR_ALREADY_EXISTS, "plugin \"%s\" is registered", p->name);
	else if (!p->base && bad_name(q))
		err_set(&e, ERR_INVALID_ARGUMENT, "%s \"%.70s\"", bad_name(q), q->plugin_name);
	if (e.code) {
		ttrpc_fail(c, &e);
		return;
	}
	if (!p->base) {
		p->idx = xstrdup(q->plugin_idx);
		p->base = xstrdup(q->plugin_name);
		snprintf(p->name, sizeof p->name, "%s-%s", p->idx, p->base);
	}
	p->is_registered = true;
	loop_timer_remove(TAKE_PTR(p->timer));
	ttrpc_reply(c, NULL);
	pool_run(p->nri->env->pool, join, plugin_ref(p));
}

struct unsolicited {
	struct plugin *p;
	struct ttrpc_call *call;
};

static void update_containers(void *arg)
{
	struct unsolicited *u = arg;
	const NRI_TYPE(UpdateContainersRequest) *q = u->call->req;
	NRI_TYPE(UpdateContainersResponse) r;

	NRI_INIT(update_containers_response__init)(&r);
	r.failed = xcalloc(q->n_update + 1, sizeof *r.failed);
	for (size_t i = 0; i < q->n_update; i++) {
		struct err e = { 0 };

		if (nri_apply_updates(u->p->nri, &q->update[i], 1, &e) < 0) {
			log_warn(LOG({ "plugin", u->p->name }, { "error", e.msg }),
				 "an NRI plugin's update failed");
			r.failed[r.n_failed++] = q->update[i];
		}
	}
	ttrpc_reply(u->call, &r.base);
	free(r.failed);
	plugin_unref(u->p);
	free(u);
}

static void on_update(struct ttrpc_call *c)
{
	struct plugin *p = c->user;
	struct unsolicited *u = NEW(struct unsolicited);

	*u = (struct unsolicited){ plugin_ref(p), c };
	pool_run(p->nri->env->pool, update_containers, u);
}

static const struct ttrpc_method methods[] = {
	{ RUNTIME_SERVICE, "RegisterPlugin", &NRI_INIT(register_plugin_request__descriptor),
	  on_register },
	{ RUNTIME_SERVICE, "UpdateContainers", &NRI_INIT(update_containers_request__descriptor),
	  on_update },
	{ 0 },
};

/* --- its start --- */

struct plugin *plugin_new(struct nri *n, int fd_take, const char *idx, const char *base,
			  const char *config, int pidfd_take)
{
	struct plugin *p = NEW(struct plugin);
	int to_plugin, to_us;

	p->refs = 1;
	p->nri = n;
	p->idx = idx ? xstrdup(idx) : NULL;
	p->base = base ? xstrdup(base) : NULL;
	p->config = config ? xstrdup(config) : NULL;
	p->pidfd = pidfd_take;
	snprintf(p->name, sizeof p->name, "%s-%s", idx ?: "??", base ?: "plugin");
	pthread_mutex_init(&p->turn, NULL);
	if (mux_new(n->env->loop, fd_take, on_gone, p, &p->mux, &to_plugin, &to_us) < 0) {
		reap(p);
		pthread_mutex_destroy(&p->turn);
		free(p->idx);
		free(p->base);
		free(p->config);
		free(p);
		return NULL;
	}
	p->client = ttrpc_client_new(n->env->loop, to_plugin);
	p->server = ttrpc_server_new(n->env->loop, -1, methods, p);
	ttrpc_server_add(p->server, to_us);
	p->timer = loop_timer_add(n->env->loop, n->env->registration_timeout, on_late, p);
	if (p->pidfd >= 0)
		(void)loop_io_add(n->env->loop, p->pidfd, EPOLLIN, on_exit_of, p, &p->pid_io);
	p->next_open = n->all;
	if (n->all)
		n->all->prev_open = p;
	n->all = p;
	return p;
}
