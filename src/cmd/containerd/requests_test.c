#include "base/test.h"
#include "cmd/containerd/requests.h"

#include "base/log.h"
#include "loop/loop.h"

static const struct rpc_method methods[] = {
	{ "Get", RPC_KIND_UNARY, NULL, NULL, NULL },
	{ "Watch", RPC_KIND_SERVER_STREAM, NULL, NULL, NULL },
	{ 0 },
};
static const struct rpc_service services[] = { { "a.B", methods }, { NULL, NULL } };

/* The transport's function; requests.c asks it for the namespace when it logs. */
static void end(const struct rpc_method *m, uint64_t took_ns, enum err_code code)
{
	struct rpc_call c = { .service = services, .method = m, .started = loop_now() - took_ns };
	struct err e = { .code = code };

	requests_started(&c);
	requests_ended(&c, code ? &e : NULL);
}

static void has(const char *text, const char *line)
{
	if (!strstr(text, line))
		FAIL_("no \"%s\" in:\n%s", line, text);
}

TEST(ends_are_counted_by_method_and_code)
{
	struct requests *r = requests_new(services, true);
	AUTO_STR struct str out = STR_INIT(1 << 18);

	log_setup(-1, LOG_TEXT, LOG_ERROR);
	requests_watch(r);
	end(&methods[0], 1000000, ERR_OK);
	end(&methods[0], 30000000, ERR_NOT_FOUND);
	end(&methods[1], 20000000000ull, ERR_CANCELLED);
	requests_print(r, &out);
	has(str_c(&out), "grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"Get\","
			 "grpc_service=\"a.B\",grpc_type=\"unary\"} 1\n");
	has(str_c(&out), "grpc_code=\"NotFound\",grpc_method=\"Get\",grpc_service=\"a.B\","
			 "grpc_type=\"unary\"} 1\n");
	has(str_c(&out), "grpc_code=\"Canceled\",grpc_method=\"Watch\",grpc_service=\"a.B\","
			 "grpc_type=\"server_stream\"} 1\n");
	has(str_c(&out), "grpc_server_started_total{grpc_method=\"Get\",grpc_service=\"a.B\","
			 "grpc_type=\"unary\"} 2\n");
	has(str_c(&out), "grpc_type=\"unary\",le=\"0.025\"} 1\n");
	has(str_c(&out), "grpc_type=\"unary\",le=\"0.05\"} 2\n");
	has(str_c(&out), "grpc_type=\"server_stream\",le=\"10\"} 0\n");
	has(str_c(&out), "grpc_type=\"server_stream\",le=\"+Inf\"} 1\n");
	requests_watch(NULL);
	requests_free(r);
}
