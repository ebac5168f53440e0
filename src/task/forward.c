/* Shims' events: the ttrpc service containerd.services.events.ttrpc.v1.Events. */
#include "task/internal.h"

#include "containerd/events/task.pb-c.h"
#include "containerd/services/ttrpc/events/v1/events.pb-c.h"
#include "wire/ttrpc_server.h"

#include <string.h>

/* What an event tells about an init process goes into what lists show. */
static void note_exit(struct tasks *ts, const char *ns, const Google__Protobuf__Any *any)
{
	Containerd__Events__TaskExit *x =
		containerd__events__task_exit__unpack(NULL, any->value.len, any->value.data);
	struct task *t = NULL;
	struct err e = { 0 };

	if (!x)
		return;
	if (!strcmp(x->id, x->container_id) && !task_get(ts, ns, x->container_id, &t, &e)) {
		struct task_exit ex = { x->pid, x->exit_status, task_time(x->exited_at) };

		task_note_exit(t, &ex);
		task_unref(t);
	}
	containerd__events__task_exit__free_unpacked(x, NULL);
}

static void forward(struct ttrpc_call *c)
{
	struct tasks *ts = c->user;
	const Containerd__Services__Events__Ttrpc__V1__ForwardRequest *req = c->req;
	const Containerd__Types__Envelope *env = req->envelope;
	struct err e = { 0 };

	if (!env || !env->event) {
		err_set(&e, ERR_INVALID_ARGUMENT, "envelope or event is missing");
		ttrpc_fail(c, &e);
		return;
	}
	const struct any any = { .type_url = env->event->type_url,
				 .value = env->event->value.data,
				 .n = env->event->value.len };

	if (!strcmp(env->topic, "/tasks/exit"))
		note_exit(ts, env->namespace_, env->event);
	if (ts->env->publish(ts->env->arg, task_time(env->timestamp), env->namespace_, env->topic,
			     &any, &e) < 0)
		ttrpc_fail(c, &e);
	else
		ttrpc_reply(c, NULL);
}

static const struct ttrpc_method methods[] = {
	{ "containerd.services.events.ttrpc.v1.Events", "Forward",
	  &containerd__services__events__ttrpc__v1__forward_request__descriptor, forward },
	{ 0 },
};

void tasks_listen(struct tasks *ts, int fd_take)
{
	ts->events = ttrpc_server_new(ts->env->loop, fd_take, methods, ts);
	sweep_begin(ts);
}

void tasks_unlisten(struct tasks *ts)
{
	sweep_end(ts);
	if (ts->events)
		ttrpc_server_free(TAKE_PTR(ts->events));
}
