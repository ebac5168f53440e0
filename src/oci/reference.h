/* Image references: DOMAIN/PATH[:TAG][@DIGEST], by the grammar the distribution project publishes.
 *
 * Short names are read as docker's users write them: "alpine" is docker.io/library/alpine,
 * "me/app" is docker.io/me/app; a first component with "." or ":" in it, with an upper-case letter,
 * or "localhost", is a domain. */
#pragma once

#include "base/err.h"

struct reference {
	char *domain; /* "docker.io", "localhost:5000", "[::1]:5000" */
	char *path; /* "library/alpine" */
	char *tag; /* NULL when absent */
	char *digest; /* NULL when absent; checked by digest_is_valid() */
};

enum { REFERENCE_NAME_MAX = 255, REFERENCE_TAG_MAX = 128 };

/* ERR_INVALID_ARGUMENT: `invalid reference "X": REASON`.  *ret is the caller's to end with
 * reference_done(), also when the parse failed. */
int reference_parse(const char *s, struct reference *ret, struct err *e);
void reference_done(struct reference *r);
#define AUTO_REFERENCE CLEANUP(reference_done)

/* Gives a reference without tag and digest the tag "latest". */
void reference_add_default_tag(struct reference *r);

/* The whole of it, written out; the caller frees. */
char *reference_text(const struct reference *r);

/* Both steps: "alpine" becomes "docker.io/library/alpine:latest".  The caller frees *ret. */
int reference_normalize(const char *s, char **ret, struct err *e);
