/* Inside of the gRPC client: grpc_client.c waits and transfers bytes, grpc_client_h2.c is the
 * HTTP/2 session. */
#pragma once

#include "wire/grpc_client.h"
#include "wire/grpc_message.h"

#include <nghttp2/nghttp2.h>

enum { GRPC_CLIENT_WINDOW = 256 * 1024, GRPC_CLIENT_MAX = 16 * 1024 * 1024 };
enum { GRPC_CLIENT_ENOUGH = 16 * 1024 }; /* bytes for one send */

struct grpc_header {
	char *key, *value;
};

struct grpc_out {
	struct grpc_out *next;
	uint8_t *data;
	size_t len, at;
};

struct grpc_stream {
	struct grpc_client *client;
	struct grpc_stream *next, *prev; /* in client->streams */
	int32_t id; /* 0 once HTTP/2 is done with it */
	const ProtobufCMessageDescriptor *rsp_type;
	uint64_t deadline;
	char *path; /* and */
	uint64_t began; /* for the trace; or NULL */
	bool has_headers, is_closed; /* closed: status is final */
	struct err status;
	bool has_status; /* grpc-status came */
	unsigned code; /* of grpc-status */
	unsigned http; /* :status */
	char *message; /* grpc-message, decoded */

	struct grpc_reader reader;
	struct grpc_msg *in, **in_tail;
	size_t in_bytes, held; /* held: of the window, not yet given back */

	struct grpc_out *out, **out_tail;
	size_t out_pending;
	bool out_closed, is_deferred;
};

struct grpc_client {
	int fd;
	nghttp2_session *ng;
	struct grpc_stream *streams;
	struct grpc_header *meta;
	size_t n_meta, cap_meta;
	size_t out_at, out_len; /* of out, what is being sent */
	struct err lost; /* filled once the connection is gone */
	struct str *trace; /* NULL: nobody wants it */
	const char *trace_who;
	uint8_t out[GRPC_CLIENT_ENOUGH + 9 + 16384]; /* and one frame */
};

void grpc_client_session(struct grpc_client *c);
struct grpc_stream *grpc_client_submit(struct grpc_client *c, const char *path,
				       const ProtobufCMessageDescriptor *rsp_type,
				       const struct grpc_options *opt); /* NULL: going away */
void grpc_client_queue(struct grpc_stream *s, uint8_t *data_take, size_t n); /* NULL: half-close */
void grpc_client_consume(struct grpc_stream *s);
