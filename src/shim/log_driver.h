/* The log of one process: what its two streams said, line by line, in the form that was asked for.
 *
 * CRI: "TIME stdout F the line", JSON: {"log":"the line\n","stream":"stdout","time":"…"}.  A line
 * longer than PLOG_LINE_MAX, or the end without a newline, makes partial records (tag P; no "\n" in
 * JSON). */
#pragma once

#include "shim/log_uri.h"

#include <stddef.h>

struct reaper;
struct plog;

enum { PLOG_STDOUT, PLOG_STDERR, PLOG_STREAMS };
enum { PLOG_LINE_MAX = 16 << 10 };

/* Takes what o owns. */
int plog_open(struct reaper *r, struct plog_options *o_take, struct plog **ret, struct err *e);

/* Never waits, never fails. */
void plog_write(struct plog *g, int stream, const char *bytes, size_t n);
/* What has come without a newline so far. */
void plog_flush(struct plog *g, int stream);

/* The fifo of a stream for those who attach, or NULL. */
const char *plog_fifo(const struct plog *g, int stream);

void plog_close(struct plog *g); /* NULL is fine */
