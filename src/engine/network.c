#include "engine/network.h"

#include "base/log.h"
#include "engine/engine.h"
#include "engine/network_attach.h"
#include "engine/network_place.h"
#include "engine/network_repair.h"
#include "loop/pool.h"
#include "net/files.h"
#include "net/nft.h"
#include "net/publish.h"
#include "store/container.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

/* containerd's ctr marks containers so that it attached itself. */
#define FOREIGN_EXTENSION "ctr.cni-containerd.metadata"

enum { END_WAIT_MS = 5000, END_STEP_MS = 10, WISHES_MAX = 1 << 20 };

/* One container's turn.  In the list while it is attached or somebody is at it. */
struct entry {
	struct entry *next;
	char *ns, *id;
	bool is_busy, is_attached;
	unsigned waiters;
	uint64_t serial; /* of the attachment: by it, who waits for an older one's end knows */
	uint64_t wait; /* for the task's end, 0: none */
};

struct engine_network {
	struct engine *en;
	struct cni_env env;
	char *root;
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t freed;
	struct entry *entries;
	uint64_t last_serial;
	bool is_stopping;
	struct network_repair *repair; /* the loop's thread */
};

const char *network_root(const struct config *cfg, struct arena *a)
{
	return arena_printf(a, "%s/io.casco.network", cfg->root);
}

/* --- turns --- */

static struct entry *find(struct engine_network *n, const char *ns, const char *id)
{
	for (struct entry *x = n->entries; x; x = x->next)
		if (!strcmp(x->id, id) && !strcmp(x->ns, ns))
			return x;
	return NULL;
}

/* Waits until nobody else is at this container.  may_make false: NULL when it has no network. */
static struct entry *take(struct engine_network *n, const char *ns, const char *id, bool may_make)
{
	pthread_mutex_lock(&n->lock);
	struct entry *x = find(n, ns, id);

	if (!x && may_make) {
		x = NEW(struct entry);
		x->ns = xstrdup(ns);
		x->id = xstrdup(id);
		x->next = n->entries;
		n->entries = x;
	}
	if (x) {
		x->waiters++;
		while (x->is_busy)
			pthread_cond_wait(&n->freed, &n->lock);
		x->waiters--;
		x->is_busy = true;
	}
	pthread_mutex_unlock(&n->lock);
	return x;
}

static void entry_free(struct entry *x)
{
	free(x->ns);
	free(x->id);
	free(x);
}

static void give(struct engine_network *n, struct entry *x)
{
	pthread_mutex_lock(&n->lock);
	x->is_busy = false;
	if (!x->is_attached && !x->waiters) {
		struct entry **p = &n->entries;

		while (*p != x)
			p = &(*p)->next;
		*p = x->next;
		entry_free(x);
	} else {
		pthread_cond_broadcast(&n->freed);
	}
	pthread_mutex_unlock(&n->lock);
}

/* --- the end --- */

/* With the turn.  What could not be detached is tried again when the task is deleted, when a new
 * one is made, and (by what is on disk) at the daemon's next start. */
static int detach(struct engine_network *n, struct entry *x, struct err *e)
{
	AUTO_PLACE struct place p;

	place_init(&p, n->root, x->ns, x->id);
	x->is_attached = network_detach(&n->env, &p, e) < 0;
	return x->is_attached ? err_wrap(e, "failed to remove network") : 0;
}

static void detach_or_warn(struct engine_network *n, struct entry *x)
{
	struct err e = { 0 };

	if (detach(n, x, &e) < 0)
		log_warn(LOG({ "id", x->id }, { "namespace", x->ns }, { "error", e.msg }),
			 "the container's network stays");
}

/* Somebody who waits for the end of a task. */
struct ended {
	struct engine_network *n;
	char *ns, *id;
	uint64_t serial; /* 0: whatever there is */
};

static void ended_free(struct ended *w)
{
	free(w->ns);
	free(w->id);
	free(w);
}

/* Who attached by himself detaches by himself, unless he is too late for the task. */
static bool is_others_turn(struct engine_network *n, const struct entry *x)
{
	AUTO_PLACE struct place p;
	AUTO_TASK struct task *t = NULL;
	struct err e = { 0 };

	place_init(&p, n->root, x->ns, x->id);
	return network_is_foreign(&p) && task_get(n->en->tasks, x->ns, x->id, &t, &e) == 0;
}

static void end_job(void *arg)
{
	struct ended *w = arg;
	struct entry *x = take(w->n, w->ns, w->id, w->serial == 0);

	if (x) {
		bool is_it = !w->serial || (x->is_attached && x->serial == w->serial);

		if (is_it && !is_others_turn(w->n, x))
			detach_or_warn(w->n, x);
		give(w->n, x);
	}
	ended_free(w);
}

static struct ended *ended_new(struct engine_network *n, const char *ns, const char *id,
			       uint64_t serial)
{
	struct ended *w = NEW(struct ended);

	*w = (struct ended){ n, xstrdup(ns), xstrdup(id), serial };
	return w;
}

static void on_end(const struct err *e, UNUSED const struct task_exit *exit, void *arg)
{
	struct ended *w = arg;

	if (e)
		ended_free(w); /* cancelled: the daemon ends */
	else
		pool_run(w->n->en->pool, end_job, w);
}

/* With the turn: from here on the task's end is the network's. */
static void watch(struct engine_network *n, struct entry *x, struct task *t)
{
	struct ended *w;
	uint64_t id = 0;

	pthread_mutex_lock(&n->lock);
	x->is_attached = true;
	x->serial = ++n->last_serial;
	w = ended_new(n, x->ns, x->id, x->serial);
	if (!n->is_stopping)
		id = x->wait = task_wait_new(t, "", on_end, w);
	pthread_mutex_unlock(&n->lock);
	if (id)
		task_wait_begin(n->en->tasks, id);
	else
		ended_free(w);
}

/* --- the calls --- */

/* What the record wishes: 1 with the document, 2: somebody else attaches it, 0: nothing. */
static int wishes_of(const struct container_record *r, json_object **ret, struct err *e)
{
	AUTO_JSON json_object *mark = NULL;
	struct err bad = { 0 };
	bool is_foreign = false;

	for (size_t i = 0; i < r->extensions.n; i++) {
		const struct extension *x = &r->extensions.v[i];

		if (!strcmp(x->key, NETWORK_EXTENSION)) {
			if (x->any.n > WISHES_MAX)
				return err_set(e, ERR_INVALID_ARGUMENT,
					       "extension %s is larger than %d bytes", x->key,
					       WISHES_MAX);
			if (jsonr_parse(x->any.value, x->any.n, ret, e) < 0)
				return err_wrap(e, "extension %s", x->key);
			if (!json_object_is_type(*ret, json_type_object))
				return err_set(e, ERR_INVALID_ARGUMENT, "extension %s is no object",
					       x->key);
			return 1;
		}
		if (!strcmp(x->key, FOREIGN_EXTENSION) &&
		    jsonr_parse(x->any.value, x->any.n, &mark, &bad) == 0 &&
		    json_object_is_type(mark, json_type_object))
			(void)jsonr_bool(mark, "EnableCni", &is_foreign, &bad);
	}
	return is_foreign ? 2 : 0;
}

/* A task that was made and cannot be attached. */
static void drop_task(const struct call *call, const char *id)
{
	AUTO_TASK struct task *t = NULL;
	struct task_exit x;
	struct err e = { 0 };

	if (task_get(call->engine->tasks, call->ns, id, &t, &e) < 0)
		return;
	(void)task_kill(t, NULL, SIGKILL, true, &e); /* it may have ended */
	for (int ms = 0; ms < END_WAIT_MS; ms += END_STEP_MS) {
		const struct timespec step = { 0, END_STEP_MS * 1000000L };

		err_clear(&e);
		if (task_delete(t, NULL, &x, &e) == 0 || e.code != ERR_FAILED_PRECONDITION)
			return;
		nanosleep(&step, NULL);
	}
	log_warn(LOG({ "id", id }, { "error", e.msg }), "a task without its network stays");
}

/* With the turn, and a folder. */
static int create_attached(struct engine_network *n, const struct call *call, struct entry *x,
			   const struct place *p, json_object *wishes, struct task_new *t,
			   uint32_t *ret_pid, struct err *e)
{
	AUTO_TASK struct task *task = NULL;
	const char *hostname = "";

	if (wishes && place_add_mounts(p, call->arena, &t->spec, &hostname, e) < 0)
		return -1;
	if (task_create(n->en->tasks, t, ret_pid, e) < 0)
		return -1;
	const struct network_job job = { .wishes = wishes,
					 .id = t->id,
					 .hostname = hostname,
					 .pid = *ret_pid,
					 .publish_address = call->engine->cfg->publish_address,
					 .cancel = call->cancel };

	t->has_network_failed = network_attach(&n->env, p, &job, e) < 0;
	if (t->has_network_failed || task_get(n->en->tasks, t->ns, t->id, &task, e) < 0) {
		drop_task(call, t->id);
		return -1;
	}
	watch(n, x, task);
	return 0;
}

static int create_in_turn(struct engine_network *n, const struct call *call, struct entry *x,
			  json_object *wishes, struct task_new *t, uint32_t *ret_pid, struct err *e)
{
	AUTO_TASK struct task *old = NULL;
	AUTO_PLACE struct place p;
	struct err none = { 0 };

	/* One that is there keeps its network; task_create() has the sentence for it. */
	if (task_get(n->en->tasks, t->ns, t->id, &old, &none) == 0)
		return task_create(n->en->tasks, t, ret_pid, e);
	place_init(&p, n->root, t->ns, t->id);
	/* what a former one left, first */
	t->has_network_failed = detach(n, x, e) < 0 || place_make(&p, e) < 0;
	if (t->has_network_failed)
		return -1;
	if (create_attached(n, call, x, &p, wishes, t, ret_pid, e) == 0)
		return 0;
	err_clear(&none);
	if (network_detach(&n->env, &p, &none) < 0) /* tried again at the next start */
		log_warn(LOG({ "id", t->id }, { "namespace", t->ns }, { "error", none.msg }),
			 "a network that could not be entered cannot be left");
	return -1;
}

int network_task_create(const struct call *call, const struct container_record *r,
			struct task_new *t, uint32_t *ret_pid, struct err *e)
{
	struct engine_network *n = call->engine->network;
	AUTO_JSON json_object *wishes = NULL;
	int kind = wishes_of(r, &wishes, e);

	if (kind < 0)
		return -1;
	if (kind == 0)
		return task_create(call->engine->tasks, t, ret_pid, e);
	if (kind == 1 && t->sandbox && *t->sandbox)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "a container of a sandbox has the sandbox's network");
	struct entry *x = take(n, t->ns, t->id, true);
	int ret = create_in_turn(n, call, x, wishes, t, ret_pid, e);

	give(n, x);
	return ret;
}

int network_task_delete(const struct call *call, struct task *t, const char *exec_id,
			struct task_exit *ret, struct err *e)
{
	struct engine_network *n = call->engine->network;
	struct entry *x;

	if (task_delete(t, exec_id, ret, e) < 0)
		return -1;
	if (exec_id && *exec_id)
		return 0;
	x = take(n, call->ns, task_id(t), false);
	if (!x)
		return 0;
	if (x->is_attached)
		detach_or_warn(n, x);
	give(n, x);
	return 0;
}

int network_ready(const struct engine_network *n, struct err *e)
{
	return network_check_default(&n->env, e);
}

/* --- what others take away --- */

/* Names that are attached now, "NS/ID". */
static void attached_names(struct engine_network *n, struct strv *ret)
{
	pthread_mutex_lock(&n->lock);
	for (const struct entry *x = n->entries; x; x = x->next)
		if (x->is_attached)
			strv_addf(ret, "%s/%s", x->ns, x->id);
	pthread_mutex_unlock(&n->lock);
}

static bool restore_one(struct engine_network *n, const struct entry *x)
{
	AUTO_PLACE struct place p;
	struct err e = { 0 };
	bool did = false;

	place_init(&p, n->root, x->ns, x->id);
	if (network_restore(&n->env, &p, &did, &e) < 0)
		log_warn(LOG({ "id", x->id }, { "namespace", x->ns }, { "error", e.msg }),
			 "rules of the container's network are not there");
	return did;
}

void network_ask_again(struct engine_network *n)
{
	struct err e = { 0 };

	if (n->env.is_screened && nft_forget_askers(&e) < 0)
		log_warn(LOG({ "error", e.msg }), "who may use published ports is not asked again");
}

size_t network_restore_all(struct engine_network *n)
{
	AUTO_STRV struct strv names = { 0 };
	size_t restored = 0;

	attached_names(n, &names);
	for (size_t i = 0; i < names.n; i++) {
		char *id = strchr(names.v[i], '/');

		*id++ = 0;
		struct entry *x = take(n, names.v[i], id, false);

		if (!x)
			continue; /* it went meanwhile */
		restored += x->is_attached && restore_one(n, x);
		give(n, x);
	}
	return restored;
}

const char *network_netns(const struct engine_network *n, const char *ns, const char *id,
			  struct arena *a)
{
	AUTO_PLACE struct place p;

	place_init(&p, n->root, ns, id);
	return arena_strdup(a, p.netns);
}

int network_addresses(const struct engine_network *n, const char *ns, const char *id,
		      struct strv *ret, struct err *e)
{
	AUTO_JSON json_object *record = NULL;
	json_object *list = NULL, *result = NULL;
	AUTO_PLACE struct place p;

	place_init(&p, n->root, ns, id);
	if (place_read(&p, &record, e) <= 0)
		return e->code ? -1 : 0;
	if (jsonr_array(record, "attachments", &list, e) < 0)
		return -1;
	if (!list || !json_object_array_length(list))
		return 0;
	if (jsonr_object(json_object_array_get_idx(list, 0), "result", &result, e) < 0)
		return -1;
	if (result)
		files_addresses(result, ret);
	return 0;
}

/* --- start and end --- */

static void recover(struct engine_network *n, const char *ns, const char *id)
{
	AUTO_TASK struct task *t = NULL;
	struct err e = { 0 };

	if (task_get(n->en->tasks, ns, id, &t, &e) < 0) {
		log_info(LOG({ "id", id }, { "namespace", ns }),
			 "the network of a container that is gone is removed");
		pool_run(n->en->pool, end_job, ended_new(n, ns, id, 0));
		return;
	}
	struct entry *x = take(n, ns, id, true);

	watch(n, x, t);
	give(n, x);
}

/* fn for each folder in dir. */
static void each_folder(const char *dir, void (*fn)(void *arg, const char *name), void *arg)
{
	DIR *d = opendir(dir);
	const struct dirent *x;

	while (d && (x = readdir(d)))
		if (*x->d_name != '.')
			fn(arg, x->d_name);
	if (d)
		closedir(d);
}

struct scan {
	struct engine_network *n;
	const char *ns;
};

static void scan_container(void *arg, const char *id)
{
	const struct scan *s = arg;

	recover(s->n, s->ns, id);
}

static void scan_namespace(void *arg, const char *ns)
{
	struct scan s = { arg, ns };
	AUTO_FREE char *dir = xasprintf("%s/%s", s.n->root, ns);

	each_folder(dir, scan_container, &s);
}

static void sweep_job(void *arg)
{
	struct engine_network *n = arg;
	struct err e = { 0 };

	if (network_sweep_cache(&n->env, n->root, &e) < 0)
		log_warn(LOG({ "error", e.msg }), "what no container has any more stays attached");
}

struct engine_network *network_new(struct engine *en)
{
	const struct config *cfg = en->cfg;
	AUTO_ARENA struct arena *a = arena_new();
	struct engine_network *n = NEW(struct engine_network);

	n->en = en;
	n->root = xstrdup(network_root(cfg, a));
	n->env = CNI_ENV_DEFAULT;
	n->env.conf_dir = cfg->cni_conf_dir;
	n->env.bin_dirs = cfg->cni_bin_dirs;
	n->env.is_screened = strcmp(cfg->publish_policy, "all") != 0;
	pthread_mutex_init(&n->lock, NULL);
	pthread_cond_init(&n->freed, NULL);
	each_folder(n->root, scan_namespace, n);
	pool_run(en->pool, sweep_job, n);
	n->repair = network_repair_new(n, en->loop, en->pool);
	return n;
}

void network_stop(struct engine_network *n)
{
	pthread_mutex_lock(&n->lock);
	n->is_stopping = true;
	for (struct entry *x = n->entries; x; x = x->next)
		if (x->wait)
			task_wait_cancel(n->en->tasks, x->wait);
	pthread_mutex_unlock(&n->lock);
	network_repair_free(TAKE_PTR(n->repair));
}

void network_free(struct engine_network *n)
{
	if (!n)
		return;
	network_repair_free(n->repair); /* of one that was never stopped */
	while (n->entries) {
		struct entry *x = n->entries;

		n->entries = x->next;
		entry_free(x);
	}
	pthread_cond_destroy(&n->freed);
	pthread_mutex_destroy(&n->lock);
	free(n->root);
	free(n);
}
