#include "engine/nri.h"

#include "base/log.h"
#include "base/str.h"
#include "engine/network.h"
#include "engine/nri_entry.h"
#include "loop/pool.h"
#include "nri/blockio.h"
#include "os/file.h"
#include "store/namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define RESOURCES_TYPE "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources"
enum { SPEC_MAX = 16 * 1024 * 1024 };

/* NULL: there is nobody to ask. */
static struct engine_nri *active(const struct engine *en)
{
	return en->nri && !nri_is_idle(en->nri->nri) ? en->nri : NULL;
}

/* What only tells may fail without harm: it has happened. */
static void tell(struct engine_nri *n, enum nri_event event, json_object *pod, json_object *c)
{
	struct err e = { 0 };

	if (nri_tell(n->nri, event, pod, c, &e) < 0)
		log_warn(LOG({ "error", e.msg }), "an NRI plugin failed");
}

static int text_any(json_object *o, struct arena *a, struct any *to, struct err *e)
{
	size_t n;
	const char *s = json_object_to_json_string_length(
		o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &n);

	if (n > SPEC_MAX)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "NRI plugins made a spec of %zu bytes",
			       n);
	to->value = arena_memdup(a, s, n);
	to->n = n;
	return 0;
}

/* --- the end of a container --- */

static void tell_stop(struct engine_nri *n, struct nri_entry *x)
{
	AUTO_JSON json_object *pod = NULL, *c = NULL;
	struct err e = { 0 };

	pthread_mutex_lock(&x->ending);
	if (!x->is_stopped) {
		x->is_stopped = true;
		nri_entry_objects(x, &pod, &c);
		nri_set_state(c, TASK_STOPPED, 0);
		if (nri_stop_container(n->nri, pod, c, &e) < 0)
			log_warn(LOG({ "error", e.msg }), "an NRI plugin failed");
		tell(n, NRI_STOP_POD_SANDBOX, pod, NULL);
	}
	pthread_mutex_unlock(&x->ending);
}

static void tell_removed(struct engine_nri *n, struct nri_entry *x)
{
	AUTO_JSON json_object *pod = NULL, *c = NULL;

	tell_stop(n, x);
	nri_entry_objects(x, &pod, &c);
	nri_set_state(c, TASK_STOPPED, 0);
	tell(n, NRI_REMOVE_CONTAINER, pod, c);
	tell(n, NRI_REMOVE_POD_SANDBOX, pod, NULL);
	nri_entry_remove(n, x);
}

struct ended {
	struct engine_nri *n;
	struct nri_entry *x;
};

static void ended_done(struct ended *w)
{
	nri_entry_unref(w->x);
	free(w);
}

static void stop_job(void *arg)
{
	struct ended *w = arg;

	tell_stop(w->n, w->x);
	ended_done(w);
}

static void on_end(const struct err *e, UNUSED const struct task_exit *exit, void *arg)
{
	struct ended *w = arg;

	if (e)
		ended_done(w); /* cancelled: the daemon ends */
	else
		pool_run(w->n->en->pool, stop_job, w);
}

static void watch(struct engine_nri *n, struct nri_entry *x, struct task *t)
{
	struct ended *w = NEW(struct ended);
	uint64_t id;

	*w = (struct ended){ n, x };
	atomic_fetch_add(&x->refs, 1);
	pthread_mutex_lock(&n->lock);
	bool may = !x->wait && !n->is_stopping;

	id = may ? task_wait_new(t, "", on_end, w) : 0;
	x->wait = may ? id : x->wait;
	pthread_mutex_unlock(&n->lock);
	if (may)
		task_wait_begin(n->en->tasks, id);
	else
		ended_done(w);
}

/* --- the calls --- */

static int adjust(struct engine_nri *n, const struct container_record *r, struct task_new *t,
		  struct arena *a, struct nri_entry **ret, struct err *e)
{
	AUTO_JSON json_object *spec = NULL, *pod = NULL, *c = NULL;

	if (jsonr_parse((const char *)t->spec.value, t->spec.n, &spec, e) < 0)
		return err_wrap(e, "spec of %s", t->id);
	if (!json_object_is_type(spec, json_type_object))
		return err_set(e, ERR_INVALID_ARGUMENT, "spec of %s is no object", t->id);
	nri_describe(r, t->ns, spec, &pod, &c);
	if (nri_tell(n->nri, NRI_RUN_POD_SANDBOX, pod, NULL, e) < 0 ||
	    nri_create(n->nri, pod, c, spec, e) < 0 || text_any(spec, a, &t->spec, e) < 0)
		return -1;
	nri_set_state(c, TASK_CREATED, 0);
	*ret = nri_entry_add(n, t->ns, t->id, pod, c);
	return 0;
}

int engine_task_create(const struct call *call, const struct container_record *r,
		       struct task_new *t, uint32_t *ret_pid, struct err *e)
{
	struct engine_nri *n = active(call->engine);
	AUTO_ENTRY struct nri_entry *x = NULL;
	AUTO_JSON json_object *pod = NULL, *c = NULL;
	AUTO_TASK struct task *old = NULL;
	struct err absent = { 0 };

	/* One that exists is not to be told as new, and not as gone by our failure. */
	if (!n || task_get(call->engine->tasks, t->ns, t->id, &old, &absent) == 0)
		return network_task_create(call, r, t, ret_pid, e);
	if (adjust(n, r, t, call->arena, &x, e) < 0)
		return -1;
	if (network_task_create(call, r, t, ret_pid, e) < 0) {
		tell_removed(n, x);
		return -1;
	}
	nri_entry_objects(x, &pod, &c);
	nri_set_state(c, TASK_CREATED, *ret_pid);
	tell(n, NRI_POST_CREATE_CONTAINER, pod, c);
	return 0;
}

int engine_task_start(const struct call *call, struct task *t, const char *exec_id,
		      uint32_t *ret_pid, struct err *e)
{
	struct engine_nri *n = active(call->engine);
	AUTO_JSON json_object *pod = NULL, *c = NULL;
	AUTO_ENTRY struct nri_entry *x =
		n && !(exec_id && *exec_id) ? nri_entry_find(n, call->ns, task_id(t)) : NULL;

	if (!x)
		return task_start(t, exec_id, ret_pid, e);
	nri_entry_objects(x, &pod, &c);
	nri_set_state(c, TASK_CREATED, 0);
	if (nri_tell(n->nri, NRI_START_CONTAINER, pod, c, e) < 0 ||
	    task_start(t, exec_id, ret_pid, e) < 0)
		return -1;
	watch(n, x, t);
	nri_set_state(c, TASK_RUNNING, *ret_pid);
	tell(n, NRI_POST_START_CONTAINER, pod, c);
	return 0;
}

int engine_task_update(const struct call *call, struct task *t, struct any *resources,
		       const struct labels *annotations, struct err *e)
{
	struct engine_nri *n = active(call->engine);
	AUTO_ENTRY struct nri_entry *x = n ? nri_entry_find(n, call->ns, task_id(t)) : NULL;
	AUTO_JSON json_object *pod = NULL, *c = NULL, *r = NULL;

	if (!x || !resources->n)
		return task_update(t, resources, annotations, e);
	if (jsonr_parse((const char *)resources->value, resources->n, &r, e) < 0)
		return err_wrap(e, "resources");
	nri_entry_objects(x, &pod, &c);
	nri_set_state(c, TASK_RUNNING, 0);
	if (nri_update(n->nri, pod, c, r, e) < 0 || text_any(r, call->arena, resources, e) < 0 ||
	    task_update(t, resources, annotations, e) < 0)
		return -1;
	tell(n, NRI_POST_UPDATE_CONTAINER, pod, c);
	return 0;
}

int engine_task_delete(const struct call *call, struct task *t, const char *exec_id,
		       struct task_exit *ret, struct err *e)
{
	struct engine_nri *n = call->engine->nri;
	bool is_init = !exec_id || !*exec_id;
	AUTO_ENTRY struct nri_entry *x =
		n && is_init ? nri_entry_find(n, call->ns, task_id(t)) : NULL;

	if (network_task_delete(call, t, exec_id, ret, e) < 0)
		return -1;
	if (x)
		tell_removed(n, x);
	return 0;
}

/* --- what a new plugin is told, and what it may ask --- */

struct listing {
	struct engine_nri *n;
	json_object *pods, *containers;
	struct strv namespaces;
};

/* The config.json that runs, which plugins of before may have changed. */
static json_object *spec_of(const struct task *t)
{
	AUTO_FREE char *path = xasprintf("%s/config.json", task_bundle(t));
	AUTO_FREE char *text = NULL;
	json_object *spec = NULL;
	struct err e = { 0 };
	size_t n;

	if (file_read(AT_FDCWD, path, SPEC_MAX, &text, &n) == 0)
		(void)jsonr_parse(text, n, &spec, &e); /* then without */
	return spec;
}

static void list_task(struct listing *l, const char *ns, const struct task_state *s)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_JSON json_object *spec = NULL;
	AUTO_TASK struct task *t = NULL;
	json_object *pod, *c;
	struct container_record r;
	struct err e = { 0 };

	if (task_get(l->n->en->tasks, ns, s->container_id, &t, &e) < 0 ||
	    container_get(l->n->en->store, ns, a, s->container_id, &r, &e) < 0)
		return; /* gone, or nobody's any more */
	spec = spec_of(t);
	nri_describe(&r, ns, spec, &pod, &c);
	if (spec)
		nri_fill(c, spec);
	nri_set_state(c, s->status, s->pid);
	AUTO_ENTRY struct nri_entry *x = nri_entry_add(l->n, ns, r.id, pod, c);

	if (s->status == TASK_STOPPED)
		x->is_stopped = true;
	else
		watch(l->n, x, t);
	json_object_array_add(l->pods, pod);
	json_object_array_add(l->containers, c);
}

static int note_namespace(const char *name, UNUSED const struct labels *labels, void *arg,
			  UNUSED struct err *e)
{
	strv_add(&((struct listing *)arg)->namespaces, name);
	return 0;
}

static void list_all(void *arg, json_object **ret_pods, json_object **ret_containers)
{
	struct engine_nri *n = arg;
	struct listing l = { n, json_object_new_array(), json_object_new_array(), { 0 } };
	struct err e = { 0 };

	if (namespace_list(n->en->store, note_namespace, &l, &e) < 0)
		log_warn(LOG({ "error", e.msg }), "NRI plugins are not told what runs");
	for (size_t i = 0; i < l.namespaces.n; i++) {
		AUTO_ARENA struct arena *a = arena_new();
		struct task_state *v;
		size_t count;

		if (task_list(n->en->tasks, l.namespaces.v[i], a, &v, &count, &e) < 0)
			continue;
		for (size_t k = 0; k < count; k++)
			list_task(&l, l.namespaces.v[i], &v[k]);
	}
	strv_done(&l.namespaces);
	*ret_pods = l.pods;
	*ret_containers = l.containers;
}

static int update_one(void *arg, const char *id, json_object *resources, struct err *e)
{
	struct engine_nri *n = arg;
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_ENTRY struct nri_entry *x = nri_entry_find(n, NULL, id);
	AUTO_TASK struct task *t = NULL;
	const struct labels none = { 0 };
	struct any any = { .type_url = RESOURCES_TYPE };

	if (!x)
		return err_set(e, ERR_NOT_FOUND, "container \"%.100s\"", id);
	if (task_get(n->en->tasks, x->ns, id, &t, e) < 0 || text_any(resources, a, &any, e) < 0)
		return -1;
	return task_update(t, &any, &none, e);
}

/* --- start and end --- */

/* A file that is wrong leaves no classes, and the daemon is there all the same. */
static void load_classes(struct engine_nri *n, const char *path)
{
	AUTO_STRV struct strv warnings = { 0 };
	struct err e = { 0 };

	if (!*path)
		return;
	if (blockio_load(path, &n->blockio, &warnings, &e) < 0)
		log_error(LOG({ "error", e.msg }), "blockio initialization failed");
	for (size_t i = 0; i < warnings.n; i++)
		log_warn(LOG({ "file", path }), "%s", warnings.v[i]);
	n->env.blockio = n->blockio;
}

struct engine_nri *engine_nri_new(struct engine *en)
{
	const struct config_nri *cfg = &en->cfg->nri;

	if (cfg->disable || config_plugin_is_disabled(en->cfg, "io.containerd.nri.v1", "nri"))
		return NULL;
	struct engine_nri *n = NEW(struct engine_nri);

	n->en = en;
	n->env = (struct nri_env){
		.loop = en->loop,
		.pool = en->pool,
		.socket = cfg->disable_connections ? "" : cfg->socket,
		.plugins = cfg->plugins,
		.plugin_config = cfg->plugin_config,
		.version = CASCO_VERSION,
		.rules = &cfg->rules,
		.registration_timeout = cfg->registration_timeout,
		.request_timeout = cfg->request_timeout,
		.list = list_all,
		.update = update_one,
		.arg = n,
	};
	pthread_mutex_init(&n->lock, NULL);
	load_classes(n, en->cfg->blockio_file);
	n->nri = nri_new(&n->env);
	return n;
}

void engine_nri_stop(struct engine_nri *n)
{
	pthread_mutex_lock(&n->lock);
	n->is_stopping = true;
	pthread_mutex_unlock(&n->lock);
	nri_stop(n->nri);
	/* Nobody adds a wait any more, and a wait's id may be cancelled when it is long over. */
	for (struct nri_entry *x = n->entries; x; x = x->next)
		if (x->wait)
			task_wait_cancel(n->en->tasks, x->wait);
}

void engine_nri_free(struct engine_nri *n)
{
	if (!n)
		return;
	while (n->entries)
		nri_entry_remove(n, n->entries);
	nri_free(n->nri);
	blockio_free(n->blockio);
	pthread_mutex_destroy(&n->lock);
	free(n);
}
