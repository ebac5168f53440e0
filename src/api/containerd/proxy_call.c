#include "api/containerd/proxy_call.h"

#include "api/containerd/api.h"
#include "wire/grpc_client.h"

#include <string.h>

static void copy_meta(struct rpc_call *c, struct grpc_client *to)
{
	static const char *const names[] = { "containerd-namespace", "containerd-lease",
					     "traceparent" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *value = rpc_meta(c, names[i]);

		if (value)
			grpc_meta(to, names[i], value);
	}
}

/* The client's own deadline and its leaving end the wait; the stream's end tells the other program.
 */
static int await(struct rpc_call *c, struct grpc_client *client, struct grpc_stream *s,
		 struct err *e)
{
	while (!grpc_stream_ready(s))
		if (cancel_poll(c->cancel, grpc_fd(client), grpc_events(client), c->deadline, e) <
			    0 ||
		    grpc_pump(client, e) < 0)
			return -1;
	return 0;
}

static int call_there(struct rpc_call *c, const char *address, const void *req, void *rsp,
		      struct err *e)
{
	const char *path = arena_printf(c->arena, "/%s/%s", c->service->name, c->method->name);
	const ProtobufCMessageDescriptor *type = c->method->response;
	AUTO_GRPC struct grpc_client *client = NULL;
	AUTO_GRPC_STREAM struct grpc_stream *s = NULL;
	void *answer;

	if (grpc_connect_until(address, c->cancel, c->deadline, &client, e) < 0)
		return -1;
	copy_meta(c, client);
	if (grpc_stream_open(client, path, type, NULL, &s, e) < 0 ||
	    grpc_stream_send(s, req, e) < 0 || grpc_stream_close_send(s, e) < 0 ||
	    await(c, client, s, e) < 0 || grpc_stream_result(s, c->arena, &answer, e) < 0)
		return -1;
	memcpy(rsp, answer, type->sizeof_message);
	return 0;
}

/* A program that hangs must not have all threads, however many clients wait for it.  Calls that
 * wait by their nature are counted where all of those are. */
int proxy_call(struct rpc_call *c, const char *address, const void *req, void *rsp, struct err *e)
{
	enum { BUSY_MAX = 48 };
	atomic_uint *busy = &api_engine(c)->n_elsewhere;
	int r;

	if (c->method->waits)
		return call_there(c, address, req, rsp, e);
	if (atomic_fetch_add(busy, 1) < BUSY_MAX)
		r = call_there(c, address, req, rsp, e);
	else
		r = err_set(e, ERR_RESOURCE_EXHAUSTED,
			    "%d calls are waiting for the answers of other programs", BUSY_MAX);
	atomic_fetch_sub(busy, 1);
	return r;
}
