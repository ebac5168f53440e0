#include "base/toml.h"

#include "base/toml_lex.h"

#include <string.h>

/* How a table came to be, which decides who may add to it.  Kept as the object's user data. */
enum made { MADE_IMPLICIT, MADE_HEADER, MADE_DOTTED, MADE_INLINE };
static const enum made marks[] = { MADE_IMPLICIT, MADE_HEADER, MADE_DOTTED, MADE_INLINE };

static void mark(json_object *o, enum made m)
{
	json_object_set_userdata(o, (void *)&marks[m], NULL);
}

static enum made made(json_object *o)
{
	const enum made *m = json_object_get_userdata(o);

	return m ? *m : MADE_IMPLICIT;
}

static int value(struct toml *t, json_object **ret);

static bool is_bare(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-';
}

/* One part of a key. */
static int key_part(struct toml *t, struct str *out)
{
	str_reset(out);
	if (toml_peek(t) == '"' || toml_peek(t) == '\'')
		return toml_string(t, false, out);
	while (is_bare(toml_peek(t)))
		str_addc(out, *t->p++);
	return out->len ? 0 : toml_fail(t, "a key is missing");
}

static json_object *new_table(json_object *parent, const char *key, enum made m)
{
	json_object *o = json_object_new_object();

	mark(o, m);
	json_object_object_add(parent, key, o);
	return o;
}

/* One step on the way to where a header or a dotted key leads. */
static int descend(struct toml *t, json_object **at, const char *key, enum made m)
{
	json_object *o = NULL;

	if (!json_object_object_get_ex(*at, key, &o)) {
		*at = new_table(*at, key, m);
		return 0;
	}
	if (json_object_is_type(o, json_type_array) && m == MADE_IMPLICIT) {
		size_t n = json_object_array_length(o);

		o = n ? json_object_array_get_idx(o, n - 1) : NULL;
		if (!json_object_get_userdata(o)) /* an array that was written as a value */
			return toml_fail(t, "a table below something that is a value");
	}
	if (!json_object_is_type(o, json_type_object) || made(o) == MADE_INLINE)
		return toml_fail(t, "a table below something that is a value");
	if (m == MADE_DOTTED && made(o) == MADE_HEADER)
		return toml_fail(t, "a dotted key adds to a table defined before");
	*at = o;
	return 0;
}

/* Reads a dotted key: *at becomes the table of the last part, which is left in last. */
static int key_path(struct toml *t, json_object **at, enum made m, struct str *last)
{
	unsigned depth = 0;

	for (;;) {
		if (key_part(t, last) < 0)
			return -1;
		toml_blank(t);
		if (!toml_take(t, "."))
			return 0;
		if (++depth > TOML_DEPTH)
			return toml_fail(t, "tables are nested too deeply");
		toml_blank(t);
		if (descend(t, at, str_c(last), m) < 0)
			return -1;
	}
}

static int key_value(struct toml *t, json_object *table)
{
	struct str key AUTO_STR = STR_INIT(TOML_MAX);
	json_object *v = NULL;

	if (key_path(t, &table, MADE_DOTTED, &key) < 0)
		return -1;
	if (!toml_take(t, "="))
		return toml_fail(t, "\"=\" is missing behind a key");
	toml_blank(t);
	if (value(t, &v) < 0)
		return -1;
	if (json_object_object_get_ex(table, str_c(&key), NULL)) {
		json_object_put(v);
		return toml_fail(t, "a key that is there already");
	}
	json_object_object_add(table, str_c(&key), v);
	return 0;
}

static int array(struct toml *t, json_object *list)
{
	for (;;) {
		json_object *v = NULL;

		if (toml_lines(t) < 0)
			return -1;
		if (toml_take(t, "]"))
			return 0;
		if (value(t, &v) < 0)
			return -1;
		json_object_array_add(list, v);
		if (toml_lines(t) < 0)
			return -1;
		if (!toml_take(t, ",") && toml_peek(t) != ']')
			return toml_fail(t, "\",\" or \"]\" is missing in an array");
	}
}

/* Also what dotted keys made inside is closed with it. */
static void close_tables(json_object *o)
{
	mark(o, MADE_INLINE);
	json_object_object_foreach(o, key, v)
	{
		(void)key;
		if (json_object_is_type(v, json_type_object) && made(v) != MADE_INLINE)
			close_tables(v);
	}
}

static int inline_table(struct toml *t, json_object *o)
{
	toml_blank(t);
	if (!toml_take(t, "}"))
		for (;;) {
			toml_blank(t);
			if (key_value(t, o) < 0)
				return -1;
			toml_blank(t);
			if (toml_take(t, "}"))
				break;
			if (!toml_take(t, ","))
				return toml_fail(t, "\",\" or \"}\" is missing in a table");
		}
	close_tables(o);
	return 0;
}

static int value(struct toml *t, json_object **ret)
{
	json_object *o AUTO_JSON = NULL;
	int r;

	if (toml_peek(t) == '"' || toml_peek(t) == '\'') {
		struct str s AUTO_STR = STR_INIT(TOML_MAX);

		if (toml_string(t, true, &s) < 0)
			return -1;
		*ret = json_object_new_string_len(str_c(&s), (int)s.len);
		return 0;
	}
	if (toml_peek(t) != '[' && toml_peek(t) != '{')
		return toml_scalar(t, ret);
	if (t->depth == TOML_DEPTH)
		return toml_fail(t, "values are nested too deeply");
	t->depth++;
	if (toml_take(t, "[")) {
		o = json_object_new_array();
		r = array(t, o);
	} else {
		t->p++;
		o = json_object_new_object();
		r = inline_table(t, o);
	}
	t->depth--;
	if (r == 0)
		*ret = TAKE_PTR(o);
	return r;
}

/* [a.b] */
static int header(struct toml *t, json_object *root, json_object **ret)
{
	struct str key AUTO_STR = STR_INIT(TOML_MAX);
	json_object *at = root, *o = NULL;

	toml_blank(t);
	if (key_path(t, &at, MADE_IMPLICIT, &key) < 0)
		return -1;
	if (!json_object_object_get_ex(at, str_c(&key), &o)) {
		*ret = new_table(at, str_c(&key), MADE_HEADER);
		return 0;
	}
	if (!json_object_is_type(o, json_type_object) || made(o) != MADE_IMPLICIT)
		return toml_fail(t, "a table that is there already");
	mark(o, MADE_HEADER);
	*ret = o;
	return 0;
}

/* [[a.b]] */
static int array_header(struct toml *t, json_object *root, json_object **ret)
{
	struct str key AUTO_STR = STR_INIT(TOML_MAX);
	json_object *at = root, *list = NULL;

	toml_blank(t);
	if (key_path(t, &at, MADE_IMPLICIT, &key) < 0)
		return -1;
	if (!json_object_object_get_ex(at, str_c(&key), &list)) {
		list = json_object_new_array();
		mark(list, MADE_HEADER);
		json_object_object_add(at, str_c(&key), list);
	}
	if (!json_object_is_type(list, json_type_array) || made(list) != MADE_HEADER)
		return toml_fail(t, "an array of tables where a value is");
	*ret = json_object_new_object();
	mark(*ret, MADE_HEADER);
	json_object_array_add(list, *ret);
	return 0;
}

static int document(struct toml *t, json_object *root)
{
	json_object *table = root;

	for (;;) {
		if (toml_lines(t) < 0)
			return -1;
		if (t->p == t->end)
			return 0;
		if (toml_take(t, "[[")) {
			if (array_header(t, root, &table) < 0)
				return -1;
			if (!toml_take(t, "]]"))
				return toml_fail(t, "\"]]\" is missing");
		} else if (toml_take(t, "[")) {
			if (header(t, root, &table) < 0)
				return -1;
			if (!toml_take(t, "]"))
				return toml_fail(t, "\"]\" is missing");
		} else if (key_value(t, table) < 0) {
			return -1;
		}
		if (toml_line_end(t) < 0)
			return -1;
	}
}

/* Shortest forms only, no surrogates, nothing beyond U+10FFFF. */
static size_t utf8_len(const unsigned char *p, size_t n)
{
	if (p[0] < 0x80)
		return 1;
	if (n >= 2 && p[0] >= 0xc2 && p[0] <= 0xdf && (p[1] & 0xc0) == 0x80)
		return 2;
	if (n >= 3 && (p[0] & 0xf0) == 0xe0 && (p[1] & 0xc0) == 0x80 && (p[2] & 0xc0) == 0x80 &&
	    !(p[0] == 0xe0 && p[1] < 0xa0) && !(p[0] == 0xed && p[1] > 0x9f))
		return 3;
	if (n >= 4 && p[0] >= 0xf0 && p[0] <= 0xf4 && (p[1] & 0xc0) == 0x80 &&
	    (p[2] & 0xc0) == 0x80 && (p[3] & 0xc0) == 0x80 && !(p[0] == 0xf0 && p[1] < 0x90) &&
	    !(p[0] == 0xf4 && p[1] > 0x8f))
		return 4;
	return 0;
}

int toml_parse(const char *text, size_t n, json_object **ret, struct err *e)
{
	struct toml t = { .p = text, .end = text + n, .line = 1, .e = e };
	json_object *root AUTO_JSON = NULL;

	if (n > TOML_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "the text is longer than 4 MiB");
	for (size_t i = 0; i < n;) {
		size_t len = utf8_len((const unsigned char *)text + i, n - i);

		if (!len || !text[i])
			return err_set(e, ERR_INVALID_ARGUMENT, "the text is not UTF-8");
		i += len;
	}
	(void)toml_take(&t, "\xef\xbb\xbf"); /* a byte order mark says nothing */
	root = json_object_new_object();
	mark(root, MADE_HEADER);
	if (document(&t, root) < 0)
		return -1;
	*ret = TAKE_PTR(root);
	return 0;
}
