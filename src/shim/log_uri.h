/* The log driver's address, as a request's stdout and stderr name it:
 *
 *	casco-log:///var/lib/…/DIR?format=cri&max-size=20m&max-file=5&compress=false

 * or, where somebody else rotates it (FILE may be empty: there is none, only attaching),
 *
 *	casco-log:///var/log/pods/…?format=cri&file=0.log&max-line=16384
 *
 * and, for those who want to attach as well, attach-stdout=/FIFO&attach-stderr=/FIFO. */
#pragma once

#include "base/err.h"

#include <stdbool.h>

#define PLOG_SCHEME "casco-log://"

enum plog_format { PLOG_FORMAT_CRI, PLOG_FORMAT_JSON };

struct plog_options {
	char *dir; /* absolute */
	char *below; /* where in it: no links there, others may write to it; NULL: itself */
	char *file; /* in dir, never rotated here; "": none; NULL: ours, LOG_FILE_NAME */
	uint32_t max_line; /* bytes of one record */
	enum plog_format format;
	uint64_t max_size; /* of one file, bytes */
	uint32_t max_files; /* with the one being written */
	bool compress; /* what was rotated, with gzip */
	char *fifo[2]; /* of stdout and stderr; NULL: none */
};

/* ERR_INVALID_ARGUMENT for anything that is not understood: a log that is not kept as asked is
 * found out too late. */
int plog_options_parse(const char *uri, struct plog_options *ret, struct err *e);
void plog_options_done(struct plog_options *o);

/* Percent-decoded; '+' is a space in queries.  The caller frees it. */
char *uri_unescape(const char *s, size_t n, bool is_query);
