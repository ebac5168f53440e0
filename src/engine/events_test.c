#include "engine/events.h"

#include "base/mem.h"
#include "base/test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

static void count_wake(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
}

static void publish(struct events *x, const char *ns, const char *topic, const char *value)
{
	struct err e = { 0 };

	CHECK_OK(events_publish(x, ns, topic, "containerd.events.X", value, strlen(value), &e), &e);
}

/* The next event's value, "" when there is none. */
static const char *next(struct events_sub *s, char buf[64])
{
	CLEANUP(event_unrefp) const struct event *ev = NULL;
	struct err e = { 0 };
	int r = events_next(s, &ev, &e);

	CHECK(r >= 0);
	snprintf(buf, 64, "%.*s", r ? (int)ev->value_len : 0, r ? (const char *)ev->value : "");
	return buf;
}

static char *payload(const struct event *ev, const char *const *path, size_t n)
{
	if (n == 1 && strcmp(path[0], "container_id") == 0)
		return xstrndup(ev->value, ev->value_len);
	return NULL;
}

TEST(filters_choose)
{
	static const char *const tasks[] = { "namespace==moby,topic~=|^/tasks/|" };
	static const char *const one[] = { "event.container_id==c1" };
	struct events *x = events_new();
	struct events_sub *all, *some, *mine;
	atomic_int wakes = 0, ignored = 0;
	struct err e = { 0 };
	char buf[64];

	events_set_fields(x, payload);
	CHECK_OK(events_subscribe(x, NULL, 0, count_wake, &wakes, &all, &e), &e);
	CHECK_OK(events_subscribe(x, tasks, 1, count_wake, &ignored, &some, &e), &e);
	CHECK_OK(events_subscribe(x, one, 1, count_wake, &ignored, &mine, &e), &e);
	publish(x, "default", "/tasks/start", "c0");
	publish(x, "moby", "/tasks/start", "c1");
	publish(x, "moby", "/images/create", "c2");
	CHECK(wakes == 1);
	CHECK_STR(next(all, buf), "c0");
	CHECK_STR(next(all, buf), "c1");
	CHECK_STR(next(all, buf), "c2");
	CHECK_STR(next(all, buf), "");
	publish(x, "default", "/a", "c3");
	CHECK(wakes == 2);
	CHECK_STR(next(all, buf), "c3");
	CHECK_STR(next(some, buf), "c1");
	CHECK_STR(next(some, buf), "");
	CHECK_STR(next(mine, buf), "c1");
	CHECK_STR(next(mine, buf), "");
	events_unsubscribe(all);
	events_unsubscribe(some);
	events_unsubscribe(mine);
	events_free(x);
}

TEST(a_slow_subscriber_is_cut_off_alone)
{
	struct events *x = events_new();
	struct events_sub *slow, *quick;
	atomic_int wakes = 0, ignored = 0;
	struct err e = { 0 };
	char buf[64], want[64];
	const struct event *ev;

	CHECK_OK(events_subscribe(x, NULL, 0, count_wake, &wakes, &slow, &e), &e);
	CHECK_OK(events_subscribe(x, NULL, 0, count_wake, &ignored, &quick, &e), &e);
	for (int i = 0; i <= EVENTS_MAX_QUEUED; i++) {
		snprintf(want, sizeof want, "%d", i);
		publish(x, "default", "/a/b", want);
		CHECK_STR(next(quick, buf), want);
	}
	CHECK(wakes == 2); /* the first event, and the cut */
	CHECK_FAIL(events_next(slow, &ev, &e), &e, ERR_RESOURCE_EXHAUSTED);
	CHECK_STR(e.msg,
		  "the subscriber fell behind by 16384 events or 16777216 bytes and was cut off");
	publish(x, "default", "/a/b", "on");
	CHECK_STR(next(quick, buf), "on");
	events_unsubscribe(slow);
	events_unsubscribe(quick);
	events_free(x);
}

TEST(names_are_checked)
{
	static const struct {
		const char *ns, *topic, *text;
	} rows[] = {
		{ "", "/a", "event envelope has invalid namespace: \"\" is no identifier" },
		{ "a/b", "/a", "event envelope has invalid namespace: \"a/b\" is no identifier" },
		{ "a", "", "envelope topic \"\": topic must not be empty" },
		{ "a", "a", "envelope topic \"a\": topic must start with '/'" },
		{ "a", "/", "envelope topic \"/\": topic must have at least one component" },
		{ "a", "/a//b",
		  "envelope topic \"/a//b\": topic \"/a//b\": component \"\" is no identifier" },
		{ "a", "/a/",
		  "envelope topic \"/a/\": topic \"/a/\": component \"\" is no identifier" },
		{ "a", "/a b",
		  "envelope topic \"/a b\": topic \"/a b\": component \"a b\" is no identifier" },
	};
	struct events *x = events_new();

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = { 0 };

		CHECK_FAIL(events_publish(x, rows[i].ns, rows[i].topic, "t", "", 0, &e), &e,
			   ERR_INVALID_ARGUMENT);
		CHECK_STR(e.msg, rows[i].text);
	}
	events_free(x);
}

enum { THREADS = 4, EACH = 2000 };

static void *publisher(void *arg)
{
	static atomic_int ids;
	char ns[8], value[16];

	snprintf(ns, sizeof ns, "n%d", atomic_fetch_add(&ids, 1));
	for (int i = 0; i < EACH; i++) {
		snprintf(value, sizeof value, "%d", i);
		publish(arg, ns, "/t", value);
	}
	return NULL;
}

/* Each thread's events come once each and in their order. */
TEST(many_publishers)
{
	struct events *x = events_new();
	struct events_sub *s;
	pthread_t threads[THREADS];
	int seen[10] = { 0 };
	atomic_int wakes = 0;
	struct err e = { 0 };

	CHECK_OK(events_subscribe(x, NULL, 0, count_wake, &wakes, &s, &e), &e);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, publisher, x) == 0);
	for (int got = 0; got < THREADS * EACH;) {
		CLEANUP(event_unrefp) const struct event *ev = NULL;

		if (events_next(s, &ev, &e) <= 0)
			continue;
		char want[16];
		snprintf(want, sizeof want, "%d", seen[ev->ns[1] - '0']++);
		CHECK(strlen(want) == ev->value_len && !memcmp(want, ev->value, ev->value_len));
		got++;
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	events_unsubscribe(s);
	events_free(x);
}
