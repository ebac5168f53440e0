/* Layers that are never begun: a daemon that is played here, and threads that wait. */
#include "image/worker.h"

#include "base/test.h"

#include <unistd.h>

#define DIGEST(c) "sha256:" c c c c c c c c c c c c c c c c
#define FIRST DIGEST("aaaa")
#define SECOND DIGEST("bbbb")

/* The next request that wants an answer. */
static void next_question(int sock, const char *want)
{
	for (;;) {
		AUTO_PACKET struct channel_packet p = { 0 };
		struct err e = { 0 };
		const char *op = "";

		CHECK(channel_recv(sock, &p, &e) == 1);
		CHECK_OK(jsonr_string(p.json, "op", &op, &e), &e);
		if (strcmp(op, "progress") == 0)
			continue;
		CHECK_STR(op, want);
		return;
	}
}

static void answer(int sock, const char *json)
{
	AUTO_STR struct str text = STR_INIT(CHANNEL_MAX);
	struct err e = { 0 };

	str_add(&text, json);
	CHECK_OK(channel_send(sock, &text, NULL, 0, &e), &e);
}

struct waiter {
	struct fetch *f;
	struct err e;
	int r;
};

static void *wait_for_second(void *arg)
{
	struct waiter *w = arg;

	w->r = fetch_wait(w->f, SECOND, &w->e);
	return NULL;
}

TEST(a_stop_wakes_who_waits_for_what_is_not_begun)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct oci_descriptor layers[] = { { .media_type = "", .digest = FIRST, .size = 1 },
					   { .media_type = "", .digest = SECOND, .size = 1 } };
	struct worker_manifest m = { .desc = { .media_type = "", .digest = FIRST },
				     .doc = { .n_layers = 2, .layers = layers } };
	struct worker w = { .arena = a, .manifests = &m, .n_manifests = 1 };
	struct err none = { 0 };
	pthread_t thread;
	int pair[2];

	CHECK(channel_pair(pair) == 0);
	peer_init(&w.peer, pair[1]);
	w.job.pull.max_downloads = 1;
	struct waiter who = { .f = fetch_start(&w) };

	/* The only thread is busy with the first, which succeeds after the stop. */
	next_question(pair[0], "blob_info");
	CHECK(pthread_create(&thread, NULL, wait_for_second, &who) == 0);
	fetch_stop(who.f);
	alarm(10); /* it waited for ever */
	answer(pair[0], "{\"exists\":true,\"size\":1}");
	next_question(pair[0], "blob_label");
	answer(pair[0], "{}");
	pthread_join(thread, NULL);
	CHECK_FAIL(who.r, &who.e, ERR_CANCELLED);
	CHECK(fetch_end(who.f, &none) < 0);
	alarm(0);
	close(pair[0]);
	close(pair[1]);
}
