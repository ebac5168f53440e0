/* Bytes into a file, compressed on the way: gzip (ISA-L), zstd or plain; the other side of
 * inflate.h.
 *
 * The same bytes give the same output: no time, no name, one thread. */
#pragma once

#include "base/err.h"
#include "image/inflate.h"

#include <stddef.h>
#include <stdint.h>

struct deflate;

/* fd is borrowed; kind is not INFLATE_GUESS. */
struct deflate *deflate_new(int fd, enum inflate_kind kind);
void deflate_free(struct deflate *z);

int deflate_write(struct deflate *z, const void *p, size_t n, struct err *e);
/* The stream's end; *ret_size is what was written to the file. */
int deflate_end(struct deflate *z, uint64_t *ret_size, struct err *e);
