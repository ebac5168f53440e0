/* Server and client over a socket, one loop on a thread of its own. */
#include "base/mem.h"
#include "base/test.h"
#include "containerd/runtime/task/v3/shim.pb-c.h"
#include "loop/loop.h"
#include "os/socket.h"
#include "wire/ttrpc.h"
#include "wire/ttrpc_client.h"
#include "wire/ttrpc_server.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct stage {
	char dir[32];
	char *path;
	struct loop *loop;
	struct ttrpc_server *server;
	pthread_t thread;
	_Atomic(struct ttrpc_call *) parked; /* answered by another thread */
	atomic_int cancels;
};

static void h_connect(struct ttrpc_call *c)
{
	const Containerd__Task__V3__ConnectRequest *q = c->req;
	Containerd__Task__V3__ConnectResponse r = CONTAINERD__TASK__V3__CONNECT_RESPONSE__INIT;

	r.version = q->id;
	r.task_pid = (uint32_t)strlen(c->ns);
	ttrpc_reply(c, &r.base);
}

static void h_kill(struct ttrpc_call *c)
{
	struct err e = { 0 };

	err_set(&e, ERR_NOT_FOUND, "container not created");
	ttrpc_fail(c, &e);
}

static void gone(struct ttrpc_call *c)
{
	struct stage *s = c->data;
	struct err e = { 0 };

	err_set(&e, ERR_CANCELLED, "too late");
	s->parked = NULL;
	ttrpc_fail(c, &e);
	atomic_fetch_add(&s->cancels, 1);
}

static void h_wait(struct ttrpc_call *c)
{
	struct stage *s = c->user;

	c->data = s;
	c->on_cancel = gone;
	s->parked = c;
}

static const struct ttrpc_method methods[] = {
	{ "t.Task", "Connect", &containerd__task__v3__connect_request__descriptor, h_connect },
	{ "t.Task", "Kill", &containerd__task__v3__kill_request__descriptor, h_kill },
	{ "t.Task", "Wait", &containerd__task__v3__wait_request__descriptor, h_wait },
	{ NULL },
};

static void *run(void *arg)
{
	loop_run(arg);
	return NULL;
}

static void stage_init(struct stage *s)
{
	*s = (struct stage){ .dir = "/tmp/ttrpc-XXXXXX" };
	CHECK(mkdtemp(s->dir));
	s->path = xasprintf("%s/s", s->dir);
	int fd = socket_listen(s->path, 0600, 8);
	CHECK(fd >= 0);
	s->loop = loop_new();
	s->server = ttrpc_server_new(s->loop, fd, methods, s);
	CHECK(!pthread_create(&s->thread, NULL, run, s->loop));
}

static void stage_done(struct stage *s)
{
	loop_stop(s->loop);
	pthread_join(s->thread, NULL);
	ttrpc_server_free(s->server);
	loop_free(s->loop);
	unlink(s->path);
	rmdir(s->dir);
	free(s->path);
}

/* Lets the loop run what was posted and stops it. */
static void settle(struct stage *s)
{
	(void)s;
	usleep(20000);
}

static int call(struct ttrpc_client *c, const char *service, const char *method, uint64_t timeout,
		char *ret, struct err *e)
{
	Containerd__Task__V3__ConnectRequest q = CONTAINERD__TASK__V3__CONNECT_REQUEST__INIT;
	ProtobufCMessage *r = NULL;
	struct ttrpc_target t = { service, method, "default", timeout };

	q.id = (char *)"c1";
	if (ttrpc_client_call_wait(c, &t, &q.base,
				   &containerd__task__v3__connect_response__descriptor, &r, e) < 0)
		return -1;
	snprintf(ret, 40, "%s %u", ((Containerd__Task__V3__ConnectResponse *)r)->version,
		 ((Containerd__Task__V3__ConnectResponse *)r)->task_pid);
	protobuf_c_message_free_unpacked(r, NULL);
	return 0;
}

TEST(answers_and_errors)
{
	struct stage s;
	struct ttrpc_client *c;
	struct err e = { 0 };
	char text[200], got[40];

	stage_init(&s);
	CHECK_OK(ttrpc_client_connect(s.loop, s.path, &c, &e), &e);
	CHECK_OK(call(c, "t.Task", "Connect", 0, got, &e), &e);
	CHECK_STR(got, "c1 7");
	CHECK_FAIL(call(c, "t.Task", "Kill", 0, got, &e), &e, ERR_NOT_FOUND);
	CHECK_STR(err_text(&e, text, sizeof text), "container not created: not found");
	err_clear(&e);
	CHECK_FAIL(call(c, "t.Task", "Nope", 0, got, &e), &e, ERR_UNIMPLEMENTED);
	CHECK_STR(e.msg, "method Nope");
	err_clear(&e);
	CHECK_FAIL(call(c, "t.Other", "Nope", 0, got, &e), &e, ERR_UNIMPLEMENTED);
	CHECK_STR(e.msg, "service t.Other");
	err_clear(&e);
	CHECK_FAIL(call(c, "t.Task", "Wait", 30000000, got, &e), &e, ERR_DEADLINE_EXCEEDED);
	err_clear(&e);
	CHECK_OK(call(c, "t.Task", "Connect", 1000000000, got, &e), &e);
	ttrpc_client_close(c);
	settle(&s);
	CHECK(atomic_load(&s.cancels) == 1);
	stage_done(&s);
}

static void count_lost(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
}

static void *wait_call(void *arg)
{
	struct err *e = xcalloc(1, sizeof *e);
	char got[40];

	CHECK(call(arg, "t.Task", "Wait", 0, got, e) < 0);
	return e;
}

static void server_gone(void *arg)
{
	struct stage *s = arg;

	ttrpc_server_free(s->server);
	s->server = NULL;
}

TEST(a_lost_connection_fails_every_call)
{
	struct stage s;
	struct ttrpc_client *c;
	struct err e = { 0 }, *from[3];
	pthread_t t[3];
	atomic_int lost = 0;
	char got[40];

	stage_init(&s);
	CHECK_OK(ttrpc_client_connect(s.loop, s.path, &c, &e), &e);
	ttrpc_client_on_lost(c, count_lost, &lost);
	for (int i = 0; i < 3; i++)
		CHECK(!pthread_create(&t[i], NULL, wait_call, c));
	usleep(30000);
	loop_post(s.loop, server_gone, &s);
	for (int i = 0; i < 3; i++) {
		void *r;

		pthread_join(t[i], &r);
		from[i] = r;
		CHECK(from[i]->code == ERR_UNAVAILABLE);
		CHECK_STR(from[i]->msg, "ttrpc: closed");
		free(from[i]);
	}
	CHECK_FAIL(call(c, "t.Task", "Connect", 0, got, &e), &e, ERR_UNAVAILABLE);
	settle(&s);
	CHECK(atomic_load(&lost) == 1);
	CHECK(ttrpc_client_is_lost(c));
	ttrpc_client_close(c);
	settle(&s);
	stage_done(&s);
}

static void *answer_parked(void *arg)
{
	struct stage *s = arg;
	Containerd__Task__V3__WaitResponse r = CONTAINERD__TASK__V3__WAIT_RESPONSE__INIT;

	r.exit_status = 3;
	ttrpc_reply(s->parked, &r.base);
	return NULL;
}

static void note(const struct err *e, UNUSED const uint8_t *payload, size_t n, void *arg)
{
	atomic_store((atomic_int *)arg, e ? -(int)e->code : (int)n);
}

TEST(parked_calls_answered_by_another_thread_and_cancelled)
{
	struct stage s;
	struct ttrpc_client *c;
	struct err e = { 0 };
	atomic_int n = 1000;
	pthread_t t;
	Containerd__Task__V3__WaitRequest q = CONTAINERD__TASK__V3__WAIT_REQUEST__INIT;
	struct ttrpc_target target = { "t.Task", "Wait", NULL, 0 };

	stage_init(&s);
	CHECK_OK(ttrpc_client_connect(s.loop, s.path, &c, &e), &e);
	ttrpc_client_call(c, &target, &q.base, note, &n);
	settle(&s);
	CHECK(atomic_load(&n) == 1000);
	CHECK(!pthread_create(&t, NULL, answer_parked, &s));
	pthread_join(t, NULL);
	settle(&s);
	CHECK(atomic_load(&n) == 2);
	ttrpc_client_cancel(c, ttrpc_client_call(c, &target, &q.base, note, &n));
	settle(&s);
	CHECK(atomic_load(&n) == -ERR_CANCELLED);
	target.timeout = 10000000;
	ttrpc_client_call(c, &target, &q.base, note, &n);
	usleep(50000);
	CHECK(atomic_load(&n) == -ERR_DEADLINE_EXCEEDED);
	ttrpc_client_close(c);
	settle(&s);
	stage_done(&s);
}

/* Raw bytes to a server, its answer as text. */
static void raw(struct stage *s, const void *bytes, size_t n, char *ret, size_t size)
{
	int fd = socket_connect(s->path);

	CHECK(fd >= 0);
	CHECK(write(fd, bytes, n) == (ssize_t)n);
	shutdown(fd, SHUT_WR);
	ssize_t got = read(fd, ret, size - 1);
	CHECK(got >= 0);
	for (ssize_t i = 0; i < got; i++)
		if (ret[i] < ' ')
			ret[i] = '.';
	ret[got] = 0;
	close(fd);
}

TEST(bad_frames_are_answered)
{
	struct stage s;
	char got[300];

	stage_init(&s);
	raw(&s, "\0\0\0\0\0\0\0\2\1\0", 10, got, sizeof got);
	CHECK(strstr(got, "StreamID must be odd for client initiated streams"));
	raw(&s, "\0\0\0\1\0\0\0\1\1\0\xff", 11, got, sizeof got);
	CHECK(strstr(got, "unmarshal request error"));
	raw(&s, "\0\0\0\0\0\0\0\1\1\0\0\0\0\0\0\0\0\1\1\0", 20, got, sizeof got);
	CHECK(strstr(got, "service "));
	raw(&s, "\0\0\0\0\0\0\0\1\x09\0", 10, got, sizeof got);
	CHECK_STR(got, "");
	stage_done(&s);
}
