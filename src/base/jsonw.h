/* JSON, written: quoting and a small writer that puts commas where they belong.
 * Reading is json-c's job (base/jsonr.h). */
#pragma once

#include "base/str.h"

/* s as a JSON string, quotes included.  Bytes that are no UTF-8 become U+FFFD; <, > and & stay. */
void jsonw_quote(struct str *out, const char *s);

/* Usage: jsonw_init(&w, &out); jsonw_object(&w); jsonw_key(&w, "id"); jsonw_string(&w, id); …
 * jsonw_end(&w).  Depth at most JSONW_DEPTH.  indent 0 writes one line. */
enum { JSONW_DEPTH = 64 };

struct jsonw {
	struct str *out;
	unsigned depth, indent;
	bool is_object[JSONW_DEPTH], has_items[JSONW_DEPTH], after_key;
};

void jsonw_init(struct jsonw *w, struct str *out, unsigned indent);
void jsonw_object(struct jsonw *w);
void jsonw_array(struct jsonw *w);
void jsonw_end(struct jsonw *w); /* of the innermost object or array */
void jsonw_key(struct jsonw *w, const char *key);
void jsonw_string(struct jsonw *w, const char *s); /* NULL writes null */
void jsonw_i64(struct jsonw *w, int64_t v);
void jsonw_u64(struct jsonw *w, uint64_t v);
void jsonw_bool(struct jsonw *w, bool v);
void jsonw_raw(struct jsonw *w, const char *json); /* a value that is JSON already */

/* key and value in one call */
void jsonw_kstring(struct jsonw *w, const char *key, const char *s);
void jsonw_ki64(struct jsonw *w, const char *key, int64_t v);
void jsonw_ku64(struct jsonw *w, const char *key, uint64_t v);
void jsonw_kbool(struct jsonw *w, const char *key, bool v);
