/* The connection and the calls on it. */
#include "cmd/ctr/ctr.h"

#include "base/ident.h"
#include "base/timefmt.h"

#include <sys/random.h>
#include <time.h>

enum { LEASE_SECONDS = 24 * 3600 };

int ctr_connect(struct ctr *c, struct err *e)
{
	const char *path = str_starts(c->address, "unix://") ? c->address + 7 : c->address;

	if (c->client)
		return 0;
	if (!ident_is_valid(c->ns))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "namespace validation: identifier \"%s\" must match "
			       "^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$",
			       c->ns);
	if (grpc_connect(path, c->connect_timeout_ns, &c->client, e) < 0)
		return err_wrap(e, "failed to dial \"%s\"", path);
	grpc_meta(c->client, "containerd-namespace", c->ns);
	if (c->trace)
		grpc_trace(c->client, c->trace, "ctr");
	if (getenv("TRACEPARENT")) /* whoever started us has a trace to go on with */
		grpc_meta(c->client, "traceparent", getenv("TRACEPARENT"));
	return 0;
}

static const char *method_path(struct ctr *c, const char *method)
{
	return arena_printf(c->arena, "/containerd.services.%s", method);
}

int ctr_call(struct ctr *c, const char *method, const void *req,
	     const ProtobufCMessageDescriptor *rsp_type, void *ret, struct err *e)
{
	struct grpc_options opt = { .timeout_ns = c->timeout_ns, .lease = c->lease };
	void *rsp = NULL;

	if (ctr_connect(c, e) < 0)
		return -1;
	if (grpc_call(c->client, method_path(c, method), req, rsp_type, c->arena, &rsp, &opt, e) <
	    0)
		return -1;
	if (ret)
		*(void **)ret = rsp;
	return 0;
}

int ctr_open(struct ctr *c, const char *method, const void *req,
	     const ProtobufCMessageDescriptor *rsp_type, struct grpc_stream **ret, struct err *e)
{
	struct grpc_options opt = { .timeout_ns = c->timeout_ns, .lease = c->lease };
	struct grpc_stream *s AUTO_GRPC_STREAM = NULL;

	if (ctr_connect(c, e) < 0)
		return -1;
	if (grpc_stream_open(c->client, method_path(c, method), rsp_type, &opt, &s, e) < 0)
		return -1;
	if (req && grpc_stream_send_last(s, req, e) < 0)
		return -1;
	*ret = TAKE_PTR(s);
	return 0;
}

int ctr_end(struct ctr *c, struct grpc_stream *s, void *ret, struct err *e)
{
	struct grpc_stream *call AUTO_GRPC_STREAM = s;
	void *rsp = NULL;

	if (grpc_stream_result(call, c->arena, &rsp, e) < 0)
		return -1;
	if (ret)
		*(void **)ret = rsp;
	return 0;
}

char *ctr_unique(struct ctr *c, const char *prefix)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789-_";
	unsigned char r[4] = { 0 };
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (getrandom(r, sizeof r, 0) < (ssize_t)sizeof r)
		r[0] = (unsigned char)getpid(); /* the time alone tells names apart */
	return arena_printf(c->arena, "%s%ld-%c%c%c%c", prefix, now.tv_nsec, letters[r[0] % 62],
			    letters[r[1] % 64], letters[r[2] % 64], letters[r[3] % 62]);
}

int ctr_lease_begin(struct ctr *c, struct err *e)
{
	LEASES(CreateRequest) req = LEASES_INIT(CREATE_REQUEST);
	struct labels l = { 0 };
	struct timespec now;
	char text[TIMEFMT_MAX];

	clock_gettime(CLOCK_REALTIME, &now);
	now.tv_sec += LEASE_SECONDS;
	now.tv_nsec = 0;
	labels_add(c->arena, &l, "containerd.io/gc.expire", timefmt_rfc3339(now, text));
	req.id = ctr_unique(c, "");
	req.n_labels = l.n;
	req.labels = (void *)labels_to_pb(
		c->arena, &l,
		&containerd__services__leases__v1__create_request__labels_entry__descriptor);
	return ctr_open(c, "leases.v1.Leases/Create", &req,
			&containerd__services__leases__v1__create_response__descriptor,
			&c->lease_call, e);
}

int ctr_lease_confirm(struct ctr *c, struct err *e)
{
	LEASES(CreateResponse) *rsp = NULL;

	if (ctr_end(c, TAKE_PTR(c->lease_call), &rsp, e) < 0)
		return -1;
	if (!rsp->lease)
		return err_set(e, ERR_INTERNAL, "the daemon answered without a lease");
	c->lease = rsp->lease->id;
	return 0;
}

int ctr_lease(struct ctr *c, struct err *e)
{
	return ctr_lease_begin(c, e) < 0 ? -1 : ctr_lease_confirm(c, e);
}

static void warn_of_lease(const struct err *e)
{
	char text[1100];

	if (e->code != ERR_NOT_FOUND)
		ctr_warn("failed to delete a lease: %s", err_text(e, text, sizeof text));
}

void ctr_lease_let_go(struct ctr *c)
{
	LEASES(DeleteRequest) req = LEASES_INIT(DELETE_REQUEST);
	struct err e = { 0 };

	if (!c->lease)
		return;
	req.id = PB(c->lease);
	c->lease = NULL;
	if (ctr_open(c, "leases.v1.Leases/Delete", &req, &google__protobuf__empty__descriptor,
		     &c->lease_call, &e) < 0)
		warn_of_lease(&e);
}

void ctr_lease_end(struct ctr *c)
{
	struct err e = { 0 };

	if (c->lease_call && ctr_end(c, TAKE_PTR(c->lease_call), NULL, &e) < 0)
		warn_of_lease(&e);
}

void ctr_lease_done(struct ctr *c)
{
	ctr_lease_let_go(c);
	ctr_lease_end(c);
}
