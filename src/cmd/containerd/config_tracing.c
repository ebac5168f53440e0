/* Where traces go: config.toml's keys, and over them the variables of OpenTelemetry. */
#include "cmd/containerd/config_load.h"

#include "base/num.h"

#include <stdlib.h>
#include <string.h>

/* The first of these that is set and not empty. */
static const char *variable(const char *name, const char *otherwise_name, const char *otherwise)
{
	const char *v = getenv(name);

	if ((!v || !*v) && otherwise_name)
		v = getenv(otherwise_name);
	return v && *v ? v : otherwise;
}

static bool has_scheme(const char *url)
{
	return str_starts(url, "http://") || str_starts(url, "https://");
}

static int find_protocol(struct config *c, struct err *e)
{
	static const char *const names[] = { [OTLP_HTTP_PROTOBUF] = "http/protobuf",
					     [OTLP_HTTP_JSON] = "http/json",
					     [OTLP_GRPC] = "grpc" };
	const char *protocol = variable("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
					"OTEL_EXPORTER_OTLP_PROTOCOL", c->otlp_protocol);

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (!strcmp(protocol, names[i])) {
			c->tracing.protocol = (enum config_otlp)i;
			return 0;
		}
	return !*protocol ? 0
			  : err_set(e, ERR_UNIMPLEMENTED,
				    "traces go by protocol \"http/protobuf\", \"http/json\" or "
				    "\"grpc\", not \"%.40s\"",
				    protocol);
}

static const char *find_file(struct config *c, const char *what)
{
	AUTO_FREE char *own = xasprintf("OTEL_EXPORTER_OTLP_TRACES_%s", what);
	AUTO_FREE char *all = xasprintf("OTEL_EXPORTER_OTLP_%s", what);

	return arena_strdup(c->arena, variable(own, all, ""));
}

/* Endpoints of the configuration and the general variable are what comes before the path of
 * traces; the variable for traces is the whole. */
static const char *find_endpoint(struct config *c)
{
	const char *whole = variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", NULL, NULL);
	const char *base = variable("OTEL_EXPORTER_OTLP_ENDPOINT", NULL, c->otlp_endpoint);
	size_t n = strlen(base);

	if (whole || !n)
		return arena_strdup(c->arena, whole ?: "");
	while (n && base[n - 1] == '/')
		n--;
	return arena_printf(c->arena, "%s%.*s%s",
			    has_scheme(base)   ? ""
			    : c->otlp_insecure ? "http://"
					       : "https://",
			    (int)n, base, c->tracing.protocol == OTLP_GRPC ? "" : "/v1/traces");
}

static int find_ratio(struct config_tracing *t, struct err *e)
{
	const char *sampler = variable("OTEL_TRACES_SAMPLER", NULL, "");
	const char *arg = variable("OTEL_TRACES_SAMPLER_ARG", NULL, "1");
	char *end;

	if (str_ends(sampler, "always_off"))
		t->ratio = 0;
	else if (str_ends(sampler, "always_on"))
		t->ratio = 1;
	else if (str_ends(sampler, "traceidratio"))
		t->ratio = strtod(arg, &end);
	if (!(t->ratio >= 0 && t->ratio <= 1))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "the sampling ratio of traces must be from 0.0 to 1.0");
	return 0;
}

int config_tracing_finish(struct config *c, struct err *e)
{
	struct config_tracing *t = &c->tracing;
	uint64_t ms = 5000;

	if (!strcmp(variable("OTEL_SDK_DISABLED", NULL, ""), "true"))
		return 0;
	if (find_protocol(c, e) < 0)
		return -1;
	t->endpoint = find_endpoint(c);
	t->ca = find_file(c, "CERTIFICATE");
	t->certificate = find_file(c, "CLIENT_CERTIFICATE");
	t->key = find_file(c, "CLIENT_KEY");
	t->service = arena_strdup(c->arena, variable("OTEL_SERVICE_NAME", NULL, t->service));
	t->headers = arena_strdup(c->arena, variable("OTEL_EXPORTER_OTLP_TRACES_HEADERS",
						     "OTEL_EXPORTER_OTLP_HEADERS", ""));
	if (num_u64(variable("OTEL_BSP_SCHEDULE_DELAY", NULL, "5000"), &ms) < 0 || ms > 3600000)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "OTEL_BSP_SCHEDULE_DELAY must be a number of milliseconds");
	t->delay = ms * 1000000;
	if (find_ratio(t, e) < 0 || !*t->endpoint)
		return *t->endpoint ? -1 : e->code ? -1 : 0;
	return has_scheme(t->endpoint)
		       ? 0
		       : err_set(e, ERR_INVALID_ARGUMENT,
				 "the endpoint of traces \"%.200s\" is no URL", t->endpoint);
}
