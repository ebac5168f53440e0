/* A layer's decompression on a thread of its own, a few buffers ahead of whoever reads it: while
 * one processor writes files, the other inflates. */
#pragma once

#include "image/inflate.h"

struct stage;

/* z is borrowed, and nobody else's until stage_end().  Where no thread is to be had, or the layer
 * is too small to be worth one, stage_read() inflates by itself. */
struct stage *stage_start(struct inflate *z, uint64_t packed_size);

/* The next piece, borrowed until the next call; 0 at the end. */
ssize_t stage_read(struct stage *s, const void **ret, struct err *e);

/* Ends the thread, wherever it is; a source that blocks has to have been told before. */
void stage_end(struct stage *s);
