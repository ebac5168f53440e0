#include "api/containerd/streaming.h"

#include "api/containerd/api.h"
#include "api/containerd/convert.h"
#include "api/containerd/services.h"

#include "containerd/services/streaming/v1/streaming.pb-c.h"
#include "google/protobuf/empty.pb-c.h"
#include <pthread.h>
#include <string.h>

/* Who may end a stream's call: the handler while it answers (OPENING), the cancel hook while
 * nobody has it (WAITING), the transfer that has it (TAKEN).  Changes only under the lock. */
enum stream_state { OPENING, WAITING, TAKEN };

struct stream {
	struct streams *owner;
	struct rpc_call *call;
	char *ns, *id;
	enum stream_state state;
	bool is_gone; /* the client has left */
	struct stream *next;
};

struct streams {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct stream *list;
	size_t n;
};

struct streams *streams_new(void)
{
	struct streams *s = NEW(struct streams);

	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	return s;
}

void streams_free(struct streams *s)
{
	if (!s)
		return;
	if (s->list)
		BUG("a stream outlived the servers");
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static struct stream *find(struct streams *s, const char *ns, const char *id)
{
	for (struct stream *st = s->list; st; st = st->next)
		if (strcmp(st->id, id) == 0 && strcmp(st->ns, ns) == 0)
			return st;
	return NULL;
}

static void unlink_stream(struct stream *st)
{
	struct stream **p = &st->owner->list;

	while (*p != st)
		p = &(*p)->next;
	*p = st->next;
	st->owner->n--;
	pthread_cond_broadcast(&st->owner->changed);
}

/* Out of the list already: nobody else knows it. */
static void finish(struct stream *st)
{
	rpc_reply(st->call, NULL);
	free(st->ns);
	free(st->id);
	free(st);
}

static void on_cancel(UNUSED struct rpc_call *c, void *arg)
{
	struct streams *s = api_engine(c)->streams;
	struct stream *st;

	pthread_mutex_lock(&s->lock);
	/* arg may be gone already: it is looked for, not looked into */
	for (st = s->list; st && st != arg; st = st->next)
		continue;
	bool ours = st && st->state == WAITING;
	if (st)
		st->is_gone = true;
	if (ours)
		unlink_stream(st);
	pthread_mutex_unlock(&s->lock);
	if (ours)
		finish(st);
}

static int add(struct streams *s, struct stream *st, struct err *e)
{
	int r = 0;

	pthread_mutex_lock(&s->lock);
	if (find(s, st->ns, st->id))
		r = err_set(e, ERR_ALREADY_EXISTS, "stream \"%s\"", st->id);
	else if (s->n >= STREAMS_MAX)
		r = err_set(e, ERR_RESOURCE_EXHAUSTED, "%d streams are open", STREAMS_MAX);
	else {
		st->next = s->list;
		s->list = st;
		s->n++;
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

/* The handler is done with it: it waits, unless the client has left meanwhile. */
static void settle(struct stream *st, bool is_well)
{
	struct streams *s = st->owner;

	pthread_mutex_lock(&s->lock);
	bool drop = st->is_gone || !is_well;
	if (drop)
		unlink_stream(st);
	else
		st->state = WAITING;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	if (drop)
		finish(st);
}

static int read_init(struct rpc_call *c, const char **ret_id, struct err *e)
{
	const void *first;
	int r = rpc_recv(c, &first, e);

	if (r < 0)
		return -1;
	if (r == 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "stream closed before its id was sent");

	struct any any = conv_any(first);
	const Containerd__Services__Streaming__V1__StreamInit *init = conv_unpack(
		c->arena, &any, &containerd__services__streaming__v1__stream_init__descriptor);
	if (!init || !*init->id || strlen(init->id) > STREAM_ID_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "first message must be a StreamInit");
	*ret_id = init->id;
	return 0;
}

static int stream(struct rpc_call *c, UNUSED const void *req, UNUSED void *rsp, struct err *e)
{
	Google__Protobuf__Empty empty = GOOGLE__PROTOBUF__EMPTY__INIT;
	const char *id = NULL;
	struct call call;

	if (api_call(c, &call, e) < 0 || read_init(c, &id, e) < 0)
		return -1;

	struct streams *s = api_engine(c)->streams;
	struct stream *st = NEW(struct stream);
	struct any any = conv_pack(c->arena, &empty.base);
	Google__Protobuf__Any *ready = conv_to_any(c->arena, &any);

	*st = (struct stream){ .owner = s, .call = c, .ns = xstrdup(call.ns), .id = xstrdup(id) };
	if (add(s, st, e) < 0) {
		free(st->ns);
		free(st->id);
		free(st);
		return -1;
	}
	rpc_on_cancel(c, on_cancel, st);
	/* The client may use the id as soon as it has this answer. */
	struct err lost = { 0 };
	settle(st, rpc_send(c, ready, &lost) == 0);
	return RPC_PARKED;
}

int stream_take(struct streams *s, const char *ns, const char *id, struct stream **ret,
		struct err *e)
{
	struct stream *st;

	pthread_mutex_lock(&s->lock);
	/* OPENING lasts as long as one small send. */
	while ((st = find(s, ns, id)) && st->state == OPENING)
		pthread_cond_wait(&s->changed, &s->lock);
	if (st && st->state == TAKEN)
		st = NULL;
	if (st)
		st->state = TAKEN;
	pthread_mutex_unlock(&s->lock);
	if (!st)
		return err_set(e, ERR_NOT_FOUND, "stream \"%s\"", id);
	*ret = st;
	return 0;
}

struct rpc_call *stream_call(struct stream *st)
{
	return st->call;
}

void stream_end(struct stream *st)
{
	if (!st)
		return;
	pthread_mutex_lock(&st->owner->lock);
	unlink_stream(st);
	pthread_mutex_unlock(&st->owner->lock);
	finish(st);
}

const struct rpc_method streaming_methods[] = {
	RPC_BIDI_STREAM("Stream", google__protobuf__any, google__protobuf__any, stream),
	RPC_END,
};
