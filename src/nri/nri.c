#include "nri/nri.h"

#include "base/log.h"
#include "base/str.h"
#include "loop/loop.h"
#include "nri/adjust.h"
#include "nri/map.h"
#include "nri/plugin.h"
#include "nri/validate.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/socket.h>

enum { BACKLOG = 16, PLUGINS_MAX = 64 };

/* --- the list --- */

void nri_join(struct nri *n, struct plugin *p)
{
	pthread_mutex_lock(&n->lock);
	struct plugin **at = &n->plugins;

	while (*at && strcmp((*at)->name, p->name) <= 0)
		at = &(*at)->next;
	if (!p->is_gone) {
		p->next = *at;
		*at = plugin_ref(p);
	}
	pthread_mutex_unlock(&n->lock);
}

void nri_leave(struct nri *n, struct plugin *p)
{
	bool was_there = false;

	pthread_mutex_lock(&n->lock);
	for (struct plugin **at = &n->plugins; *at; at = &(*at)->next)
		if (*at == p) {
			*at = p->next;
			was_there = true;
			break;
		}
	pthread_mutex_unlock(&n->lock);
	if (was_there)
		plugin_unref(p);
}

bool nri_is_idle(struct nri *n)
{
	pthread_mutex_lock(&n->lock);
	bool v = !n->plugins && !(n->env->rules->enable && n->env->rules->n_required);

	pthread_mutex_unlock(&n->lock);
	return v;
}

/* Those who want an event, as references. */
static size_t takers(struct nri *n, enum nri_event event, struct plugin *v[PLUGINS_MAX])
{
	size_t count = 0;

	pthread_mutex_lock(&n->lock);
	for (struct plugin *p = n->plugins; p && count < PLUGINS_MAX; p = p->next)
		if (plugin_wants(p, event))
			v[count++] = plugin_ref(p);
	pthread_mutex_unlock(&n->lock);
	return count;
}

/* --- requests --- */

static const char *text_of(json_object *o, const char *key)
{
	json_object *v;

	return json_object_object_get_ex(o, key, &v) ? json_object_get_string(v) ?: "" : "";
}

static int apply_update(struct nri *n, const NRI_TYPE(ContainerUpdate) * u, struct err *e)
{
	AUTO_ADJUST struct adjust a = ADJUST_INIT(n->env->blockio);
	AUTO_JSON json_object *want = map_to_json(&u->linux->resources->base);
	AUTO_JSON json_object *r = json_object_new_object();

	if (adjust_resources(&a, "", want, r, e) < 0)
		return -1;
	return n->env->update(n->env->arg, u->container_id, r, e);
}

int nri_apply_updates(struct nri *n, NRI_TYPE(ContainerUpdate) *const *v, size_t count,
		      struct err *e)
{
	for (size_t i = 0; i < count; i++) {
		struct err failed = { 0 };

		if (!v[i]->linux || !v[i]->linux->resources)
			continue;
		if (apply_update(n, v[i], &failed) < 0 && !v[i]->ignore_failure)
			return err_copy(e, &failed);
	}
	return 0;
}

/* Asks all takers in order; each answer goes to `each`, which may fail for all. */
typedef int answer_fn(struct nri *n, struct plugin *p, ProtobufCMessage *m, void *arg,
		      struct err *e);

struct question {
	enum nri_event event;
	const char *method;
	const ProtobufCMessageDescriptor *request, *response;
	json_object *body; /* of the request; `each` may change it for the next plugin */
	answer_fn *each; /* NULL: the answer says nothing */
	void *arg;
};

static int ask_one(struct nri *n, struct plugin *p, const struct question *q, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	ProtobufCMessage *m = NULL;
	int r = plugin_request(p, q->method, map_from_json(q->request, q->body, a), q->response, &m,
			       e);

	if (r == 0 && m && q->each)
		r = q->each(n, p, m, q->arg, e);
	if (m)
		protobuf_c_message_free_unpacked(m, NULL);
	return r;
}

static int ask(struct nri *n, const struct question *q, struct err *e)
{
	struct plugin *v[PLUGINS_MAX];
	size_t count = takers(n, q->event, v);
	int r = 0;

	for (size_t i = 0; i < count; i++) {
		if (r == 0)
			r = ask_one(n, v[i], q, e);
		plugin_unref(v[i]);
	}
	return r;
}

static json_object *body_of(json_object *pod, json_object *container)
{
	json_object *o = json_object_new_object();

	if (pod)
		json_object_object_add(o, "pod", json_object_get(pod));
	if (container)
		json_object_object_add(o, "container", json_object_get(container));
	return o;
}

int nri_tell(struct nri *n, enum nri_event event, json_object *pod, json_object *container,
	     struct err *e)
{
	AUTO_JSON json_object *body = body_of(pod, container);
	const ProtobufCEnumValue *v =
		protobuf_c_enum_descriptor_get_value(&NRI_INIT(event__descriptor), (int)event);
	const struct question q = {
		.event = event,
		.method = "StateChange", /* plugins of all versions have it */
		.request = &NRI_INIT(state_change_event__descriptor),
		.response = &NRI_INIT(empty__descriptor),
		.body = body,
	};

	json_object_object_add(body, "event", json_object_new_string(v ? v->name : ""));
	return ask(n, &q, e);
}

struct creation {
	struct adjust adjust;
	json_object *container, *spec;
};

static int created(struct nri *n, struct plugin *p, ProtobufCMessage *m, void *arg, struct err *e)
{
	const NRI_TYPE(CreateContainerResponse) *r = (const void *)m;
	struct creation *c = arg;

	if (r->adjust) {
		AUTO_JSON json_object *want = map_to_json(&r->adjust->base);

		if (validate_adjustment(n->env->rules, p->name, want, c->spec, e) < 0 ||
		    adjust_spec(&c->adjust, p->name, want, c->spec, e) < 0)
			return -1;
		nri_fill(c->container, c->spec);
	}
	return nri_apply_updates(n, r->update, r->n_update, e);
}

static bool has_plugin(void *arg, const char *name)
{
	struct nri *n = arg;
	bool found = false;

	pthread_mutex_lock(&n->lock);
	for (const struct plugin *p = n->plugins; p && !found; p = p->next)
		found = p->base && !strcmp(p->base, name);
	pthread_mutex_unlock(&n->lock);
	return found;
}

int nri_create(struct nri *n, json_object *pod, json_object *container, json_object *spec,
	       struct err *e)
{
	AUTO_JSON json_object *body = body_of(pod, container);
	struct creation c = { ADJUST_INIT(n->env->blockio), container, spec };
	const struct question q = {
		.event = NRI_CREATE_CONTAINER,
		.method = "CreateContainer",
		.request = &NRI_INIT(create_container_request__descriptor),
		.response = &NRI_INIT(create_container_response__descriptor),
		.body = body,
		.each = created,
		.arg = &c,
	};

	nri_fill(container, spec);
	int r = validate_required(n->env->rules, spec, has_plugin, n, e);

	if (r == 0)
		r = ask(n, &q, e);
	adjust_done(&c.adjust);
	return r;
}

struct renewal {
	struct adjust adjust;
	const char *id;
	json_object *resources;
};

/* Of the container itself: into the request; of others: at once. */
static int renewed(struct nri *n, struct plugin *p, ProtobufCMessage *m, void *arg, struct err *e)
{
	const NRI_TYPE(UpdateContainerResponse) *r = (const void *)m;
	struct renewal *u = arg;

	for (size_t i = 0; i < r->n_update; i++) {
		const NRI_TYPE(ContainerUpdate) *up = r->update[i];

		if (strcmp(up->container_id, u->id) != 0) {
			if (nri_apply_updates(n, &r->update[i], 1, e) < 0)
				return -1;
			continue;
		}
		if (!up->linux || !up->linux->resources)
			continue;
		AUTO_JSON json_object *want = map_to_json(&up->linux->resources->base);

		if (adjust_resources(&u->adjust, p->name, want, u->resources, e) < 0)
			return -1;
	}
	return 0;
}

int nri_update(struct nri *n, json_object *pod, json_object *container, json_object *resources,
	       struct err *e)
{
	AUTO_JSON json_object *body = body_of(pod, container);
	struct renewal u = { ADJUST_INIT(n->env->blockio), text_of(container, "id"), resources };
	const struct question q = {
		.event = NRI_UPDATE_CONTAINER,
		.method = "UpdateContainer",
		.request = &NRI_INIT(update_container_request__descriptor),
		.response = &NRI_INIT(update_container_response__descriptor),
		.body = body,
		.each = renewed,
		.arg = &u,
	};

	json_object_object_add(body, "linuxResources", json_object_get(resources));
	int r = ask(n, &q, e);

	adjust_done(&u.adjust);
	return r;
}

static int stopped(struct nri *n, UNUSED struct plugin *p, ProtobufCMessage *m, UNUSED void *arg,
		   struct err *e)
{
	const NRI_TYPE(StopContainerResponse) *r = (const void *)m;

	return nri_apply_updates(n, r->update, r->n_update, e);
}

int nri_stop_container(struct nri *n, json_object *pod, json_object *container, struct err *e)
{
	AUTO_JSON json_object *body = body_of(pod, container);
	const struct question q = {
		.event = NRI_STOP_CONTAINER,
		.method = "StopContainer",
		.request = &NRI_INIT(stop_container_request__descriptor),
		.response = &NRI_INIT(stop_container_response__descriptor),
		.body = body,
		.each = stopped,
	};

	return ask(n, &q, e);
}

static void move(json_object *from, const char *key, json_object *to, const char *name)
{
	json_object *v;

	if (json_object_object_get_ex(from, key, &v))
		json_object_object_add(to, name, json_object_get(v));
}

void nri_fill(json_object *container, json_object *spec)
{
	static const char *const of_linux[] = { "namespaces",  "devices", "resources",
						"cgroupsPath", "sysctl",  "netDevices" };
	static const char *const of_process[] = { "args", "env", "rlimits", "user" };
	static const char *const of_spec[] = { "annotations", "mounts", "hooks" };
	static const char *const below_linux[] = { "oomScoreAdj", "ioPriority", "scheduler" };
	json_object *linux = NULL, *process = NULL, *ours = json_object_new_object();

	(void)json_object_object_get_ex(spec, "linux", &linux);
	(void)json_object_object_get_ex(spec, "process", &process);
	for (size_t i = 0; i < ARRAY_LEN(of_spec); i++)
		move(spec, of_spec[i], container, of_spec[i]);
	for (size_t i = 0; i < ARRAY_LEN(of_process); i++)
		move(process, of_process[i], container, of_process[i]);
	for (size_t i = 0; i < ARRAY_LEN(of_linux); i++)
		move(linux, of_linux[i], ours, of_linux[i]);
	for (size_t i = 0; i < ARRAY_LEN(below_linux); i++)
		move(process, below_linux[i], ours, below_linux[i]);
	move(linux, "seccomp", ours, "seccompPolicy");
	move(linux, "intelRdt", ours, "rdt");
	json_object_object_add(container, "linux", ours);
}

/* --- start and end --- */

static void on_accept(UNUSED struct loop_io *io, UNUSED uint32_t events, void *arg)
{
	struct nri *n = arg;
	AUTO_FD int fd = accept4(n->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct socket_peer peer;
	size_t open = 0;

	for (struct plugin *p = n->all; p; p = p->next_open)
		open++;
	if (fd < 0 || socket_peer(fd, &peer) < 0 || peer.uid != geteuid() || open >= PLUGINS_MAX)
		return;
	(void)plugin_new(n, TAKE_FD(fd), NULL, NULL, NULL, -1); /* NULL: it sees a closed socket */
}

/* Another daemon's socket stays its own: then there are only plugins of the folder. */
static int listen_on(struct nri *n, struct err *e)
{
	AUTO_FREE char *copy = xstrdup(n->env->socket);
	int r = file_mkdirs(dirname(copy), 0700);

	if (r < 0)
		return err_sys(e, -r, "mkdir for %s", n->env->socket);
	r = socket_connect(n->env->socket);
	if (r >= 0) {
		close(r);
		return err_set(e, ERR_ALREADY_EXISTS, "%s: another daemon answers there",
			       n->env->socket);
	}
	if (r != -ENOENT && unlink(n->env->socket) < 0)
		return err_sys(e, errno, "unlink %s", n->env->socket);
	n->fd = socket_listen(n->env->socket, 0600, BACKLOG);
	if (n->fd < 0)
		return err_sys(e, -n->fd, "listen on %s", n->env->socket);
	r = loop_io_add(n->env->loop, n->fd, EPOLLIN, on_accept, n, &n->io);
	return r < 0 ? err_sys(e, -r, "serve %s", n->env->socket) : 0;
}

static void start(void *arg)
{
	struct nri *n = arg;
	struct err e = { 0 };

	if (n->is_stopping)
		return;
	plugins_launch(n);
	if (*n->env->socket && listen_on(n, &e) < 0)
		log_warn(LOG({ "error", e.msg }), "NRI plugins cannot connect");
}

struct nri *nri_new(const struct nri_env *env)
{
	struct nri *n = NEW(struct nri);

	n->env = env;
	n->fd = -1;
	pthread_mutex_init(&n->lock, NULL);
	loop_post(env->loop, start, n);
	return n;
}

void nri_stop(struct nri *n)
{
	n->is_stopping = true;
	if (n->io)
		(void)unlink(n->env->socket); /* a stale one is replaced */
	loop_io_remove(TAKE_PTR(n->io));
	close_fd(&n->fd);
	while (n->all)
		plugin_close(n->all);
}

void nri_free(struct nri *n)
{
	if (!n)
		return;
	pthread_mutex_destroy(&n->lock);
	free(n);
}
