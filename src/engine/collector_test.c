/* When collections run: by count of deletions, by changes, by the pause, and not otherwise. */
#include "engine/collector.h"

#include "base/test.h"
#include "loop/loop.h"
#include "loop/pool.h"
#include "os/file.h"
#include "store/lease.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

static const char NS[] = "default";

/* A daemon's part that collects; the lease "dead" has expired and goes with the first run. */
struct scene {
	char root[32];
	struct arena *a;
	struct loop *loop;
	struct pool *pool;
	struct store *store;
	struct collector *collector;
	pthread_t thread;
	_Atomic unsigned gone;
};

static void *loop_thread(void *arg)
{
	loop_run(arg);
	return NULL;
}

static void add_lease(struct scene *s, const char *id, const char *expire)
{
	struct label lv[] = { { "containerd.io/gc.expire", expire } };
	struct lease_record r = { .id = id, .labels = { lv, expire ? 1 : 0 } };
	struct err e = { 0 };

	CHECK_OK(lease_create(s->store, NS, s->a, &r, &r, &e), &e);
}

static void drop_lease(struct scene *s, const char *id)
{
	struct err e = { 0 };

	CHECK_OK(lease_delete(s->store, NS, id, &e), &e);
}

static void count(UNUSED const char *ns, const char *type, UNUSED const char *id, void *arg)
{
	struct scene *s = arg;

	s->gone += !strcmp(type, "leases");
}

static void open_scene(struct scene *s, const struct config_gc *gc)
{
	struct err e = { 0 };

	*s = (struct scene){ .root = "/tmp/casco-test-XXXXXX",
			     .a = arena_new(),
			     .loop = loop_new(),
			     .pool = pool_new(4, 100000000) };
	CHECK(mkdtemp(s->root));
	CHECK_OK(store_open(s->root, &s->store, &e), &e);
	add_lease(s, "dead", "2020-01-01T00:00:00Z");
	s->collector = collector_new(s->store, gc, s->loop, s->pool);
	collector_set_report(s->collector, count, s);
	CHECK(pthread_create(&s->thread, NULL, loop_thread, s->loop) == 0);
}

static void stop(void *arg)
{
	struct scene *s = arg;

	collector_stop(s->collector);
	loop_stop(s->loop);
}

static void close_scene(struct scene *s)
{
	loop_post(s->loop, stop, s);
	pthread_join(s->thread, NULL);
	pool_free(s->pool);
	collector_free(s->collector);
	store_close(s->store);
	loop_free(s->loop);
	arena_free(s->a);
	CHECK(file_remove_tree(AT_FDCWD, s->root) == 0);
}

/* Whether a run takes n expired leases in all, within ms. */
static bool comes(struct scene *s, unsigned n, unsigned ms)
{
	for (unsigned i = 0; i < ms && s->gone < n; i++)
		usleep(1000);
	return s->gone >= n;
}

enum { SOON = 3000, NEVER = 60 };

TEST(the_start_is_collected_after_its_delay)
{
	const struct config_gc gc = { .startup_delay = 20000000, .pause_threshold = 0.5 };
	struct scene s;

	open_scene(&s, &gc);
	CHECK(comes(&s, 1, SOON));
	close_scene(&s);
}

TEST(deletions_count_and_their_threshold_runs_at_once)
{
	/* 5 ms are 0.0001 of 50 s: no run by the pause within this test */
	const struct config_gc gc = { .startup_delay = 1,
				      .deletion_threshold = 3,
				      .pause_threshold = 0.0001 };
	struct scene s;

	open_scene(&s, &gc);
	CHECK(comes(&s, 1, SOON));
	add_lease(&s, "a", NULL);
	add_lease(&s, "b", NULL);
	add_lease(&s, "c", NULL);
	add_lease(&s, "dead", "2020-01-01T00:00:00Z");
	drop_lease(&s, "a");
	drop_lease(&s, "b");
	CHECK(!comes(&s, 2, NEVER));
	drop_lease(&s, "c");
	CHECK(comes(&s, 2, SOON));
	close_scene(&s);
}

TEST(changes_run_at_their_threshold_only)
{
	const struct config_gc gc = { .mutation_threshold = 4 };
	struct scene s;

	open_scene(&s, &gc);
	add_lease(&s, "a", NULL);
	add_lease(&s, "b", NULL);
	add_lease(&s, "c", NULL);
	CHECK(!comes(&s, 1, NEVER));
	add_lease(&s, "d", NULL);
	CHECK(comes(&s, 1, SOON));
	close_scene(&s);
}

/* Without a threshold one deletion is enough, and a pause as long as the rule asks keeps the next
 * run away. */
TEST(the_pause_is_kept)
{
	const struct config_gc gc = { .pause_threshold = 0.0001 };
	struct scene s;

	open_scene(&s, &gc);
	add_lease(&s, "a", NULL);
	drop_lease(&s, "a");
	CHECK(comes(&s, 1, SOON));
	add_lease(&s, "dead", "2020-01-01T00:00:00Z");
	add_lease(&s, "a", NULL);
	drop_lease(&s, "a");
	CHECK(!comes(&s, 2, NEVER));
	close_scene(&s);
}
