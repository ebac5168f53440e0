#include "base/jsonr.h"

#include <string.h>

static void position(const char *text, size_t at, unsigned *line, unsigned *column)
{
	*line = *column = 1;
	for (size_t i = 0; i < at; i++) {
		(*column)++;
		if (text[i] == '\n') {
			(*line)++;
			*column = 1;
		}
	}
}

int jsonr_parse(const char *text, size_t n, json_object **ret, struct err *e)
{
	if (n > INT32_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "JSON text is too long");

	json_tokener *t = json_tokener_new_ex(JSONR_DEPTH);
	unsigned line, column;

	if (!t)
		BUG("json_tokener_new_ex");
	json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	json_object *o = json_tokener_parse_ex(t, text, (int)n);
	enum json_tokener_error why = json_tokener_get_error(t);
	size_t end = json_tokener_get_parse_end(t);

	if (why == json_tokener_continue) { /* a bare number ends at the end of the text */
		o = json_tokener_parse_ex(t, "", 1);
		why = json_tokener_get_error(t);
		end = n;
	}
	json_tokener_free(t);
	if (why == json_tokener_continue || why == json_tokener_error_parse_eof)
		return err_set(e, ERR_INVALID_ARGUMENT, "unexpected end of JSON input");
	position(text, end < n ? end : n, &line, &column);
	if (why != json_tokener_success)
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid JSON at line %u, column %u: %s",
			       line, column, json_tokener_error_desc(why));
	for (size_t i = end; i < n; i++)
		if (!strchr(" \t\r\n", text[i]) || !text[i]) {
			json_object_put(o);
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "invalid JSON at line %u, column %u: text after the value",
				       line, column);
		}
	*ret = o;
	return 0;
}

static const char *type_name(enum json_type t)
{
	switch (t) {
	case json_type_boolean:
		return "a boolean";
	case json_type_double:
		return "a number with a fraction";
	case json_type_int:
		return "an integer";
	case json_type_object:
		return "an object";
	case json_type_array:
		return "an array";
	case json_type_string:
		return "a string";
	case json_type_null:
		break;
	}
	return "null";
}

/* 1 and the member, 0 when it is absent or null, -1 when it has another type. */
static int member(json_object *o, const char *key, enum json_type want, json_object **ret,
		  struct err *e)
{
	json_object *m;

	if (!json_object_is_type(o, json_type_object))
		return err_set(e, ERR_INVALID_ARGUMENT, "looking for \"%s\": not an object", key);
	if (!json_object_object_get_ex(o, key, &m) || !m)
		return 0;
	if (!json_object_is_type(m, want))
		return err_set(e, ERR_INVALID_ARGUMENT, "field \"%s\" is %s, must be %s", key,
			       type_name(json_object_get_type(m)), type_name(want));
	*ret = m;
	return 1;
}

int jsonr_string(json_object *o, const char *key, const char **ret, struct err *e)
{
	json_object *m;
	int r = member(o, key, json_type_string, &m, e);

	if (r <= 0)
		return r;
	if (strlen(json_object_get_string(m)) != (size_t)json_object_get_string_len(m))
		return err_set(e, ERR_INVALID_ARGUMENT, "field \"%s\" holds a NUL byte", key);
	*ret = json_object_get_string(m);
	return 0;
}

int jsonr_bool(json_object *o, const char *key, bool *ret, struct err *e)
{
	json_object *m;
	int r = member(o, key, json_type_boolean, &m, e);

	if (r > 0)
		*ret = json_object_get_boolean(m);
	return r < 0 ? -1 : 0;
}

int jsonr_i64(json_object *o, const char *key, int64_t *ret, struct err *e)
{
	json_object *m;
	int r = member(o, key, json_type_int, &m, e);

	if (r <= 0)
		return r;
	if (json_object_get_int64(m) == INT64_MAX && json_object_get_uint64(m) > INT64_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "field \"%s\" is too large", key);
	*ret = json_object_get_int64(m);
	return 0;
}

int jsonr_u64(json_object *o, const char *key, uint64_t *ret, struct err *e)
{
	json_object *m;
	int r = member(o, key, json_type_int, &m, e);

	if (r <= 0)
		return r;
	if (json_object_get_int64(m) < 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "field \"%s\" is negative", key);
	*ret = json_object_get_uint64(m);
	return 0;
}

int jsonr_object(json_object *o, const char *key, json_object **ret, struct err *e)
{
	return member(o, key, json_type_object, ret, e) < 0 ? -1 : 0;
}

int jsonr_array(json_object *o, const char *key, json_object **ret, struct err *e)
{
	return member(o, key, json_type_array, ret, e) < 0 ? -1 : 0;
}
