/* Walks over the ingest directory: lists, and the collector's sweep. */
#include "store/ingest.h"

#include "os/file.h"
#include "store/entry.h"
#include "store/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { INGEST_KEPT = 24 * 3600 }; /* seconds, of an ingest without a lease */

typedef int visit_fn(const char *name, const struct ingest_status *st, const char *key, void *arg,
		     struct err *e);

static int each_ingest(struct store *s, struct arena *a, visit_fn *visit, void *arg, struct err *e)
{
	int fd = openat(s->content.fd, "ingest", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *d;
	int r = 0;

	if (!dir) {
		err_sys(e, errno, "open ingest");
		close_fd(&fd);
		return -1;
	}
	while (r == 0 && (d = readdir(dir))) {
		struct ingest_status st;
		const char *key;

		if (d->d_name[0] == '.')
			continue;
		r = ingest_read(&s->content, d->d_name, a, &st, &key, e);
		if (r == 1)
			r = visit(d->d_name, &st, key, arg, e);
	}
	closedir(dir);
	return r;
}

struct listing {
	const char *ns;
	ingest_visit *visit;
	void *arg;
};

static int list_one(const char *name UNUSED, const struct ingest_status *st, const char *key,
		    void *arg, struct err *e)
{
	struct listing *l = arg;
	size_t n = (size_t)(st->ref - 1 - key);

	if (strlen(l->ns) != n || memcmp(l->ns, key, n) != 0)
		return 0;
	return l->visit(st, l->arg, e);
}

int ingest_list(struct store *s, const char *ns, struct arena *a, ingest_visit *visit, void *arg,
		struct err *e)
{
	struct listing l = { ns, visit, arg };

	return each_ingest(s, a, list_one, &l, e);
}

/* --- the collector's side --- */

struct sweep {
	struct store *s;
	ingest_removed *removed;
	void *arg;
	time_t now;
};

struct holding {
	const char *ref;
	bool is_held;
};

static int holds(struct txn *t UNUSED, const MDB_val *key, const MDB_val *value UNUSED, void *arg,
		 struct err *e UNUSED)
{
	struct holding *h = arg;
	struct key want = KEY("ingests", h->ref);
	const char *k = key->mv_data;

	if (key->mv_size > want.n && k[key->mv_size - want.n - 1] == 0 &&
	    memcmp(k + key->mv_size - want.n, want.bytes, want.n) == 0) {
		h->is_held = true;
		return 1;
	}
	return 0;
}

/* Some lease of ns lists ref. */
static int is_leased(struct store *s, const char *ns, const char *ref, struct err *e)
{
	struct holding h = { .ref = ref };
	struct key below = PREFIX(ns);
	struct txn t;

	if (db_read(s->db, &t, e) < 0)
		return -1;
	int r = db_walk(&t, TABLE_LEASE_ITEMS, &below, holds, &h, e);
	db_read_end(&t);
	return r < 0 ? -1 : h.is_held;
}

static int sweep_one(const char *name, const struct ingest_status *st, const char *key, void *arg,
		     struct err *e)
{
	struct sweep *w = arg;
	AUTO_FREE char *marker = xasprintf("ingest/%s/leased", name);
	AUTO_FREE char *path = xasprintf("ingest/%s", name);
	AUTO_FREE char *ns = xstrndup(key, (size_t)(st->ref - 1 - key));
	struct err busy = { 0 };
	bool wants_lease = faccessat(w->s->content.fd, marker, F_OK, 0) == 0;

	if (!wants_lease && w->now - st->updated.tv_sec < INGEST_KEPT)
		return 0;
	if (ref_acquire(&w->s->content, key, &busy) < 0)
		return 0; /* open: somebody is writing */

	/* Asked under the lock: an open in between joins its lease first. */
	int held = is_leased(w->s, ns, st->ref, e), r = 0;
	if (held == 0) {
		r = file_remove_tree(w->s->content.fd, path);
		if (r < 0)
			r = err_sys(e, -r, "remove ingest %s", st->ref);
		else if (w->removed)
			w->removed(ns, st->ref, w->arg);
	}
	ref_release(&w->s->content, key);
	return held < 0 || r < 0 ? -1 : 0;
}

int content_sweep_ingests(struct store *s, ingest_removed *removed, void *arg, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct sweep w = { s, removed, arg, time(NULL) };

	return each_ingest(s, a, sweep_one, &w, e);
}
