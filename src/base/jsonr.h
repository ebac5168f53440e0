/* JSON, read: json-c behind strict rules (whole text, UTF-8 checked, depth and size bounded,
 * 64-bit integers exact).  Type errors name the field. */
#pragma once

#include "base/err.h"

#include <json-c/json.h>
#include <stdbool.h>

enum { JSONR_DEPTH = 48 };

static inline void jsonr_putp(json_object **o)
{
	json_object_put(*o);
}
#define AUTO_JSON CLEANUP(jsonr_putp)

/* One JSON value and nothing but white space behind it.  ERR_INVALID_ARGUMENT with line and
 * column otherwise.  The caller owns *ret. */
int jsonr_parse(const char *text, size_t n, json_object **ret, struct err *e);

/* Members of an object.  An absent or null member gives 0 and leaves *ret as it is; a wrong type
 * is ERR_INVALID_ARGUMENT `field "x" is a string, must be an array`.  Strings and objects are
 * borrowed from o. */
int jsonr_string(json_object *o, const char *key, const char **ret, struct err *e);
int jsonr_bool(json_object *o, const char *key, bool *ret, struct err *e);
int jsonr_i64(json_object *o, const char *key, int64_t *ret, struct err *e);
int jsonr_u64(json_object *o, const char *key, uint64_t *ret, struct err *e);
int jsonr_object(json_object *o, const char *key, json_object **ret, struct err *e);
int jsonr_array(json_object *o, const char *key, json_object **ret, struct err *e);
