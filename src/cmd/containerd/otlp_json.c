#include "cmd/containerd/otlp_json.h"

#include "base/jsonw.h"

#include "opentelemetry/proto/trace/v1/trace.pb-c.h"

#include <inttypes.h>
#include <stdio.h>

#define OTEL(name) Opentelemetry__Proto__Trace__V1__##name

static void put_id(struct jsonw *w, const char *key, const ProtobufCBinaryData *id)
{
	char text[2 * 16 + 1] = "";

	if (!id->len)
		return;
	for (size_t i = 0; i < id->len && i < 16; i++)
		snprintf(text + 2 * i, 3, "%02x", id->data[i]);
	jsonw_kstring(w, key, text);
}

/* 64 bits are text in JSON. */
static void put_u64(struct jsonw *w, const char *key, uint64_t v)
{
	char text[24];

	snprintf(text, sizeof text, "%" PRIu64, v);
	jsonw_kstring(w, key, text);
}

static void put_attributes(struct jsonw *w, OTEL(KeyValue) * *v, size_t n)
{
	char number[24];

	jsonw_key(w, "attributes");
	jsonw_array(w);
	for (size_t i = 0; i < n; i++) {
		const OTEL(AnyValue) *value = v[i]->value;

		jsonw_object(w);
		jsonw_kstring(w, "key", v[i]->key);
		jsonw_key(w, "value");
		jsonw_object(w);
		if (value->value_case ==
		    OPENTELEMETRY__PROTO__TRACE__V1__ANY_VALUE__VALUE_STRING_VALUE) {
			jsonw_kstring(w, "stringValue", value->string_value);
		} else {
			snprintf(number, sizeof number, "%" PRId64, value->int_value);
			jsonw_kstring(w, "intValue", number);
		}
		jsonw_end(w);
		jsonw_end(w);
	}
	jsonw_end(w);
}

static void put_span(struct jsonw *w, const OTEL(Span) * s)
{
	jsonw_object(w);
	put_id(w, "traceId", &s->trace_id);
	put_id(w, "spanId", &s->span_id);
	put_id(w, "parentSpanId", &s->parent_span_id);
	jsonw_kstring(w, "name", s->name);
	jsonw_ki64(w, "kind", s->kind);
	put_u64(w, "startTimeUnixNano", s->start_time_unix_nano);
	put_u64(w, "endTimeUnixNano", s->end_time_unix_nano);
	put_attributes(w, s->attributes, s->n_attributes);
	if (s->status) {
		jsonw_key(w, "status");
		jsonw_object(w);
		jsonw_ki64(w, "code", s->status->code);
		jsonw_kstring(w, "message", s->status->message);
		jsonw_end(w);
	}
	jsonw_end(w);
}

static void put_scope(struct jsonw *w, const OTEL(ScopeSpans) * scope)
{
	jsonw_object(w);
	jsonw_key(w, "scope");
	jsonw_object(w);
	jsonw_kstring(w, "name", scope->scope->name);
	jsonw_kstring(w, "version", scope->scope->version);
	jsonw_end(w);
	jsonw_key(w, "spans");
	jsonw_array(w);
	for (size_t i = 0; i < scope->n_spans; i++)
		put_span(w, scope->spans[i]);
	jsonw_end(w);
	jsonw_end(w);
}

static void put_resource(struct jsonw *w, const OTEL(ResourceSpans) * r)
{
	jsonw_object(w);
	jsonw_key(w, "resource");
	jsonw_object(w);
	put_attributes(w, r->resource->attributes, r->resource->n_attributes);
	jsonw_end(w);
	jsonw_key(w, "scopeSpans");
	jsonw_array(w);
	for (size_t i = 0; i < r->n_scope_spans; i++)
		put_scope(w, r->scope_spans[i]);
	jsonw_end(w);
	jsonw_end(w);
}

void otlp_json(const void *spans, size_t n, struct str *out)
{
	OTEL(TracesData) *m = opentelemetry__proto__trace__v1__traces_data__unpack(NULL, n, spans);
	struct jsonw w;

	if (!m)
		BUG("spans are packed wrongly");
	jsonw_init(&w, out, 0);
	jsonw_object(&w);
	jsonw_key(&w, "resourceSpans");
	jsonw_array(&w);
	for (size_t i = 0; i < m->n_resource_spans; i++)
		put_resource(&w, m->resource_spans[i]);
	jsonw_end(&w);
	jsonw_end(&w);
	opentelemetry__proto__trace__v1__traces_data__free_unpacked(m, NULL);
}
