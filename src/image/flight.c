#include "image/flight.h"

#include "image/wire.h"
#include "store/lease.h"

#include <string.h>
#include <time.h>

enum {
	KEY_MAX = 160 * 1024,
	LINES = 64, /* of progress that are kept for those who join */
	LOOK_MS =
		100, /* how often one who waits shows progress and looks whether it is cancelled */
};

/* What was said last of one object. */
struct line {
	const char *name, *event, *parent;
	uint64_t progress, total;
	struct oci_descriptor desc;
	bool has_desc;
	uint64_t number; /* of the word; the last one is the flight's */
};

/* A job that waits for another's end. */
struct passenger {
	const struct transfer_job *job;
	bool is_held; /* its lease has the result */
	struct passenger *next;
};

struct flight {
	struct flights *all;
	struct flight *next;
	char *key;
	const struct transfer_job *job; /* of the leader */
	struct arena *arena; /* what follows; under the lock */
	struct line lines[LINES];
	size_t n_lines;
	uint64_t words;
	struct passenger *passengers;
	size_t users; /* who look at this */
	bool is_over, is_cancelled;
	int rc;
	struct err err;
	struct str result; /* as the wire writes it */
};

struct flights {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct flight *first;
};

struct flights *flights_new(void)
{
	struct flights *f = NEW(struct flights);
	pthread_condattr_t attr;

	pthread_mutex_init(&f->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&f->changed, &attr);
	pthread_condattr_destroy(&attr);
	return f;
}

void flights_free(struct flights *f)
{
	if (!f)
		return;
	pthread_cond_destroy(&f->changed);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

/* --- the leader's words ---------------------------------------------------------------------- */

static const char *keep(struct arena *a, const char *old, const char *now)
{
	if (!now)
		now = "";
	return old && strcmp(old, now) == 0 ? old : arena_strdup(a, now);
}

static struct line *line_of(struct flight *f, const char *name)
{
	for (size_t i = 0; i < f->n_lines; i++)
		if (strcmp(f->lines[i].name, name) == 0)
			return &f->lines[i];
	if (f->n_lines == LINES)
		return NULL;
	f->lines[f->n_lines].name = arena_strdup(f->arena, name);
	return &f->lines[f->n_lines++];
}

static void remember(struct flight *f, const struct transfer_progress *p)
{
	struct line *l = line_of(f, p->name ? p->name : "");

	if (!l)
		return;
	l->event = keep(f->arena, l->event, p->event);
	l->parent = keep(f->arena, l->parent, p->parent);
	l->progress = p->progress;
	l->total = p->total;
	if (p->desc && !l->has_desc) {
		l->has_desc = true;
		l->desc = (struct oci_descriptor){
			.media_type = arena_strdup(f->arena, p->desc->media_type ?: ""),
			.digest = arena_strdup(f->arena, p->desc->digest ?: ""),
			.size = p->desc->size
		};
	}
	l->number = ++f->words;
}

static void on_progress(const struct transfer_progress *p, void *arg)
{
	struct flight *f = arg;
	const struct transfer_hooks *h = f->job->hooks;

	pthread_mutex_lock(&f->all->lock);
	remember(f, p);
	pthread_mutex_unlock(&f->all->lock);
	if (h && h->progress)
		h->progress(p, h->arg);
}

static void on_content(const char *digest, uint64_t size, void *arg)
{
	const struct transfer_hooks *h = ((struct flight *)arg)->job->hooks;

	if (h && h->content_created)
		h->content_created(digest, size, h->arg);
}

static void on_prepared(const char *snapshotter, const char *key, const char *parent, void *arg)
{
	const struct transfer_hooks *h = ((struct flight *)arg)->job->hooks;

	if (h && h->snapshot_prepared)
		h->snapshot_prepared(snapshotter, key, parent, h->arg);
}

static void on_committed(const char *snapshotter, const char *key, const char *name, void *arg)
{
	const struct transfer_hooks *h = ((struct flight *)arg)->job->hooks;

	if (h && h->snapshot_committed)
		h->snapshot_committed(snapshotter, key, name, h->arg);
}

static void on_removed(const char *snapshotter, const char *key, void *arg)
{
	const struct transfer_hooks *h = ((struct flight *)arg)->job->hooks;

	if (h && h->snapshot_removed)
		h->snapshot_removed(snapshotter, key, h->arg);
}

/* --- a flight's life ------------------------------------------------------------------------- */

/* Under the lock. */
static void leave(struct flight *f)
{
	if (--f->users)
		return;
	arena_free(f->arena);
	str_done(&f->result);
	free(f->key);
	free(f);
}

/* No new passengers. Under the lock. */
static void take_off_list(struct flight *f)
{
	for (struct flight **p = &f->all->first; *p; p = &(*p)->next)
		if (*p == f) {
			*p = f->next;
			return;
		}
}

/* Before the leader's own lease goes, each passenger's has what came.  Under the lock: none joins
 * or leaves, and the store is further down in the order of locks. */
static void hold(struct flight *f, const struct transfer_result *r)
{
	for (struct passenger *p = f->passengers; p; p = p->next) {
		const struct transfer_job *j = p->job;

		p->is_held = true;
		for (size_t i = 0; i < r->n_images && j->lease && *j->lease; i++) {
			const struct lease_resource it = { r->images[i].target.digest, "content" };
			struct err lost = { 0 };

			/* then it pulls by itself */
			if (lease_add(j->store, j->ns, j->lease, &it, &lost) < 0)
				p->is_held = false;
		}
	}
}

static int lead(struct flight *f, struct arena *a, struct transfer_result *ret, struct err *e)
{
	struct flights *all = f->all; /* f may go with the last word */
	struct transfer_job job = *f->job;
	const struct transfer_hooks hooks = { .arg = f,
					      .progress = on_progress,
					      .content_created = on_content,
					      .snapshot_prepared = on_prepared,
					      .snapshot_committed = on_committed,
					      .snapshot_removed = on_removed };
	struct jsonw w;

	job.hooks = &hooks;
	int r = transfer_run(&job, a, ret, e);

	pthread_mutex_lock(&all->lock);
	take_off_list(f);
	f->is_over = true;
	f->rc = r;
	f->is_cancelled = r < 0 && cancel_is_set(job.cancel);
	if (r < 0) {
		f->err = *e;
	} else {
		hold(f, ret);
		jsonw_init(&w, &f->result, 0);
		jsonw_object(&w);
		wire_write_result(&w, ret);
		jsonw_end(&w);
	}
	pthread_cond_broadcast(&all->changed);
	leave(f);
	pthread_mutex_unlock(&all->lock);
	return r;
}

/* --- passengers ------------------------------------------------------------------------------ */

/* What has been said since `seen`.  The passenger's own client may be slow: not under the lock. */
static void show(struct flight *f, const struct transfer_job *job, uint64_t *seen)
{
	struct line lines[LINES];
	uint64_t words = f->words;
	size_t n = f->n_lines;

	if (!job->hooks || !job->hooks->progress || words == *seen)
		return;
	memcpy(lines, f->lines, n * sizeof *lines);
	pthread_mutex_unlock(&f->all->lock);
	for (size_t i = 0; i < n; i++) {
		const struct line *l = &lines[i];
		const struct transfer_progress p = { .event = l->event,
						     .name = l->name,
						     .parent = l->parent,
						     .progress = l->progress,
						     .total = l->total,
						     .desc = l->has_desc ? &l->desc : NULL };

		if (l->number > *seen)
			job->hooks->progress(&p, job->hooks->arg);
	}
	*seen = words;
	pthread_mutex_lock(&f->all->lock);
}

static void wait_a_little(struct flights *all)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += LOOK_MS * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_nsec -= 1000000000;
		t.tv_sec++;
	}
	pthread_cond_timedwait(&all->changed, &all->lock, &t);
}

static void unlink_passenger(struct flight *f, const struct passenger *me)
{
	for (struct passenger **p = &f->passengers; *p; p = &(*p)->next)
		if (*p == me) {
			*p = me->next;
			return;
		}
}

/* 1: it has to be done anew.  Under the lock. */
static int fly_along(struct flight *f, const struct transfer_job *job, struct arena *a,
		     struct transfer_result *ret, struct err *e)
{
	struct passenger me = { .job = job, .next = f->passengers };
	AUTO_JSON json_object *root = NULL;
	uint64_t seen = 0;
	int r = 0;

	f->users++;
	f->passengers = &me;
	while (!f->is_over && r == 0) {
		show(f, job, &seen);
		if (!f->is_over)
			wait_a_little(f->all);
		r = cancel_check(job->cancel, e);
	}
	if (r == 0)
		show(f, job, &seen);
	unlink_passenger(f, &me);
	if (r == 0 && (f->is_cancelled || (f->rc == 0 && !me.is_held)))
		r = 1;
	else if (r == 0 && f->rc < 0)
		r = err_copy(e, &f->err);
	if (r == 0)
		r = jsonr_parse(str_c(&f->result), f->result.len, &root, e);
	if (r == 0)
		r = wire_read_result(a, root, ret, e);
	leave(f);
	return r;
}

/* --------------------------------------------------------------------------------------------- */

static char *key_of(const struct transfer_job *job)
{
	AUTO_STR struct str text = STR_INIT(KEY_MAX);
	struct jsonw w;

	jsonw_init(&w, &text, 0);
	wire_write_job(&w, job);
	return text.over ? NULL : xasprintf("%s %s", job->ns, str_c(&text));
}

static struct flight *find(struct flights *all, const char *key)
{
	for (struct flight *f = all->first; f; f = f->next)
		if (strcmp(f->key, key) == 0)
			return f;
	return NULL;
}

static struct flight *begin(struct flights *all, const struct transfer_job *job, char *key_take)
{
	struct flight *f = NEW(struct flight);

	*f = (struct flight){ .all = all,
			      .next = all->first,
			      .key = key_take,
			      .job = job,
			      .arena = arena_new(),
			      .users = 1,
			      .result = STR_INIT(KEY_MAX) };
	all->first = f;
	return f;
}

int flight_run(struct flights *all, const struct transfer_job *job, struct arena *a,
	       struct transfer_result *ret, struct err *e)
{
	bool is_shared = all && job->kind == TRANSFER_PULL && !job->pull.has_auth &&
			 !(job->pull.headers && job->pull.headers[0]);
	AUTO_FREE char *key = is_shared ? key_of(job) : NULL;

	if (!key)
		return transfer_run(job, a, ret, e);
	for (;;) {
		pthread_mutex_lock(&all->lock);
		struct flight *f = find(all, key);

		if (!f) {
			f = begin(all, job, TAKE_PTR(key));
			pthread_mutex_unlock(&all->lock);
			return lead(f, a, ret, e);
		}
		int r = fly_along(f, job, a, ret, e);
		pthread_mutex_unlock(&all->lock);
		if (r <= 0)
			return r;
	}
}
