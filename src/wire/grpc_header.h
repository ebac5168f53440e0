/* Values of gRPC's headers: grpc-timeout and grpc-message.  Pure text work. */
#pragma once

#include "base/str.h"

/* "250m": at most 8 digits and a unit of n u m S M H.  0 or -EINVAL. */
int grpc_timeout_parse(const char *s, uint64_t *ret_ns);

/* The largest unit that keeps it exact within 8 digits; rounded up beyond. */
enum { GRPC_TIMEOUT_TEXT = 16 };
void grpc_timeout_print(uint64_t ns, char ret[GRPC_TIMEOUT_TEXT]);

/* grpc-message is percent-encoded: printable ASCII but '%' stays. */
void grpc_percent_encode(struct str *out, const char *s);

/* Wrong escapes stay as they are. */
void grpc_percent_decode(struct str *out, const char *s, size_t n);
