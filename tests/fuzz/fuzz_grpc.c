/* The daemon's gRPC connection: HTTP/2 frames from an unknown client. The first byte of the input
 * says how the rest is cut; preface and SETTINGS are put before it, so that inputs begin where it
 * gets interesting. */
#include "wire/grpc_conn.h"

#include "containerd/services/content/v1/content.pb-c.h"
#include "containerd/services/version/v1/version.pb-c.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { MAX_JOBS = 100000 };

struct bench {
	struct grpc_env env;
	struct {
		void (*fn)(void *);
		void *arg;
	} jobs[MAX_JOBS];
	size_t first, n;
};

static void enqueue(struct grpc_env *env, void (*fn)(void *), void *arg)
{
	struct bench *b = (struct bench *)env;

	if (b->n == MAX_JOBS)
		__builtin_trap(); /* work without a bound */
	b->jobs[b->n].fn = fn;
	b->jobs[b->n++].arg = arg;
}

static void ignore_wake(UNUSED struct grpc_conn *c)
{
}

static void ignore_gone(UNUSED struct grpc_env *env)
{
}

static int do_unary(struct rpc_call *c, const void *req, UNUSED void *rsp, UNUSED struct err *e)
{
	if (!req)
		__builtin_trap();
	(void)rpc_meta(c, "containerd-namespace");
	return 0;
}

/* Answers what is there, then ends: blocking is not for a single thread. */
static int do_bidi(struct rpc_call *c, UNUSED const void *req, UNUSED void *rsp, struct err *e)
{
	Containerd__Services__Content__V1__WriteContentResponse out;
	const void *m;
	int r;

	containerd__services__content__v1__write_content_response__init(&out);
	while ((r = rpc_try_recv(c, &m, e)) == 1)
		if (rpc_try_send(c, &out, e) < 0)
			return -1;
	return r < 0 ? -1 : 0;
}

static const struct rpc_method methods[] = {
	RPC_UNARY("U", containerd__services__content__v1__info_request,
		  containerd__services__version__v1__version_response, do_unary),
	RPC_BIDI_STREAM("B", containerd__services__content__v1__write_content_request,
			containerd__services__content__v1__write_content_response, do_bidi),
	RPC_END,
};
static const struct rpc_service services[] = { { "s", methods }, { NULL, NULL } };

static void drain(struct bench *b, struct grpc_conn *c)
{
	static uint8_t frames[1 + GRPC_FRAME_MAX];

	while (b->first < b->n) {
		b->jobs[b->first].fn(b->jobs[b->first].arg);
		b->first++;
	}
	b->first = b->n = 0;
	while (grpc_conn_output(c, frames, 1) > 0)
		;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
	static struct bench b;

	if (!n)
		return 0;
	b.env = (struct grpc_env){ .run = enqueue,
				   .post = enqueue,
				   .wake = ignore_wake,
				   .call_gone = ignore_gone,
				   .services = services };

	struct grpc_conn *c = grpc_conn_new(&b.env, NULL);
	size_t step = data[0] ? data[0] : 4096;
	(void)grpc_conn_input(c, (const uint8_t *)preface, sizeof preface);
	for (size_t at = 1; at < n; at += step) {
		(void)grpc_conn_input(c, data + at, n - at < step ? n - at : step);
		drain(&b, c);
		if (c->buffered > GRPC_MAX_BUFFERED + 16384)
			__builtin_trap();
	}
	grpc_conn_expire(c, UINT64_MAX);
	grpc_conn_free(c);
	for (; b.first < b.n; b.first++)
		b.jobs[b.first].fn(b.jobs[b.first].arg);
	b.first = b.n = 0;
	if (b.env.calls)
		__builtin_trap(); /* a call leaked */
	return 0;
}
