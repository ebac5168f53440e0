#include "cmd/ctr/shim_client.h"

#include "loop/loop.h"
#include "shim/address.h"
#include "wire/ttrpc_client.h"

#define CALL_NS 60000000000ull

struct shim_client {
	struct loop *loop;
	struct ttrpc_client *client;
	const char *ns;
};

int shim_client_open(struct ctr *ctr, const char *id, const char *address, struct shim_client **ret,
		     struct err *e)
{
	struct shim_client *s;

	if (!*address && !*id)
		return err_set(e, ERR_UNKNOWN, "either --id or --shim-address must be given");
	if (!*address)
		address = shim_socket_path(ctr->arena, "", ctr->address, ctr->ns, id);
	s = NEW(struct shim_client);
	*s = (struct shim_client){ .loop = loop_new(), .ns = ctr->ns };
	if (ttrpc_client_connect(s->loop, address, &s->client, e) < 0) {
		shim_client_close(s);
		return err_wrap(e, "shim at %s", address);
	}
	*ret = s;
	return 0;
}

static void on_closed(void *arg)
{
	loop_stop(arg);
}

void shim_client_close(struct shim_client *s)
{
	if (!s)
		return;
	if (s->client) {
		ttrpc_client_close(s->client);
		loop_post(s->loop, on_closed, s->loop); /* the client goes on the loop */
		loop_run(s->loop);
	}
	loop_free(s->loop);
	free(s);
}

struct answer {
	struct loop *loop;
	const ProtobufCMessageDescriptor *type;
	ProtobufCMessage *message;
	struct err *e;
	int result;
};

static void on_answer(const struct err *e, const uint8_t *payload, size_t n, void *arg)
{
	struct answer *a = arg;

	a->result = 0;
	if (e)
		a->result = err_copy(a->e, e);
	else if (a->type && !(a->message = protobuf_c_message_unpack(a->type, NULL, n, payload)))
		a->result =
			err_set(a->e, ERR_INTERNAL, "the shim's answer is no %s", a->type->name);
	loop_stop(a->loop);
}

int shim_client_call(struct shim_client *s, int version, const char *method, const void *req,
		     const ProtobufCMessageDescriptor *rsp, void *ret, struct err *e)
{
	const struct ttrpc_target t = { .service = version == 2 ? "containerd.task.v2.Task"
								: "containerd.task.v3.Task",
					.method = method,
					.ns = s->ns,
					.timeout = CALL_NS };
	struct answer a = { .loop = s->loop, .type = ret ? rsp : NULL, .e = e };

	ttrpc_client_call(s->client, &t, req, on_answer, &a);
	loop_run(s->loop);
	if (a.result == 0 && ret)
		*(ProtobufCMessage **)ret = a.message;
	return a.result;
}
