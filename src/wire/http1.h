/* The head of one HTTP/1.1 request, as a server that is about to leave HTTP reads it.
 *
 * Strict: what two readers could understand differently (white space before a colon, folded lines,
 * a length and a transfer encoding, a body) is refused.  Pure. */
#pragma once

#include "base/macros.h"

#include <stdbool.h>

enum { HTTP1_HEAD = 16 << 10, HTTP1_FIELDS = 64 };

struct http1_request {
	const char *method, *target; /* everything points into the bytes that were parsed */
	struct {
		const char *name, *value;
	} fields[HTTP1_FIELDS];
	size_t n_fields;
};

/* The length of the head, whose bytes are changed: words end in NUL then.  0: it is not whole yet.
 * Less than 0: minus the status to refuse it with. */
int http1_parse(char *bytes, size_t n, struct http1_request *ret);

/* The value of the field that comes n-th by this name (any case), or NULL. */
const char *http1_field(const struct http1_request *r, const char *name, size_t n);
/* Is word (any case) one of the list of any field by this name? */
bool http1_has_word(const struct http1_request *r, const char *name, const char *word);
