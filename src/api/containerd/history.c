#include "api/containerd/history.h"

#include "api/containerd/api.h"
#include "base/jsonr.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/timefmt.h"
#include "engine/engine.h"
#include "engine/events.h"
#include "loop/pool.h"
#include "os/file.h"
#include "store/container.h"

#include "containerd/events/container.pb-c.h"
#include "containerd/events/task.pb-c.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MAX = 16 << 10 };

struct history {
	struct engine *engine;
	char *dir;
	pthread_mutex_t lock; /* of the files, and of sub */
	struct events_sub *sub;
	atomic_bool is_queued; /* a worker is on its way */
};

static const char *const topics[] = { "topic==\"/tasks/create\"", "topic==\"/tasks/exit\"",
				      "topic==\"/tasks/oom\"", "topic==\"/containers/delete\"" };

const char *history_root(const struct config *c, struct arena *a)
{
	return arena_printf(a, "%s/io.casco.history", c->state);
}

const char *history_log_root(const struct config *c, struct arena *a)
{
	return arena_printf(a, "%s/io.casco.logs", c->root);
}

static char *path_of(const struct history *h, const char *ns, const char *id)
{
	return xasprintf("%s/%s/%s", h->dir, ns, id);
}

/* News of a container that was deleted meanwhile is nobody's.  Its deletion is announced after it,
 * so that forget() comes behind what is still saved. */
static bool is_there(const struct history *h, const char *ns, const char *id)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct container_record c;
	struct err e = { 0 };

	return container_get(h->engine->store, ns, a, id, &c, &e) == 0 || e.code != ERR_NOT_FOUND;
}

/* What is known so far; an empty object when that is nothing. */
static json_object *load(const char *path)
{
	AUTO_FREE char *text = NULL;
	json_object *o = NULL;
	struct err ignored = { 0 };
	size_t n;

	if (file_read(AT_FDCWD, path, FILE_MAX, &text, &n) < 0 ||
	    jsonr_parse(text, n, &o, &ignored) < 0 || !json_object_is_type(o, json_type_object)) {
		json_object_put(o);
		o = json_object_new_object();
	}
	return o;
}

/* The state folder is a tmpfs on real machines: nothing to sync.  Who cannot be remembered is
 * forgotten; nothing else depends on it. */
static void save(const struct history *h, const char *ns, const char *path, json_object *o)
{
	const char *text = json_object_to_json_string_ext(
		o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	AUTO_FREE char *dir = xasprintf("%s/%s", h->dir, ns);
	int r = file_mkdirs(dir, 0700);

	if (r == 0)
		r = file_replace(AT_FDCWD, path, text, strlen(text), 0600, false);
	if (r < 0)
		log_debug(LOG({ "path", path }), "history is not kept: %s", err_errno_text(-r));
}

static void set_text(json_object *o, const char *key, const char *s)
{
	json_object_object_add(o, key, json_object_new_string(s));
}

static void set_time(json_object *o, const char *key, struct timespec t)
{
	char buf[TIMEFMT_MAX];

	set_text(o, key, timefmt_rfc3339(t, buf));
}

static void on_exit_event(struct history *h, const struct event *ev,
			  const Containerd__Events__TaskExit *x)
{
	struct timespec at = ev->time;

	if (strcmp(x->id, x->container_id) != 0 || !is_there(h, ev->ns, x->container_id))
		return; /* an exec, or late */
	if (x->exited_at)
		at = (struct timespec){ x->exited_at->seconds, x->exited_at->nanos };

	AUTO_FREE char *path = path_of(h, ev->ns, x->container_id);
	json_object *o AUTO_JSON = load(path);

	json_object_object_add(o, "pid", json_object_new_int64(x->pid));
	json_object_object_add(o, "exit_status", json_object_new_int64(x->exit_status));
	set_time(o, "exited_at", at);
	save(h, ev->ns, path, o);
}

static void on_oom(struct history *h, const struct event *ev, const char *id)
{
	if (!is_there(h, ev->ns, id))
		return;

	AUTO_FREE char *path = path_of(h, ev->ns, id);
	json_object *o AUTO_JSON = load(path);

	set_time(o, "oom_at", ev->time);
	save(h, ev->ns, path, o);
}

static void forget(struct history *h, const struct event *ev, const char *id)
{
	AUTO_FREE char *path = path_of(h, ev->ns, id);

	(void)unlink(path); /* mostly there is none */
}

/* Events of clients may be anything: what does not decode, or names what cannot be a file, is not
 * for us. */
static void take(struct history *h, const struct event *ev)
{
	const ProtobufCMessageDescriptor *type =
		!strcmp(ev->topic, "/tasks/exit")  ? &containerd__events__task_exit__descriptor
		: !strcmp(ev->topic, "/tasks/oom") ? &containerd__events__task_oom__descriptor
		: !strcmp(ev->topic, "/tasks/create")
			? &containerd__events__task_create__descriptor
			: &containerd__events__container_delete__descriptor;
	ProtobufCMessage *m = protobuf_c_message_unpack(type, NULL, ev->value_len, ev->value);
	const char *id;
	struct err bad = { 0 };

	if (!m)
		return;
	id = type == &containerd__events__task_exit__descriptor
		     ? ((Containerd__Events__TaskExit *)m)->container_id
	     : type == &containerd__events__task_oom__descriptor
		     ? ((Containerd__Events__TaskOOM *)m)->container_id
	     : type == &containerd__events__task_create__descriptor
		     ? ((Containerd__Events__TaskCreate *)m)->container_id
		     : ((Containerd__Events__ContainerDelete *)m)->id;
	if (api_identifier(id, &bad) < 0)
		;
	else if (type == &containerd__events__task_exit__descriptor)
		on_exit_event(h, ev, (void *)m);
	else if (type == &containerd__events__task_oom__descriptor)
		on_oom(h, ev, id);
	else
		forget(h, ev, id);
	protobuf_c_message_free_unpacked(m, NULL);
}

static void wake(void *arg);

static int subscribe(struct history *h, struct err *e)
{
	return events_subscribe(h->engine->events, topics, ARRAY_LEN(topics), wake, h, &h->sub, e);
}

/* On a worker.  The lock keeps the events in their order. */
static void drain(void *arg)
{
	struct history *h = arg;
	const struct event *ev;
	struct err e = { 0 };
	int r = 0;

	pthread_mutex_lock(&h->lock);
	atomic_store(&h->is_queued, false);
	while (h->sub && (r = events_next(h->sub, &ev, &e)) > 0) {
		take(h, ev);
		event_unref(ev);
	}
	if (h->sub && r < 0) { /* too slow for a flood: what was in it is not known */
		events_unsubscribe(h->sub);
		h->sub = NULL;
		err_clear(&e);
		if (subscribe(h, &e) < 0)
			log_warn(NULL, "history is no longer kept");
	}
	pthread_mutex_unlock(&h->lock);
}

static void wake(void *arg)
{
	struct history *h = arg;

	if (!atomic_exchange(&h->is_queued, true))
		pool_run(h->engine->pool, drain, h);
}

static void sweep_namespace(const struct history *h, int top, const char *ns)
{
	DIR *d = fdopendir(openat(top, ns, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));

	if (!d)
		return;
	for (struct dirent *x = readdir(d); x; x = readdir(d)) {
		int r = 0;

		if (x->d_name[0] != '.' && !is_there(h, ns, x->d_name))
			r = file_remove_tree(dirfd(d), x->d_name);
		if (r < 0)
			log_warn(LOG({ "path", x->d_name }, { "namespace", ns }),
				 "cannot remove what was kept of a deleted container: %s",
				 err_errno_text(-r));
	}
	closedir(d);
}

/* Of containers that were deleted right before the last daemon was killed: history and logs. */
static void sweep(const struct history *h, const char *dir)
{
	DIR *d = opendir(dir);

	if (!d)
		return; /* nothing was kept yet */
	for (struct dirent *x = readdir(d); x; x = readdir(d))
		if (x->d_name[0] != '.')
			sweep_namespace(h, dirfd(d), x->d_name);
	closedir(d);
}

int history_start(struct engine *en, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct history *h = NEW(struct history);

	*h = (struct history){ .engine = en, .dir = xstrdup(history_root(en->cfg, a)) };
	pthread_mutex_init(&h->lock, NULL);
	if (subscribe(h, e) < 0) {
		history_free(h);
		return -1;
	}
	sweep(h, h->dir);
	sweep(h, history_log_root(en->cfg, a));
	en->history = h;
	return 0;
}

void history_stop(struct history *h)
{
	if (!h)
		return;
	pthread_mutex_lock(&h->lock);
	events_unsubscribe(h->sub);
	h->sub = NULL;
	pthread_mutex_unlock(&h->lock);
}

void history_free(struct history *h)
{
	if (!h)
		return;
	pthread_mutex_destroy(&h->lock);
	free(h->dir);
	free(h);
}

void history_failed(struct history *h, const char *ns, const char *id, const struct err *e)
{
	char text[1100];
	struct timespec now;

	if (!h || e->code == ERR_ALREADY_EXISTS || e->code == ERR_NOT_FOUND)
		return; /* the caller's mistake says nothing about the container */

	AUTO_FREE char *path = path_of(h, ns, id);

	clock_gettime(CLOCK_REALTIME, &now);
	pthread_mutex_lock(&h->lock);
	if (is_there(h, ns, id)) {
		json_object *o AUTO_JSON = load(path);

		set_text(o, "error", err_text(e, text, sizeof text));
		set_time(o, "error_at", now);
		save(h, ns, path, o);
	}
	pthread_mutex_unlock(&h->lock);
}

void history_forget_log(const struct engine *en, const char *ns, const char *id)
{
	AUTO_ARENA struct arena *a = arena_new();
	const char *path = arena_printf(a, "%s/%s/%s", history_log_root(en->cfg, a), ns, id);
	int r = file_remove_tree(AT_FDCWD, path);

	if (r < 0 && r != -ENOENT)
		log_warn(LOG({ "path", path }), "cannot remove the log of %s: %s", id,
			 err_errno_text(-r));
}
