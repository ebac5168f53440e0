/* A content store in another program, played by functions here: what a collection may remove, and
 * that nobody waits for a slow upload. */
#include "store/content.h"
#include "store/content_remote.h"
#include "store/gc.h"
#include "store/store_fixture.h"

#include <pthread.h>

static const char NS[] = "default";
#define GARBAGE "sha256:0123456789012345678901234567890123456789012345678901234567890123"

static struct far {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool is_held, is_writing, is_removing; /* held: write() and remove() do not return */
	char digest[80]; /* written last */
	char removed[80];
} far = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void set(bool *what, bool value)
{
	pthread_mutex_lock(&far.lock);
	*what = value;
	pthread_cond_broadcast(&far.changed);
	pthread_mutex_unlock(&far.lock);
}

static void wait_until(const bool *what, bool value)
{
	pthread_mutex_lock(&far.lock);
	while (*what != value)
		pthread_cond_wait(&far.changed, &far.lock);
	pthread_mutex_unlock(&far.lock);
}

static int far_read(const char *address UNUSED, const char *digest UNUSED, uint64_t from UNUSED,
		    uint64_t size UNUSED, int fd UNUSED, struct err *e)
{
	return err_set(e, ERR_NOT_FOUND, "not read here");
}

static int far_write(const char *address UNUSED, const char *digest, uint64_t size UNUSED,
		     int fd UNUSED, struct err *e UNUSED)
{
	snprintf(far.digest, sizeof far.digest, "%s", digest);
	set(&far.is_writing, true);
	wait_until(&far.is_held, false);
	return 0;
}

static int far_remove(const char *address UNUSED, const char *digest, struct err *e UNUSED)
{
	snprintf(far.removed, sizeof far.removed, "%s", digest);
	set(&far.is_removing, true);
	wait_until(&far.is_held, false);
	return 0;
}

/* What is being written is there already, as far as one can see. */
static int far_list(const char *address UNUSED, content_remote_visit *visit, void *arg,
		    struct err *e)
{
	if (*far.digest && visit(far.digest, arg, e) < 0)
		return -1;
	return visit(GARBAGE, arg, e);
}

static const struct content_remote table = { far_read, far_write, far_remove, far_list };
static const struct content_proxy proxy = { .name = "far", .address = "/far", .remote = &table };

static struct fixture open_far(void)
{
	const struct store_options opt = { .content = &proxy };
	struct fixture f = fixture_open();
	struct err e = { 0 };

	store_close(f.s);
	f.s = NULL;
	CHECK_OK(store_open_with(f.root, &opt, &f.s, &e), &e);
	far.is_held = far.is_writing = far.is_removing = false;
	far.digest[0] = far.removed[0] = 0;
	return f;
}

/* The digest of "bytes". */
static void *commit(void *arg)
{
	struct fixture *f = arg;
	const struct labels none = { 0 };
	struct err e = { 0 };
	struct ingest *in;

	CHECK_OK(ingest_open(f->s, NS, NULL, "ref", 0, NULL, &in, &e), &e);
	CHECK_OK(ingest_write(in, "bytes", 5, &e), &e);
	CHECK_OK(ingest_commit(in, 0, NULL, &none, NULL, &e), &e);
	ingest_close(in);
	return NULL;
}

static void *collect(void *arg)
{
	struct fixture *f = arg;
	struct gc_stats stats;
	struct err e = { 0 };

	CHECK_OK(gc_run(f->s, NULL, NULL, &stats, &e), &e);
	return NULL;
}

TEST(a_slow_upload_holds_up_no_collection)
{
	AUTO_FIXTURE struct fixture f = open_far();
	struct gc_stats stats;
	struct err e = { 0 };
	pthread_t t;

	far.is_held = true;
	CHECK(pthread_create(&t, NULL, commit, &f) == 0);
	wait_until(&far.is_writing, true);
	/* The removal returns at once, the upload does not. */
	alarm(10);
	pthread_t gc;
	CHECK(pthread_create(&gc, NULL, collect, &f) == 0);
	wait_until(&far.is_removing, true);
	CHECK_STR(far.removed, GARBAGE);
	set(&far.is_held, false);
	pthread_join(gc, NULL);
	pthread_join(t, NULL);
	alarm(0);

	/* Now it has a record, and no label that keeps it. */
	CHECK_OK(gc_run(f.s, NULL, NULL, &stats, &e), &e);
	CHECK(stats.blobs == 2);
}

TEST(who_writes_what_is_being_removed_waits)
{
	AUTO_FIXTURE struct fixture f = open_far();
	pthread_t gc, t;

	commit(&f); /* nothing keeps it */
	far.is_held = true;
	far.is_writing = false;
	CHECK(pthread_create(&gc, NULL, collect, &f) == 0);
	wait_until(&far.is_removing, true);
	CHECK_STR(far.removed, far.digest);
	CHECK(pthread_create(&t, NULL, commit, &f) == 0);
	usleep(50000);
	CHECK(!far.is_writing);
	set(&far.is_held, false);
	pthread_join(gc, NULL);
	pthread_join(t, NULL);
	CHECK(far.is_writing);
}
