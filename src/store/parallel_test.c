/* Many threads on one store (worth most under TSan): what a lease holds is never lost to a
 * collection that runs at the same time, and equal blobs of several writers become one. */
#include "store/content.h"
#include "store/gc.h"
#include "store/lease.h"
#include "store/snapshot.h"
#include "store/store_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

enum { WRITERS = 4, ROUNDS = 25 };

static atomic_bool is_over;

struct worker {
	struct store *s;
	int number;
	pthread_t thread;
};

static void put(struct worker *w, const char *lease, const char *ref, const char *text, char d[72])
{
	struct err e = { 0 };
	struct ingest *in;

	CHECK_OK(ingest_open(w->s, "default", lease, ref, 0, NULL, &in, &e), &e);
	CHECK_OK(ingest_write(in, text, strlen(text), &e), &e);
	CHECK_OK(ingest_digest(in, d, &e), &e);
	if (ingest_commit(in, 0, NULL, NULL, NULL, &e) < 0)
		CHECK(e.code == ERR_ALREADY_EXISTS);
	ingest_close(in);
}

static void check_held(struct worker *w, const char *digest)
{
	struct err e = { 0 };
	uint64_t size;
	int fd;

	CHECK_OK(content_open(w->s, "default", digest, &fd, &size, &e), &e);
	close(fd);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	static const struct labels none;

	for (int i = 0; i < ROUNDS; i++) {
		AUTO_ARENA struct arena *a = arena_new();
		struct lease_record l = { .id = arena_printf(a, "l-%d", w->number) };
		struct snapshot_at at = { "default", l.id, "native" };
		char *key = arena_printf(a, "k-%d", w->number);
		char one[72], two[72];
		struct err e = { 0 };
		struct snapshot_info info;
		struct mounts m;

		CHECK_OK(lease_create(w->s, "default", a, &l, &l, &e), &e);
		/* of one's own, and the same as everybody's */
		put(w, l.id, arena_printf(a, "own-%d", w->number), l.id, one);
		put(w, l.id, arena_printf(a, "all-%d", w->number), "the same", two);
		CHECK_OK(snapshot_prepare(w->s, &at, a, key, "", &none, &m, &e), &e);
		check_held(w, one);
		check_held(w, two);
		CHECK_OK(snapshot_stat(w->s, &at, a, key, &info, &e), &e);
		CHECK(access(m.v[0].source, F_OK) == 0);
		CHECK_OK(lease_delete(w->s, "default", l.id, &e), &e);
		(void)snapshot_remove(w->s, &at, key, &e); /* or the collector was first */
	}
	return NULL;
}

static void *collect(void *arg)
{
	struct err e = { 0 };

	while (!is_over)
		CHECK_OK(gc_run(arg, NULL, NULL, NULL, &e), &e);
	return NULL;
}

TEST(writers_and_collector)
{
	AUTO_FIXTURE struct fixture f = fixture_open();
	struct worker w[WRITERS];
	pthread_t collector;
	struct gc_stats st;
	struct err e = { 0 };

	CHECK(pthread_create(&collector, NULL, collect, f.s) == 0);
	for (int i = 0; i < WRITERS; i++) {
		w[i] = (struct worker){ .s = f.s, .number = i };
		CHECK(pthread_create(&w[i].thread, NULL, work, &w[i]) == 0);
	}
	for (int i = 0; i < WRITERS; i++)
		pthread_join(w[i].thread, NULL);
	is_over = true;
	pthread_join(collector, NULL);

	CHECK_OK(gc_run(f.s, NULL, NULL, &st, &e), &e);
	CHECK_OK(gc_run(f.s, NULL, NULL, &st, &e), &e);
	CHECK(st.removed == 0 && st.blobs == 0 && st.directories == 0 && st.marked == 0);
}
