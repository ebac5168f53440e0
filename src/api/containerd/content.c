/* The Content service, but for its Write method (content_write.c). */
#include "store/content.h"

#include "api/containerd/api.h"
#include "api/containerd/content_write.h"
#include "api/containerd/convert.h"
#include "api/containerd/listing.h"
#include "api/containerd/publish.h"
#include "api/containerd/services.h"

#include "containerd/events/content.pb-c.h"
#include "containerd/services/content/v1/content.pb-c.h"
#include "google/protobuf/empty.pb-c.h"
#include <errno.h>
#include <string.h>

typedef Containerd__Services__Content__V1__Info info_msg;
typedef Containerd__Services__Content__V1__Status status_msg;

enum { READ_CHUNK = 128 << 10 };

static info_msg *info_to_pb(struct arena *a, const struct content_info *i)
{
	info_msg *m = ARENA_NEW(a, info_msg);

	containerd__services__content__v1__info__init(m);
	m->digest = (char *)i->digest;
	m->size = (int64_t)i->size;
	m->created_at = conv_timestamp(a, i->created);
	m->updated_at = conv_timestamp(a, i->updated);
	CONV_SET_LABELS(a, m, labels, &i->labels,
			containerd__services__content__v1__info__labels_entry);
	return m;
}

static status_msg *status_to_pb(struct arena *a, const struct ingest_status *st)
{
	status_msg *m = ARENA_NEW(a, status_msg);

	containerd__services__content__v1__status__init(m);
	m->started_at = conv_timestamp(a, st->started);
	m->updated_at = conv_timestamp(a, st->updated);
	m->ref = (char *)st->ref;
	m->offset = (int64_t)st->offset;
	m->total = (int64_t)st->total;
	m->expected = (char *)st->expected;
	return m;
}

/* --- records --- */

static int info(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Containerd__Services__Content__V1__InfoRequest *q = req;
	Containerd__Services__Content__V1__InfoResponse *a = rsp;
	struct content_info i;
	struct call call;

	if (api_call(c, &call, e) < 0 ||
	    content_info(call.engine->store, call.ns, c->arena, q->digest, &i, e) < 0)
		return -1;
	a->info = info_to_pb(c->arena, &i);
	return 0;
}

static int update(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Containerd__Services__Content__V1__UpdateRequest *q = req;
	Containerd__Services__Content__V1__UpdateResponse *a = rsp;
	struct content_info made;
	struct call call;

	if (api_call(c, &call, e) < 0)
		return -1;
	if (!q->info)
		return err_set(e, ERR_INVALID_ARGUMENT, "content info is required");

	struct content_info in = { .digest = q->info->digest,
				   .labels = CONV_LABELS(c->arena, q->info, labels) };
	struct mask mask = conv_mask(q->update_mask);

	if (content_update(call.engine->store, call.ns, c->arena, &in, &mask, &made, e) < 0)
		return -1;
	a->info = info_to_pb(c->arena, &made);
	return 0;
}

static int delete (struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const Containerd__Services__Content__V1__DeleteContentRequest *q = req;
	Containerd__Events__ContentDelete ev;
	struct call call;

	if (api_call(c, &call, e) < 0 ||
	    content_delete(call.engine->store, call.ns, q->digest, e) < 0)
		return -1;
	containerd__events__content_delete__init(&ev);
	ev.digest = q->digest;
	api_publish(&call, "/content/delete", &ev.base);
	return 0;
}

static const char *field(const void *obj, const char *const *path, size_t n)
{
	const struct content_info *i = obj;

	if (n == 1 && strcmp(path[0], "digest") == 0)
		return i->digest;
	return strcmp(path[0], "labels") == 0 ? listing_label(&i->labels, path + 1, n - 1) : NULL;
}

static int add_listed(const struct content_info *i, void *arg, UNUSED struct err *e)
{
	struct listing *l = arg;

	if (listing_matches(l, i))
		listing_add(l, info_to_pb(l->arena, i));
	return 0;
}

static int send_some(struct rpc_call *c, void **v, size_t n, struct err *e)
{
	Containerd__Services__Content__V1__ListContentResponse r;

	containerd__services__content__v1__list_content_response__init(&r);
	r.info = (info_msg **)v;
	r.n_info = n;
	return rpc_send(c, &r, e);
}

static int list(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const Containerd__Services__Content__V1__ListContentRequest *q = req;
	AUTO_LISTING struct listing l = { .arena = c->arena, .field = field };
	struct call call;

	if (api_call(c, &call, e) < 0 || listing_filter(&l, CONV_FILTERS(q), e) < 0 ||
	    content_walk(call.engine->store, call.ns, c->arena, add_listed, &l, e) < 0)
		return -1;
	return listing_send(&l, c, send_some, e);
}

/* --- bytes --- */

/* Offsets in the answers count from the requested one, as containerd's do. */
static int send_range(struct rpc_call *c, int fd, uint64_t from, uint64_t size, struct err *e)
{
	AUTO_FREE uint8_t *buf = xmalloc(size < READ_CHUNK ? size : READ_CHUNK);
	uint64_t sent = 0;

	while (sent < size) {
		Containerd__Services__Content__V1__ReadContentResponse r;
		uint64_t left = size - sent;
		ssize_t n =
			pread(fd, buf, left < READ_CHUNK ? left : READ_CHUNK, (off_t)(from + sent));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(e, n < 0 ? errno : EIO, "read blob");
		containerd__services__content__v1__read_content_response__init(&r);
		r.offset = (int64_t)sent;
		r.data.data = buf;
		r.data.len = (size_t)n;
		if (rpc_send(c, &r, e) < 0)
			return -1;
		sent += (uint64_t)n;
	}
	return 0;
}

static int read_blob(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const Containerd__Services__Content__V1__ReadContentRequest *q = req;
	AUTO_FD int fd = -1;
	struct call call;
	uint64_t total, at;

	if (api_call(c, &call, e) < 0 ||
	    content_open_part(call.engine->store, call.ns, q->digest,
			      q->offset > 0 ? (uint64_t)q->offset : 0,
			      q->size > 0 ? (uint64_t)q->size : 0, &fd, &at, &total, e) < 0)
		return -1;
	if (q->offset < 0 || (uint64_t)q->offset > total)
		return err_set(e, ERR_OUT_OF_RANGE, "read past object length %llu bytes",
			       (unsigned long long)total);

	uint64_t left = total - (uint64_t)q->offset;
	uint64_t size = q->size > 0 && (uint64_t)q->size < left ? (uint64_t)q->size : left;

	return send_range(c, fd, at, size, e);
}

/* --- ingests --- */

static int status(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Containerd__Services__Content__V1__StatusRequest *q = req;
	Containerd__Services__Content__V1__StatusResponse *a = rsp;
	struct ingest_status st;
	struct call call;

	if (api_call(c, &call, e) < 0 ||
	    ingest_status(call.engine->store, call.ns, c->arena, q->ref, &st, e) < 0)
		return -1;
	a->status = status_to_pb(c->arena, &st);
	return 0;
}

static const char *ref_field(const void *obj, const char *const *path, size_t n)
{
	const struct ingest_status *st = obj;

	return n == 1 && strcmp(path[0], "ref") == 0 ? st->ref : NULL;
}

static int add_status(const struct ingest_status *st, void *arg, UNUSED struct err *e)
{
	struct listing *l = arg;

	if (listing_matches(l, st))
		listing_add(l, status_to_pb(l->arena, st));
	return 0;
}

static int list_statuses(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Containerd__Services__Content__V1__ListStatusesRequest *q = req;
	Containerd__Services__Content__V1__ListStatusesResponse *a = rsp;
	AUTO_LISTING struct listing l = { .arena = c->arena, .field = ref_field };
	struct call call;

	if (api_call(c, &call, e) < 0 || listing_filter(&l, CONV_FILTERS(q), e) < 0 ||
	    ingest_list(call.engine->store, call.ns, c->arena, add_status, &l, e) < 0)
		return -1;
	a->statuses = (status_msg **)listing_take(&l, &a->n_statuses);
	return 0;
}

static int abort_ingest(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const Containerd__Services__Content__V1__AbortRequest *q = req;
	struct call call;

	if (api_call(c, &call, e) < 0)
		return -1;
	return ingest_abort(call.engine->store, call.ns, q->ref, e);
}

#define P(x) containerd__services__content__v1__##x
const struct rpc_method content_methods[] = {
	RPC_UNARY("Info", P(info_request), P(info_response), info),
	RPC_UNARY("Update", P(update_request), P(update_response), update),
	RPC_SERVER_STREAM("List", P(list_content_request), P(list_content_response), list),
	RPC_UNARY("Delete", P(delete_content_request), google__protobuf__empty, delete),
	RPC_SERVER_STREAM("Read", P(read_content_request), P(read_content_response), read_blob),
	RPC_UNARY("Status", P(status_request), P(status_response), status),
	RPC_UNARY("ListStatuses", P(list_statuses_request), P(list_statuses_response),
		  list_statuses),
	RPC_BIDI_STREAM("Write", P(write_content_request), P(write_content_response),
			content_write),
	RPC_UNARY("Abort", P(abort_request), google__protobuf__empty, abort_ingest),
	RPC_END,
};
