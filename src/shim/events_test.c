/* Events and a daemon that is not always there. */
#include "shim/events.h"

#include "base/mem.h"
#include "base/test.h"
#include "containerd/events/task.pb-c.h"
#include "containerd/services/ttrpc/events/v1/events.pb-c.h"
#include "loop/loop.h"
#include "os/socket.h"
#include "wire/ttrpc_server.h"

#include <stdlib.h>
#include <unistd.h>

typedef Containerd__Services__Events__Ttrpc__V1__ForwardRequest forward_request;

struct daemon {
	struct loop *loop;
	struct ttrpc_server *server;
	char dir[32], path[64];
	size_t n, refuse; /* refuse: the first so many */
	char topics[16][32];
	int64_t at[16];
};

static void on_forward(struct ttrpc_call *c)
{
	struct daemon *d = c->user;
	const forward_request *q = c->req;
	struct err e = { 0 };

	if (d->refuse) {
		d->refuse--;
		err_set(&e, ERR_UNKNOWN, "not now");
		ttrpc_fail(c, &e);
		return;
	}
	if (d->n < 16) {
		snprintf(d->topics[d->n], 32, "%s", q->envelope->topic);
		d->at[d->n] = q->envelope->timestamp->seconds;
	}
	d->n++;
	ttrpc_reply(c, NULL);
}

static const struct ttrpc_method methods[] = {
	{ "containerd.services.events.ttrpc.v1.Events", "Forward",
	  &containerd__services__events__ttrpc__v1__forward_request__descriptor, on_forward },
	{ NULL },
};

static void enough(UNUSED struct loop_timer *t, void *arg)
{
	loop_stop(arg);
}

static void run_for(struct loop *l, uint64_t ms)
{
	struct loop_timer *t = loop_timer_add(l, ms * 1000000u, enough, l);

	loop_run(l);
	loop_timer_remove(t);
}

static void begin(struct daemon *d)
{
	*d = (struct daemon){ .loop = loop_new(), .dir = "/tmp/casco-events-XXXXXX" };
	CHECK(mkdtemp(d->dir));
	snprintf(d->path, sizeof d->path, "%s/s", d->dir);
}

static void serve(struct daemon *d)
{
	int fd = socket_listen(d->path, 0600, 8);

	CHECK(fd >= 0);
	d->server = ttrpc_server_new(d->loop, fd, methods, d);
}

static void go_away(struct daemon *d)
{
	ttrpc_server_free(d->server);
	d->server = NULL;
	(void)unlink(d->path);
}

static void end(struct daemon *d, struct events *ev)
{
	events_free(ev);
	if (d->server)
		go_away(d);
	run_for(d->loop, 5);
	loop_free(d->loop);
	CHECK(rmdir(d->dir) == 0);
}

static void send(struct events *ev, const char *topic)
{
	Containerd__Events__TaskExit m = CONTAINERD__EVENTS__TASK_EXIT__INIT;

	m.container_id = (char *)"c";
	events_send(ev, topic, &m.base);
}

TEST(told_once_however_long_nobody_listens)
{
	struct daemon d;

	begin(&d);
	struct events *ev = events_new(d.loop, d.path, "default");
	int64_t before = time(NULL);

	send(ev, "/one");
	send(ev, "/two");
	run_for(d.loop, 3200); /* six tries */
	serve(&d);
	run_for(d.loop, 3500);
	CHECK(d.n == 2);
	CHECK_STR(d.topics[0], "/one");
	CHECK_STR(d.topics[1], "/two");
	CHECK(d.at[0] <= before + 1); /* when it happened, not when it was told */

	/* and again, over a connection that broke */
	go_away(&d);
	run_for(d.loop, 20);
	send(ev, "/three");
	run_for(d.loop, 150);
	CHECK(d.n == 2);
	serve(&d);
	run_for(d.loop, 800);
	CHECK(d.n == 3);
	CHECK_STR(d.topics[2], "/three");
	end(&d, ev);
}

TEST(a_daemon_that_is_slow_to_answer_has_a_bound)
{
	struct daemon d;

	begin(&d);
	struct events *ev = events_new(d.loop, d.path, "default");

	serve(&d);
	send(ev, "/first"); /* on its way from here on */
	for (int i = 0; i < 2999; i++)
		send(ev, "/more");
	run_for(d.loop, 3000);
	CHECK(d.n == 2048);
	CHECK_STR(d.topics[0], "/first");
	end(&d, ev);
}

TEST(a_refusal_is_tried_again)
{
	struct daemon d;

	begin(&d);
	struct events *ev = events_new(d.loop, d.path, "default");

	d.refuse = 1;
	serve(&d);
	send(ev, "/one");
	send(ev, "/two");
	run_for(d.loop, 100);
	CHECK(d.n == 0);
	run_for(d.loop, 1200);
	CHECK(d.n == 2 && !d.refuse);
	CHECK_STR(d.topics[0], "/one");
	end(&d, ev);
}
