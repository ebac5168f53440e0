/* Server reflection (grpc.reflection): which services there are and what their messages look like,
 * for clients that come without the interface files.  v1alpha says the same in the same bytes. */
#include "api/containerd/api.h"
#include "api/containerd/descriptors.h"
#include "api/containerd/services.h"

#include "grpc/reflection/v1/reflection.pb-c.h"
#include <string.h>

#define V1(name) Grpc__Reflection__V1__##name
#define ASKED(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##name
#define SAID(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##name

/* A stream gets each file once. */
struct reflection {
	bool is_sent[DESCRIPTORS_MAX];
};

static int by_text(const void *a, const void *b)
{
	const V1(ServiceResponse) *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static void list_services(struct arena *a, V1(ServerReflectionResponse) * r)
{
	V1(ListServiceResponse) *l = ARENA_NEW(a, V1(ListServiceResponse));
	size_t n = 0;

	grpc__reflection__v1__list_service_response__init(l);
	while (api_services[n].name)
		n++;
	l->service = arena_array(a, n, sizeof *l->service);
	for (; l->n_service < n; l->n_service++) {
		V1(ServiceResponse) *s = ARENA_NEW(a, V1(ServiceResponse));

		grpc__reflection__v1__service_response__init(s);
		s->name = (char *)api_services[l->n_service].name;
		l->service[l->n_service] = s;
	}
	qsort(l->service, n, sizeof *l->service, by_text);
	r->message_response_case = SAID(LIST_SERVICES_RESPONSE);
	r->list_services_response = l;
}

static void fail(struct arena *a, V1(ServerReflectionResponse) * r, enum err_code code,
		 const char *text)
{
	V1(ErrorResponse) *x = ARENA_NEW(a, V1(ErrorResponse));

	grpc__reflection__v1__error_response__init(x);
	x->error_code = (int32_t)code;
	x->error_message = (char *)text;
	r->message_response_case = SAID(ERROR_RESPONSE);
	r->error_response = x;
}

/* The file first, then what it imports and was not sent yet. */
static void add_files(struct arena *a, struct reflection *x, int first,
		      V1(FileDescriptorResponse) * d)
{
	int todo[DESCRIPTORS_MAX], imports[DESCRIPTORS_MAX];
	bool is_seen[DESCRIPTORS_MAX] = { false };
	size_t n = 0;

	d->file_descriptor_proto =
		arena_array(a, DESCRIPTORS_MAX, sizeof *d->file_descriptor_proto);
	todo[n++] = first;
	is_seen[first] = true;
	for (size_t at = 0; at < n; at++) {
		struct descriptor_file f = descriptors_file(todo[at]);
		size_t k = descriptors_imports(todo[at], imports);

		if (at == 0 || !x->is_sent[todo[at]])
			d->file_descriptor_proto[d->n_file_descriptor_proto++] =
				(ProtobufCBinaryData){ f.n, (uint8_t *)f.p };
		x->is_sent[todo[at]] = true;
		while (k--)
			if (!is_seen[imports[k]]) {
				is_seen[imports[k]] = true;
				todo[n++] = imports[k];
			}
	}
}

static void send_file(struct arena *a, struct reflection *x, int i, const char *what,
		      V1(ServerReflectionResponse) * r)
{
	if (i < 0 || i >= DESCRIPTORS_MAX) {
		fail(a, r, ERR_NOT_FOUND, what);
		return;
	}
	V1(FileDescriptorResponse) *d = ARENA_NEW(a, V1(FileDescriptorResponse));

	grpc__reflection__v1__file_descriptor_response__init(d);
	add_files(a, x, i, d);
	r->message_response_case = SAID(FILE_DESCRIPTOR_RESPONSE);
	r->file_descriptor_response = d;
}

/* Only the API's own field options are extensions, and no client may set them. */
static void list_extensions(struct arena *a, const char *type, V1(ServerReflectionResponse) * r)
{
	if (descriptors_by_symbol(type) < 0) {
		fail(a, r, ERR_NOT_FOUND, "proto: not found");
		return;
	}
	V1(ExtensionNumberResponse) *x = ARENA_NEW(a, V1(ExtensionNumberResponse));

	grpc__reflection__v1__extension_number_response__init(x);
	x->base_type_name = (char *)type;
	r->message_response_case = SAID(ALL_EXTENSION_NUMBERS_RESPONSE);
	r->all_extension_numbers_response = x;
}

static int answer(struct arena *a, struct reflection *x, const V1(ServerReflectionRequest) * q,
		  V1(ServerReflectionResponse) * r, struct err *e)
{
	switch (q->message_request_case) {
	case ASKED(FILE_BY_FILENAME):
		send_file(a, x, descriptors_by_name(q->file_by_filename), "proto: not found", r);
		break;
	case ASKED(FILE_CONTAINING_SYMBOL):
		send_file(a, x, descriptors_by_symbol(q->file_containing_symbol),
			  "proto: not found", r);
		break;
	case ASKED(FILE_CONTAINING_EXTENSION):
		fail(a, r, ERR_NOT_FOUND, "proto: not found");
		break;
	case ASKED(ALL_EXTENSION_NUMBERS_OF_TYPE):
		list_extensions(a, q->all_extension_numbers_of_type, r);
		break;
	case ASKED(LIST_SERVICES):
		list_services(a, r);
		break;
	default:
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid MessageRequest: %d",
			       (int)q->message_request_case);
	}
	return 0;
}

static int info(struct rpc_call *c, UNUSED const void *req, UNUSED void *rsp, struct err *e)
{
	struct reflection x = { 0 };
	const void *m;
	int more;

	while ((more = rpc_recv(c, &m, e)) > 0) {
		const V1(ServerReflectionRequest) *q = m;
		AUTO_ARENA struct arena *a = arena_new();
		V1(ServerReflectionResponse) r;

		grpc__reflection__v1__server_reflection_response__init(&r);
		r.valid_host = q->host;
		r.original_request = (V1(ServerReflectionRequest) *)q;
		if (answer(a, &x, q, &r, e) < 0 || rpc_send(c, &r, e) < 0)
			return -1;
	}
	return more;
}

const struct rpc_method reflection_methods[] = {
	RPC_BIDI_STREAM("ServerReflectionInfo", grpc__reflection__v1__server_reflection_request,
			grpc__reflection__v1__server_reflection_response, info),
	RPC_END,
};
