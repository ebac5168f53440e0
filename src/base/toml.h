/* TOML 1.0, read: config.toml and hosts.toml.
 *
 * The result is a JSON tree, so that base/jsonr.h (and whatever decodes JSON) reads both: tables
 * are objects in the order of the text, arrays of tables are arrays of objects, dates and times are
 * strings.  Strict: a key defined twice, a table opened twice, bad escapes, control characters,
 * text that is no UTF-8 and nesting beyond TOML_DEPTH are errors. */
#pragma once

#include "base/jsonr.h"

enum { TOML_DEPTH = 32, TOML_MAX = 4 << 20 };

/* ERR_INVALID_ARGUMENT `line N: REASON`.  The caller owns *ret (AUTO_JSON). */
int toml_parse(const char *text, size_t n, json_object **ret, struct err *e);
