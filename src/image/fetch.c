/* Layers from the registry into the store, several at once, each by a thread of its own. */
#include "image/worker.h"

#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

enum {
	MAX_THREADS = 16,
	DEFAULT_THREADS = 3,
	REPORT = 4 << 20, /* bytes between two words of progress */
};

struct layer {
	const struct oci_descriptor *desc;
	const char *parent; /* the manifest, for progress */
	bool is_done;
	int fd; /* the file that grows, for who reads along; -1: none yet */
	uint64_t have; /* bytes of it; under the lock, as fd is */
};

/* A reader that is behind the download, or has the blob. */
struct fetch_reader {
	struct fetch *f;
	struct layer *l;
	int fd;
	uint64_t at;
};

struct fetch {
	struct worker *w;
	struct layer *layers;
	size_t n, next;
	pthread_t threads[MAX_THREADS];
	size_t n_threads;
	pthread_mutex_t lock; /* guards next, is_done and failure */
	pthread_cond_t changed;
	struct err failure; /* the first one */
	atomic_bool stop;
	size_t readers; /* that wait for bytes */
};

/* One layer on its way to disk. */
struct download {
	struct fetch *f;
	struct layer *layer;
	struct arena *arena;
	const char *name;
	struct peer_ingest in;
	uint64_t done, reported;
};

static void say(struct download *d, const char *event)
{
	const struct transfer_progress p = { .event = event,
					     .name = d->name,
					     .parent = d->layer->parent,
					     .progress = d->done,
					     .total = d->layer->desc->size,
					     .desc = d->layer->desc };

	peer_progress(&d->f->w->peer, &p);
	d->reported = d->done;
}

/* What is on the disk may be read, by whoever unpacks it meanwhile. */
static void grow(struct download *d)
{
	struct fetch *f = d->f;

	pthread_mutex_lock(&f->lock);
	d->layer->have = d->done;
	if (d->layer->fd < 0) {
		char path[32];

		/* Not a copy: one that is open for writing must not outlive the commit. */
		snprintf(path, sizeof path, "/proc/self/fd/%d", d->in.fd);
		d->layer->fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (f->readers)
		pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
}

static int on_bytes(void *arg, const void *bytes, size_t n, struct err *e)
{
	struct download *d = arg;

	if (atomic_load(&d->f->stop))
		return err_set(e, ERR_CANCELLED, "another layer failed");
	int r = fd_write_all(d->in.fd, bytes, n);
	if (r < 0)
		return err_sys(e, -r, "write %s", d->name);
	d->done += n;
	grow(d);
	if (d->done - d->reported >= REPORT) {
		peer_ingest_sync(&d->f->w->peer, &d->in);
		/* begun now, so that the end of the layer waits for its end only; a hint */
		(void)sync_file_range(d->in.fd, (off_t)d->reported, (off_t)(d->done - d->reported),
				      SYNC_FILE_RANGE_WRITE);
		say(d, "downloading");
	}
	return 0;
}

static int download(struct download *d, struct err *e)
{
	struct worker *w = d->f->w;
	const struct oci_descriptor *desc = d->layer->desc;
	struct peer_blob blob;

	if (peer_blob_info(&w->peer, d->arena, desc->digest, &blob, e) < 0)
		return -1;
	d->done = desc->size;
	if (blob.exists && blob.size == desc->size) {
		say(d, "already exists");
		return peer_blob_label(&w->peer, desc->digest, &w->source, e);
	}
	if (!w->registry)
		return err_set(e, ERR_NOT_FOUND, "the archive lacks %s", desc->digest);
	if (peer_ingest_open(&w->peer, d->name, desc->size, desc->digest, &d->in, e) < 0)
		return -1;
	if (d->in.fd < 0) {
		say(d, "already exists");
		return 0;
	}
	d->done = d->in.offset;
	say(d, "downloading");
	if (registry_get_blob(w->registry, desc, d->in.offset, on_bytes, d, e) < 0) {
		/* Bytes that came stay for the next try, but not on a full disk. */
		peer_ingest_close(&w->peer, &d->in, e->errnum != ENOSPC && e->errnum != EDQUOT);
		return -1;
	}
	/* The commit finds them on the disk: the daemon answers nobody else while it waits. */
	if (fdatasync(d->in.fd) < 0) {
		err_sys(e, errno, "sync %s", d->name);
		peer_ingest_close(&w->peer, &d->in, errno != ENOSPC && errno != EDQUOT);
		return -1;
	}
	if (peer_ingest_commit(&w->peer, &d->in, desc->size, desc->digest, &w->source, NULL, e) < 0)
		return -1;
	say(d, "complete");
	return 0;
}

static int fetch_one(struct fetch *f, struct layer *l, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct download d = { .f = f,
			      .layer = l,
			      .arena = a,
			      .name = arena_printf(a, "layer-%s", l->desc->digest),
			      .in = { .fd = -1 } };

	return download(&d, e) < 0 ? err_wrap(e, "failed to fetch layer") : 0;
}

static void *run(void *arg)
{
	struct fetch *f = arg;

	pthread_mutex_lock(&f->lock);
	while (f->next < f->n && !atomic_load(&f->stop)) {
		struct layer *l = &f->layers[f->next++];
		struct err e = { 0 };

		pthread_mutex_unlock(&f->lock);
		int r = fetch_one(f, l, &e);
		pthread_mutex_lock(&f->lock);
		l->is_done = r == 0;
		if (r < 0) {
			if (!f->failure.code)
				f->failure = e;
			atomic_store(&f->stop, true);
		}
		pthread_cond_broadcast(&f->changed);
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

static bool is_listed(const struct fetch *f, const char *digest)
{
	for (size_t i = 0; i < f->n; i++)
		if (strcmp(f->layers[i].desc->digest, digest) == 0)
			return true;
	return false;
}

struct fetch *fetch_start(struct worker *w)
{
	struct fetch *f = NEW(struct fetch);
	size_t total = 0, want = w->job.pull.max_downloads;

	f->w = w;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->changed, NULL);
	for (size_t i = 0; i < w->n_manifests; i++)
		total += w->manifests[i].doc.n_layers;
	f->layers = xcalloc(total + 1, sizeof *f->layers);
	for (size_t i = 0; i < w->n_manifests; i++) {
		const struct worker_manifest *m = &w->manifests[i];
		const char *parent = worker_object_name(w->arena, &m->desc);

		for (size_t k = 0; k < m->doc.n_layers; k++)
			if (!is_listed(f, m->doc.layers[k].digest))
				f->layers[f->n++] = (struct layer){ .desc = &m->doc.layers[k],
								    .parent = parent,
								    .fd = -1 };
	}
	for (size_t i = 0; i < f->n; i++) {
		const struct transfer_progress p = { .event = "waiting",
						     .name = worker_object_name(w->arena,
										f->layers[i].desc),
						     .parent = f->layers[i].parent,
						     .total = f->layers[i].desc->size,
						     .desc = f->layers[i].desc };
		peer_progress(&w->peer, &p);
	}
	want = want == 0 ? DEFAULT_THREADS : want > MAX_THREADS ? MAX_THREADS : want;
	for (size_t i = 0; i < want && i < f->n; i++) {
		if (pthread_create(&f->threads[f->n_threads], NULL, run, f) != 0)
			break;
		f->n_threads++;
	}
	if (f->n_threads == 0)
		run(f); /* no thread to be had: then one after the other */
	return f;
}

static struct layer *find(struct fetch *f, const char *digest)
{
	for (size_t i = 0; f && i < f->n; i++)
		if (strcmp(f->layers[i].desc->digest, digest) == 0)
			return &f->layers[i];
	return NULL;
}

int fetch_wait(struct fetch *f, const char *digest, struct err *e)
{
	const struct layer *l = find(f, digest);
	int r = 0;

	if (!l)
		return 0;
	pthread_mutex_lock(&f->lock);
	while (!l->is_done && !f->failure.code)
		pthread_cond_wait(&f->changed, &f->lock);
	if (!l->is_done)
		r = err_copy(e, &f->failure);
	pthread_mutex_unlock(&f->lock);
	return r;
}

/* Until it has begun, or is there already.  Under the lock. */
static int wait_for(struct fetch *f, const struct layer *l, uint64_t at, struct err *e)
{
	f->readers++;
	while (!l->is_done && (l->fd < 0 || l->have <= at) && !f->failure.code)
		pthread_cond_wait(&f->changed, &f->lock);
	f->readers--;
	return l->is_done || l->have > at ? 0 : err_copy(e, &f->failure);
}

int fetch_read_along(struct fetch *f, const struct oci_descriptor *d, struct fetch_reader **ret,
		     struct err *e)
{
	struct layer *l = find(f, d->digest);
	int fd = -1, r = 0;

	*ret = NULL;
	if (!l)
		return 0;
	pthread_mutex_lock(&f->lock);
	r = wait_for(f, l, 0, e);
	if (r == 0 && !l->is_done) {
		fd = fcntl(l->fd, F_DUPFD_CLOEXEC, 3);
		if (fd < 0)
			r = err_sys(e, errno, "duplicate descriptor");
	}
	pthread_mutex_unlock(&f->lock);
	if (r < 0 || fd < 0)
		return r;
	*ret = NEW(struct fetch_reader);
	**ret = (struct fetch_reader){ .f = f, .l = l, .fd = fd };
	return 0;
}

ssize_t fetch_reader_read(void *arg, void *buf, size_t n, struct err *e)
{
	struct fetch_reader *r = arg;
	struct fetch *f = r->f;
	uint64_t size = r->l->desc->size;

	if (r->at == size)
		return 0;
	pthread_mutex_lock(&f->lock);
	int rc = wait_for(f, r->l, r->at, e);
	uint64_t have = r->l->is_done ? size : r->l->have;
	pthread_mutex_unlock(&f->lock);
	if (rc < 0)
		return -1;
	ssize_t got =
		pread(r->fd, buf, n < have - r->at ? n : (size_t)(have - r->at), (off_t)r->at);
	if (got <= 0)
		return err_sys(e, got < 0 ? errno : EIO, "read %s", r->l->desc->digest);
	r->at += (uint64_t)got;
	return got;
}

void fetch_reader_free(struct fetch_reader *r)
{
	if (!r)
		return;
	close_fd(&r->fd);
	free(r);
}

void fetch_stop(struct fetch *f)
{
	if (!f)
		return;
	pthread_mutex_lock(&f->lock);
	atomic_store(&f->stop, true);
	/* Nobody may be left to fail: who waits for a layer that was never begun is told here. */
	if (!f->failure.code)
		err_set(&f->failure, ERR_CANCELLED, "another layer failed");
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
}

int fetch_end(struct fetch *f, struct err *e)
{
	int r = 0;

	if (!f)
		return 0;
	for (size_t i = 0; i < f->n_threads; i++)
		pthread_join(f->threads[i], NULL);
	if (f->failure.code && !e->code)
		r = err_copy(e, &f->failure);
	for (size_t i = 0; i < f->n; i++)
		close_fd(&f->layers[i].fd);
	pthread_cond_destroy(&f->changed);
	pthread_mutex_destroy(&f->lock);
	free(f->layers);
	free(f);
	return r;
}
