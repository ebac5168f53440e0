/* The uncompressed bytes of a layer, pulled: gzip (ISA-L), zstd or plain, from a descriptor.
 *
 * Memory is bounded: zstd windows over 128 MiB are refused.  Input that ends early, has a wrong
 * checksum or goes on behind its end is an error, never a short layer. */
#pragma once

#include "base/err.h"

#include <sys/types.h>

enum inflate_kind { INFLATE_PLAIN, INFLATE_GZIP, INFLATE_ZSTD, INFLATE_GUESS };

/* The compression that an OCI or Docker layer media type names; INFLATE_GUESS for "" (the first
 * bytes say).  ERR_UNIMPLEMENTED for other types. */
int inflate_kind_of(const char *media_type, enum inflate_kind *ret, struct err *e);

struct inflate;

/* More compressed bytes, at most n; 0 at their end. May block. */
typedef ssize_t inflate_source_fn(void *arg, void *buf, size_t n, struct err *e);

/* fd is borrowed. */
struct inflate *inflate_new(int fd, enum inflate_kind kind);
struct inflate *inflate_new_from(inflate_source_fn *source, void *arg, enum inflate_kind kind);
void inflate_free(struct inflate *z);

/* Up to n bytes; 0 at the end of a whole stream. */
ssize_t inflate_read(struct inflate *z, void *buf, size_t n, struct err *e);
