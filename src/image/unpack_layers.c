/* Layers of one image into snapshots.  Where a snapshot holds its layer alone (overlayfs, erofs)
 * they are unpacked side by side, each while it is still coming, and become children of one another
 * when they are committed, bottom first; elsewhere one after the other. */
#include "image/unpack.h"
#include "image/worker.h"

#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { MAX_UNPACKERS = 8 };

/* One layer on its way; the plan is the caller's. */
struct layer {
	const struct layer_plan *plan;
	struct layers *all;
	size_t i;
	const char *key;
	bool is_prepared;
	struct channel_packet dirs; /* upper; of the first: and what is below */
	int *lowers;
	size_t n_lowers;
	bool is_unpacked; /* under the lock */
};

struct layers {
	struct worker *w;
	struct fetch *f;
	const char *snapshotter;
	struct layer *v;
	size_t n;
	bool is_parallel;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t changed;
	size_t next, committed; /* counts */
	bool is_committing;
	struct err failure; /* the first one */
};

/* "extract-NANOSECONDS-RANDOM CHAIN": containerd's, so that its tools see what it is. */
static const char *key_of(struct arena *a, const char *chain)
{
	struct timespec now;
	uint32_t random = 0;

	clock_gettime(CLOCK_REALTIME, &now);
	(void)!getrandom(&random, sizeof random, 0); /* a clash is refused by the store */
	return arena_printf(a, "extract-%09ld-%08x %s", now.tv_nsec, random, chain);
}

static void say(const struct layers *l, const struct layer_plan *p, const char *event)
{
	AUTO_ARENA struct arena *a = arena_new();
	const struct transfer_progress line = { .event = event,
						.name = worker_object_name(a, p->desc),
						.parent = l->w->name,
						.progress = p->desc->size,
						.total = p->desc->size,
						.desc = p->desc };

	peer_progress(&l->w->peer, &line);
}

/* --- one layer ------------------------------------------------------------------------------- */

/* 1: somebody else has made it meanwhile. */
static int prepare(struct layers *l, struct layer *y, const char *parent, struct err *e)
{
	struct worker *w = l->w;
	bool exists, overlay;

	y->key = key_of(w->arena, y->plan->chain);
	if (peer_snapshot_prepare(&w->peer, l->snapshotter, y->key, parent, y->plan->chain, &exists,
				  e) < 0)
		return err_wrap(e, "failed to prepare extraction snapshot \"%s\"", y->key);
	if (exists)
		return 1;
	y->is_prepared = true;
	if (peer_snapshot_dirs(&w->peer, l->snapshotter, y->key, &y->dirs, &overlay, e) < 0)
		return -1;
	l->is_parallel = overlay;
	return 0;
}

/* A folder that the layer does not bring, or the file of a link, may be any lower layer's. */
static bool lowers_ready(void *arg)
{
	struct layer *y = arg;
	struct layers *l = y->all;
	bool ok;

	pthread_mutex_lock(&l->lock);
	for (size_t i = 0; i < y->i; i++)
		while (!l->v[i].is_unpacked && !l->failure.code)
			pthread_cond_wait(&l->changed, &l->lock);
	ok = !l->failure.code;
	pthread_mutex_unlock(&l->lock);
	return ok;
}

static int unpack_bytes(struct layers *l, struct layer *y, const struct unpack_dirs *d,
			struct unpack_result *got, struct err *e)
{
	const struct oci_descriptor *desc = y->plan->desc;
	struct fetch_reader *along;
	AUTO_FD int blob = -1;

	if (fetch_read_along(l->f, desc, &along, e) < 0)
		return -1;
	if (along) {
		const struct unpack_source from = { fetch_reader_read, along, desc->size };
		int r = unpack_layer_from(&from, desc->media_type, d, got, e);

		fetch_reader_free(along);
		return r;
	}
	if (peer_blob_open(&l->w->peer, desc->digest, &blob, e) < 0)
		return -1;
	return unpack_layer(blob, desc->media_type, d, got, e);
}

static int extract(struct layers *l, struct layer *y, struct err *e)
{
	const struct layer_plan *p = y->plan;
	struct unpack_result got;
	const struct unpack_dirs d = { .upper = y->dirs.fds[0],
				       .lowers = y->lowers,
				       .n_lowers = y->n_lowers,
				       .lowers_ready = l->is_parallel ? lowers_ready : NULL,
				       .lowers_arg = y,
				       .overlay = l->is_parallel };
	struct err why = { 0 };

	say(l, p, "extracting");
	if (unpack_bytes(l, y, &d, &got, &why) < 0) {
		/* Bytes that are not the ones that were promised unpack to anything: that is the
		 * cause then. */
		if (why.code == ERR_INVALID_ARGUMENT && fetch_wait(l->f, p->desc->digest, e) < 0)
			return -1;
		err_copy(e, &why);
		return err_wrap(e, "%s", p->desc->digest);
	}
	if (fetch_wait(l->f, p->desc->digest, e) < 0)
		return -1;
	if (strcmp(got.diff_id, p->diff_id) != 0)
		return err_set(e, ERR_DATA_LOSS,
			       "wrong diff id calculated on extraction \"%s\", expected \"%s\"",
			       got.diff_id, p->diff_id);
	return 0;
}

/* The whole file system at once: fsync() of each file took a hundred times as long. */
static int make_durable(const struct layer *y, struct err *e)
{
	AUTO_FD int fd = openat(y->dirs.fds[0], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || syncfs(fd) < 0 ? err_sys(e, errno, "sync snapshot") : 0;
}

static int commit(struct layers *l, struct layer *y, const char *parent, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct labels uncompressed = { 0 };
	const struct peer_commit c = { .snapshotter = l->snapshotter,
				       .name = y->plan->chain,
				       .key = y->key,
				       .parent = parent,
				       .manifest = y->plan->image->desc.digest,
				       .config = y->plan->image->doc.config.digest };

	if (peer_snapshot_commit(&l->w->peer, &c, e) < 0)
		return err_wrap(e, "failed to commit snapshot %s", y->key);
	y->is_prepared = false;
	say(l, y->plan, "extracted");
	labels_set(a, &uncompressed, "containerd.io/uncompressed", y->plan->diff_id);
	return peer_blob_label(&l->w->peer, y->plan->desc->digest, &uncompressed, e);
}

/* --- side by side ---------------------------------------------------------------------------- */

/* All below y that this run makes, nearest first, then what the first was prepared on. */
static void set_lowers(struct layers *l, struct layer *y)
{
	const struct channel_packet *first = &l->v[0].dirs;
	size_t below = first->n_fds - 1;

	y->lowers = xcalloc(y->i + below + 1, sizeof *y->lowers);
	for (size_t i = y->i; i-- > 0;)
		y->lowers[y->n_lowers++] = l->v[i].dirs.fds[0];
	for (size_t i = 0; i < below; i++)
		y->lowers[y->n_lowers++] = first->fds[1 + i];
}

static int commit_some(struct layers *l, size_t from, size_t to, struct err *e)
{
	if (make_durable(&l->v[from], e) < 0)
		return -1;
	for (size_t i = from; i < to; i++)
		if (commit(l, &l->v[i], l->v[i].plan->parent, e) < 0)
			return -1;
	return 0;
}

/* Under the lock, which is given away meanwhile.  One thread at a time, a parent first, and one
 * sync for all that have been unpacked before it. */
static void commit_ready(struct layers *l)
{
	if (l->is_committing)
		return;
	l->is_committing = true;
	while (!l->failure.code) {
		size_t from = l->committed, to = from;
		struct err e = { 0 };

		while (to < l->n && l->v[to].is_unpacked)
			to++;
		if (to == from)
			break;
		pthread_mutex_unlock(&l->lock);
		int r = commit_some(l, from, to, &e);
		pthread_mutex_lock(&l->lock);
		if (r < 0 && !l->failure.code)
			l->failure = e;
		l->committed = to;
	}
	l->is_committing = false;
}

static void *run(void *arg)
{
	struct layers *l = arg;

	pthread_mutex_lock(&l->lock);
	while (l->next < l->n && !l->failure.code) {
		struct layer *y = &l->v[l->next++];
		struct err e = { 0 };

		pthread_mutex_unlock(&l->lock);
		int r = extract(l, y, &e);
		pthread_mutex_lock(&l->lock);
		if (r < 0 && !l->failure.code) {
			l->failure = e;
			fetch_stop(l->f);
		}
		if (r == 0) {
			y->is_unpacked = true;
			commit_ready(l);
		}
		pthread_cond_broadcast(&l->changed);
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

static size_t count_threads(size_t n)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	size_t want = cpus > 1 ? (size_t)cpus : 1;

	want = want < MAX_UNPACKERS ? want : MAX_UNPACKERS;
	return want < n ? want : n;
}

static int side_by_side(struct layers *l, struct err *e)
{
	pthread_t threads[MAX_UNPACKERS];
	size_t n = 0, want = count_threads(l->n);

	for (size_t i = 0; i < l->n; i++)
		set_lowers(l, &l->v[i]);
	while (n + 1 < want && pthread_create(&threads[n], NULL, run, l) == 0)
		n++;
	run(l); /* this one is the last of them */
	while (n)
		pthread_join(threads[--n], NULL);
	return l->failure.code ? err_copy(e, &l->failure) : 0;
}

/* 1: one has come from elsewhere, and with it all below. *ret_have counts them. */
static int prepare_rest(struct layers *l, size_t *ret_have, struct err *e)
{
	for (size_t i = 1; i < l->n; i++) {
		int r = prepare(l, &l->v[i], "", e);

		*ret_have = i + 1;
		if (r != 0)
			return r;
	}
	return 0;
}

/* --- one after the other --------------------------------------------------------------------- */

static int one(struct layers *l, struct layer *y, struct err *e)
{
	y->lowers = xcalloc(y->dirs.n_fds, sizeof *y->lowers);
	for (size_t i = 1; i < y->dirs.n_fds; i++)
		y->lowers[y->n_lowers++] = y->dirs.fds[i];
	if (extract(l, y, e) < 0 || make_durable(y, e) < 0)
		return -1;
	return commit(l, y, "", e);
}

/* The first is prepared. */
static int in_turn(struct layers *l, struct err *e)
{
	for (size_t i = 0; i < l->n; i++) {
		struct layer *y = &l->v[i];
		int r = y->is_prepared ? 0 : prepare(l, y, y->plan->parent, e);

		if (r < 0 || (r == 0 && one(l, y, e) < 0))
			return -1;
	}
	return 0;
}

/* --------------------------------------------------------------------------------------------- */

static void layers_done(struct layers *l)
{
	for (size_t i = 0; i < l->n; i++) {
		struct layer *y = &l->v[i];

		if (y->is_prepared)
			peer_snapshot_remove(&l->w->peer, l->snapshotter, y->key);
		channel_packet_done(&y->dirs);
		free(y->lowers);
	}
	pthread_cond_destroy(&l->changed);
	pthread_mutex_destroy(&l->lock);
	free(l->v);
}

/* *ret_have: how many of them are there when it returns 1. */
static int try_all(struct layers *l, size_t *ret_have, struct err *e)
{
	int r = prepare(l, &l->v[0], l->v[0].plan->parent, e);

	*ret_have = 1;
	if (r != 0)
		return r;
	if (!l->is_parallel)
		return in_turn(l, e);
	r = prepare_rest(l, ret_have, e);
	return r != 0 ? r : side_by_side(l, e);
}

int worker_unpack_layers(struct worker *w, struct fetch *f, const char *snapshotter,
			 const struct layer_plan *v, size_t n, struct err *e)
{
	while (n) {
		struct layers l = { .w = w, .f = f, .snapshotter = snapshotter, .n = n };
		size_t have = 0;

		pthread_mutex_init(&l.lock, NULL);
		pthread_cond_init(&l.changed, NULL);
		l.v = xcalloc(n, sizeof *l.v);
		for (size_t i = 0; i < n; i++)
			l.v[i] = (struct layer){ .plan = &v[i], .all = &l, .i = i };
		int r = try_all(&l, &have, e);

		layers_done(&l);
		if (r <= 0)
			return r;
		v += have;
		n -= have;
	}
	return 0;
}
