#include "cmd/containerd/otlp_span.h"

#include "base/err.h"
#include "base/mem.h"

#include "opentelemetry/proto/trace/v1/trace.pb-c.h"

#include <string.h>
#include <unistd.h>

#define OTEL(name) Opentelemetry__Proto__Trace__V1__##name
#define otel(name) opentelemetry__proto__trace__v1__##name

enum { ATTRIBUTES = 5, ERROR_MAX = 512, STATUS_ERROR = 2 };

struct span_note {
	struct trace_span span;
	enum trace_kind kind;
	const char *system; /* a literal */
	char *service, *method, *ns, *error;
	unsigned code;
	uint64_t end;
};

struct span_note *span_note_new(const struct trace_span *s, const struct trace_call *c)
{
	struct span_note *n = NEW(struct span_note);

	n->span = *s;
	n->kind = c->kind;
	n->system = c->system;
	n->service = xstrdup(c->service);
	n->method = xstrdup(c->method);
	n->ns = c->ns ? xstrndup(c->ns, 128) : NULL;
	n->error = c->error ? xstrndup(c->error, ERROR_MAX) : NULL;
	n->code = c->code;
	n->end = c->end;
	return n;
}

void span_note_free(struct span_note *n)
{
	free(n->service);
	free(n->method);
	free(n->ns);
	free(n->error);
	free(n);
}

static OTEL(KeyValue) *
	attribute(struct arena *a, const char *key, const char *text, int64_t number)
{
	OTEL(KeyValue) *kv = ARENA_NEW(a, OTEL(KeyValue));

	otel(key_value__init)(kv);
	kv->key = (char *)key;
	kv->value = ARENA_NEW(a, OTEL(AnyValue));
	otel(any_value__init)(kv->value);
	if (text) {
		kv->value->value_case =
			OPENTELEMETRY__PROTO__TRACE__V1__ANY_VALUE__VALUE_STRING_VALUE;
		kv->value->string_value = (char *)text;
	} else {
		kv->value->value_case = OPENTELEMETRY__PROTO__TRACE__V1__ANY_VALUE__VALUE_INT_VALUE;
		kv->value->int_value = number;
	}
	return kv;
}

/* As Go's instrumentation has it: on a server what the client did wrong is no error. */
static bool is_error(const struct span_note *n)
{
	switch (n->code) {
	case 0:
		return false;
	case ERR_UNKNOWN:
	case ERR_DEADLINE_EXCEEDED:
	case ERR_UNIMPLEMENTED:
	case ERR_INTERNAL:
	case ERR_UNAVAILABLE:
	case ERR_DATA_LOSS:
		return true;
	default:
		return n->kind == TRACE_CLIENT;
	}
}

static OTEL(Span) * span_of(struct arena *a, struct span_note *n)
{
	static const uint8_t none[8];
	OTEL(Span) *s = ARENA_NEW(a, OTEL(Span));
	const char *code_key = arena_printf(a, "rpc.%s.status_code", n->system);

	otel(span__init)(s);
	s->trace_id = (ProtobufCBinaryData){ sizeof n->span.id.trace, n->span.id.trace };
	s->span_id = (ProtobufCBinaryData){ sizeof n->span.id.span, n->span.id.span };
	if (memcmp(n->span.parent, none, sizeof none) != 0)
		s->parent_span_id = (ProtobufCBinaryData){ sizeof none, n->span.parent };
	s->name = arena_printf(a, "%s/%s", n->service, n->method);
	s->kind = (int32_t)n->kind;
	s->start_time_unix_nano = n->span.start;
	s->end_time_unix_nano = n->end;
	s->attributes = arena_array(a, ATTRIBUTES, sizeof *s->attributes);
	s->attributes[s->n_attributes++] = attribute(a, "rpc.system", n->system, 0);
	s->attributes[s->n_attributes++] = attribute(a, "rpc.service", n->service, 0);
	s->attributes[s->n_attributes++] = attribute(a, "rpc.method", n->method, 0);
	s->attributes[s->n_attributes++] = attribute(a, code_key, NULL, n->code);
	if (n->ns)
		s->attributes[s->n_attributes++] = attribute(a, "containerd.namespace", n->ns, 0);
	if (is_error(n)) {
		s->status = ARENA_NEW(a, OTEL(Status));
		otel(status__init)(s->status);
		s->status->code = STATUS_ERROR;
		s->status->message = n->error ?: (char *)"";
	}
	return s;
}

size_t spans_pack(struct span_note *const *v, size_t n, const char *service, uint8_t **ret)
{
	AUTO_ARENA struct arena *a = arena_new();
	OTEL(TracesData) data = OPENTELEMETRY__PROTO__TRACE__V1__TRACES_DATA__INIT;
	OTEL(ResourceSpans) resource_spans = OPENTELEMETRY__PROTO__TRACE__V1__RESOURCE_SPANS__INIT;
	OTEL(Resource) resource = OPENTELEMETRY__PROTO__TRACE__V1__RESOURCE__INIT;
	OTEL(ScopeSpans) scope_spans = OPENTELEMETRY__PROTO__TRACE__V1__SCOPE_SPANS__INIT;
	OTEL(InstrumentationScope)
	scope = OPENTELEMETRY__PROTO__TRACE__V1__INSTRUMENTATION_SCOPE__INIT;
	OTEL(ResourceSpans) * resources[] = { &resource_spans };
	OTEL(ScopeSpans) * scopes[] = { &scope_spans };
	OTEL(KeyValue) * attributes[] = { attribute(a, "service.name", service, 0),
					  attribute(a, "service.version", CASCO_VERSION, 0),
					  attribute(a, "process.pid", NULL, getpid()) };

	scope.name = (char *)"casco";
	scope.version = (char *)CASCO_VERSION;
	scope_spans.scope = &scope;
	scope_spans.spans = arena_array(a, n, sizeof *scope_spans.spans);
	for (size_t i = 0; i < n; i++)
		scope_spans.spans[scope_spans.n_spans++] = span_of(a, v[i]);
	resource.attributes = attributes;
	resource.n_attributes = ARRAY_LEN(attributes);
	resource_spans.resource = &resource;
	resource_spans.scope_spans = scopes;
	resource_spans.n_scope_spans = 1;
	data.resource_spans = resources;
	data.n_resource_spans = 1;
	size_t size = otel(traces_data__get_packed_size)(&data);

	*ret = xmalloc(size);
	return otel(traces_data__pack)(&data, *ret);
}
