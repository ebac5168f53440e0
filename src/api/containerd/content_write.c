#include "api/containerd/content_write.h"

#include "api/containerd/api.h"
#include "api/containerd/convert.h"
#include "api/containerd/publish.h"
#include "store/content.h"

#include "containerd/events/content.pb-c.h"
#include "containerd/services/content/v1/content.pb-c.h"
#include <string.h>

typedef Containerd__Services__Content__V1__WriteContentRequest request;

/* One write of one client.  msg is reused for every answer, as in containerd: what STAT has put
 * into it (times, total) stays in later answers. */
struct writer {
	struct rpc_call *c;
	struct call call;
	struct ingest *in;
	uint64_t total;
	char *expected; /* "" unknown; in the call's arena */
	char digest[72];
	Containerd__Services__Content__V1__WriteContentResponse msg;
};

/* What the first message did not say may come later; what it said must not change. */
static int take_expectations(struct writer *w, const request *q, struct err *e)
{
	if (q->total < 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "negative total");
	if (w->total == 0)
		w->total = (uint64_t)q->total;
	else if (q->total > 0 && w->total != (uint64_t)q->total)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "commit total %lld does not match total at start %llu",
			       (long long)q->total, (unsigned long long)w->total);
	if (!*w->expected)
		w->expected = arena_strdup(w->c->arena, q->expected);
	else if (*q->expected && strcmp(w->expected, q->expected) != 0)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "commit digest %s does not match digest at start %s", q->expected,
			       w->expected);
	return 0;
}

static int put_digest(struct writer *w, struct err *e)
{
	if (ingest_digest(w->in, w->digest, e) < 0)
		return -1;
	w->msg.digest = w->digest;
	return 0;
}

static int answer_stat(struct writer *w, struct err *e)
{
	struct ingest_status st;

	ingest_get_status(w->in, &st);
	w->msg.started_at = conv_timestamp(w->c->arena, st.started);
	w->msg.updated_at = conv_timestamp(w->c->arena, st.updated);
	w->msg.total = (int64_t)w->total;
	return put_digest(w, e);
}

static int commit(struct writer *w, const request *q, struct err *e)
{
	struct labels labels = CONV_LABELS(w->c->arena, q, labels);
	Containerd__Events__ContentCreate ev;

	if (ingest_commit(w->in, w->total, w->expected, &labels, w->digest, e) < 0)
		return -1;
	w->msg.digest = w->digest;
	containerd__events__content_create__init(&ev);
	ev.digest = w->digest;
	ev.size = w->msg.offset;
	api_publish(&w->call, "/content/create", &ev.base);
	return 0;
}

/* WRITE, and COMMIT with or without last bytes. */
static int take_bytes(struct writer *w, const request *q, struct err *e)
{
	if (q->offset != 0 && q->offset != w->msg.offset)
		return err_set(e, ERR_OUT_OF_RANGE, "write @%lld must occur at current offset %lld",
			       (long long)q->offset, (long long)w->msg.offset);
	if (q->offset == 0 && w->msg.offset > 0 && q->data.len > 0) {
		if (ingest_truncate(w->in, 0, e) < 0)
			return err_wrap(e, "truncate failed");
		w->msg.offset = 0;
	}
	if (q->data.len > 0 && ingest_write(w->in, q->data.data, q->data.len, e) < 0)
		return -1;
	w->msg.offset += (int64_t)q->data.len;
	return 0;
}

static int answer(struct writer *w, const request *q, struct err *e)
{
	struct ingest_status st;

	ingest_get_status(w->in, &st);
	w->msg.action = q->action;
	w->msg.offset = (int64_t)st.offset;
	if (take_expectations(w, q, e) < 0)
		return -1;
	switch ((int)q->action) {
	case CONTAINERD__SERVICES__CONTENT__V1__WRITE_ACTION__STAT:
		if (answer_stat(w, e) < 0)
			return -1;
		break;
	case CONTAINERD__SERVICES__CONTENT__V1__WRITE_ACTION__WRITE:
		if (take_bytes(w, q, e) < 0 || put_digest(w, e) < 0)
			return -1;
		break;
	case CONTAINERD__SERVICES__CONTENT__V1__WRITE_ACTION__COMMIT:
		if (take_bytes(w, q, e) < 0 || commit(w, q, e) < 0)
			return -1;
		/* containerd sends this answer twice; clients that count rely on neither. */
		if (rpc_send(w->c, &w->msg, e) < 0)
			return -1;
		break;
	default:
		return err_set(e, ERR_INVALID_ARGUMENT, "unknown write action %d", (int)q->action);
	}
	return rpc_send(w->c, &w->msg, e);
}

static int open_writer(struct writer *w, const request *q, struct err *e)
{
	if (api_call(w->c, &w->call, e) < 0)
		return -1;
	if (!*q->ref)
		return err_set(e, ERR_INVALID_ARGUMENT, "first message must have a reference");
	if (q->total < 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "negative total");
	w->total = (uint64_t)q->total;
	w->expected = arena_strdup(w->c->arena, q->expected);
	return ingest_open(w->call.engine->store, w->call.ns, w->call.lease, q->ref, w->total,
			   w->expected, &w->in, e);
}

static int serve(struct writer *w, struct err *e)
{
	const void *q;
	int r = rpc_recv(w->c, &q, e);

	if (r <= 0)
		return r;
	if (open_writer(w, q, e) < 0)
		return -1;
	do {
		if (answer(w, q, e) < 0)
			return -1;
		if (w->msg.action == CONTAINERD__SERVICES__CONTENT__V1__WRITE_ACTION__COMMIT)
			return 0;
		r = rpc_recv(w->c, &q, e);
	} while (r > 0);
	return r;
}

/* A client that goes away in the middle leaves its ingest for a resume. */
int content_write(struct rpc_call *c, UNUSED const void *req, UNUSED void *rsp, struct err *e)
{
	struct writer w = { .c = c, .expected = (char *)"" };

	containerd__services__content__v1__write_content_response__init(&w.msg);
	int r = serve(&w, e);
	ingest_close(w.in);
	return r;
}
