/* The connection to a shim, shared by its calls, and what happens when it is lost. */
#include "task/internal.h"

#include "loop/loop.h"
#include "loop/pool.h"

#include <errno.h>
#include <time.h>

/* On a pool thread: the clean-up runs the shim's delete verb and blocks. */
static void lost_job(void *arg)
{
	struct task *t = arg;

	task_lost(t);
	task_unref(t);
}

/* On the loop's thread. */
static void on_lost(void *arg)
{
	struct conn *c = arg;

	pool_run(c->task->ts->env->pool, lost_job, task_ref(c->task));
}

static void conn_free(void *arg)
{
	struct conn *c = arg;

	task_unref(c->task);
	free(c);
}

struct conn *conn_ref(struct conn *c)
{
	atomic_fetch_add(&c->refs, 1);
	return c;
}

/* on_lost() may be running on the loop's thread right now: the memory goes behind it. */
void conn_unref(struct conn *c)
{
	if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	ttrpc_client_close(c->client);
	loop_post(c->task->ts->env->loop, conn_free, c);
}

/* A shim that has printed its address listens already; one that is found again after a restart of
 * the daemon may be gone.  Only "try again" errors are worth the wait. */
int conn_open(struct task *t, const struct bootstrap *b, uint64_t timeout, struct conn **ret,
	      struct err *e)
{
	const char *path = strstr(b->address, "://");
	uint64_t end = loop_now() + timeout;
	struct ttrpc_client *client = NULL;

	if (!t->socket && path)
		t->socket = xstrdup(path + strlen("://"));
	for (useconds_t pause = 2000;; pause = pause < 100000 ? pause * 2 : pause) {
		struct err try = { 0 };

		if (!ttrpc_client_connect(t->ts->env->loop, b->address, &client, &try))
			break;
		bool is_hopeless = try.errnum == ECONNREFUSED || try.errnum == ENOENT ||
				   try.code == ERR_INVALID_ARGUMENT;

		if (is_hopeless || loop_now() + pause * 1000ull > end)
			return err_copy(e, &try);
		usleep(pause);
	}
	struct conn *c = NEW(struct conn);

	c->refs = 1;
	c->client = client;
	c->task = task_ref(t);
	c->service = t->ts->service;
	if (!c->service)
		c->service =
			b->version >= 3 ? "containerd.task.v3.Task" : "containerd.task.v2.Task";
	ttrpc_client_on_lost(client, on_lost, c);
	*ret = c;
	return 0;
}

struct conn *task_conn(struct task *t, struct err *e)
{
	struct conn *c = NULL;

	pthread_mutex_lock(&t->lock);
	if (t->conn)
		c = conn_ref(t->conn);
	pthread_mutex_unlock(&t->lock);
	if (!c)
		err_set(e, ERR_UNAVAILABLE, "the shim of %s is gone", t->id);
	return c;
}

int conn_call(struct conn *c, const char *ns, const char *method, uint64_t timeout, const void *req,
	      const ProtobufCMessageDescriptor *rsp, void *ret_rsp, struct err *e)
{
	struct ttrpc_target to = {
		.service = c->service, .method = method, .ns = ns, .timeout = timeout
	};
	int r = ttrpc_client_call_wait(c->client, &to, req, rsp, ret_rsp, e);

	if (r < 0 && e->code == ERR_DEADLINE_EXCEEDED) {
		struct err slow = { 0 };

		err_set(&slow, ERR_DEADLINE_EXCEEDED, "shim of %s did not answer %s within %g s",
			c->task->id, method, (double)timeout / SECOND);
		*e = slow;
	}
	return r;
}

int task_call(struct task *t, const char *method, uint64_t timeout, const void *req,
	      const ProtobufCMessageDescriptor *rsp, void *ret_rsp, struct err *e)
{
	struct conn *c = task_conn(t, e);

	if (!c)
		return -1;
	int r = conn_call(c, t->ns, method, timeout, req, rsp, ret_rsp, e);

	conn_unref(c);
	return r;
}
