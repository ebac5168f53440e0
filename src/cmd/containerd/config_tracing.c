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

static int check_protocol(struct config_tracing *t, const char *protocol, struct err *e)
{
	if (*protocol && strcmp(protocol, "http/protobuf") != 0 && !t->is_grpc)
		return err_set(e, ERR_UNIMPLEMENTED,
			       "traces go by protocol \"http/protobuf\" or \"grpc\", not \"%.40s\"",
			       protocol);
	if (t->is_grpc && !str_starts(t->endpoint, "http://"))
		return err_set(e, ERR_UNIMPLEMENTED,
			       "traces go by protocol \"grpc\" without TLS only: the endpoint "
			       "\"%.200s\" needs insecure = true, or http://",
			       t->endpoint);
	return 0;
}

/* Endpoints of the configuration and the general variable are what comes before the path of
 * traces; the variable for traces is the whole. */
static const char *find_endpoint(struct config *c, bool is_grpc)
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
			    (int)n, base, is_grpc ? "" : "/v1/traces");
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
	const char *protocol = variable("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
					"OTEL_EXPORTER_OTLP_PROTOCOL", c->otlp_protocol);
	uint64_t ms = 5000;

	if (!strcmp(variable("OTEL_SDK_DISABLED", NULL, ""), "true"))
		return 0;
	t->is_grpc = !strcmp(protocol, "grpc");
	t->endpoint = find_endpoint(c, t->is_grpc);
	t->service = arena_strdup(c->arena, variable("OTEL_SERVICE_NAME", NULL, t->service));
	t->headers = arena_strdup(c->arena, variable("OTEL_EXPORTER_OTLP_TRACES_HEADERS",
						     "OTEL_EXPORTER_OTLP_HEADERS", ""));
	if (num_u64(variable("OTEL_BSP_SCHEDULE_DELAY", NULL, "5000"), &ms) < 0 || ms > 3600000)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "OTEL_BSP_SCHEDULE_DELAY must be a number of milliseconds");
	t->delay = ms * 1000000;
	if (find_ratio(t, e) < 0 || !*t->endpoint)
		return *t->endpoint ? -1 : e->code ? -1 : 0;
	if (!has_scheme(t->endpoint))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "the endpoint of traces \"%.200s\" is no URL", t->endpoint);
	return check_protocol(t, protocol, e);
}
