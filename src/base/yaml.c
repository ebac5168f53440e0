#include "base/yaml.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct build {
	yaml_document_t doc;
	size_t n; /* nodes made so far: an alias makes those of its anchor again */
	struct err *e;
};

static int fail(struct build *b, const yaml_node_t *at, const char *why, const char *what)
{
	return err_set(b->e, ERR_INVALID_ARGUMENT, "yaml: line %zu: %s%.100s",
		       at->start_mark.line + 1, why, what);
}

/* --- what libyaml must not see --- */

/* What it has read so far, and how much of it there may be. */
struct glance {
	unsigned depth;
	size_t nodes, anchors;
};

static const char *look_at(const yaml_event_t *ev, struct glance *g)
{
	bool is_list = ev->type == YAML_SEQUENCE_START_EVENT;
	bool is_container = is_list || ev->type == YAML_MAPPING_START_EVENT;
	bool is_scalar = ev->type == YAML_SCALAR_EVENT;

	if (ev->type == YAML_SEQUENCE_END_EVENT || ev->type == YAML_MAPPING_END_EVENT)
		g->depth--;
	if (!is_container && !is_scalar && ev->type != YAML_ALIAS_EVENT)
		return NULL;
	g->nodes++;
	g->anchors += (is_scalar && ev->data.scalar.anchor) ||
		      (is_container &&
		       (is_list ? ev->data.sequence_start.anchor : ev->data.mapping_start.anchor));
	if (g->depth > YAML_DEPTH)
		return "nested too deeply";
	g->depth += is_container;
	return g->nodes > YAML_NODES       ? "too many values"
	       : g->anchors > YAML_ANCHORS ? "too many anchors"
					   : NULL;
}

/* The time that it takes grows with the square of how deeply a text is nested, of its anchors and
 * of its directives: 128 KiB of "[" are half a minute.  So the first document is read once by
 * events, which can be stopped. */
static int glance_at(yaml_parser_t *p, struct err *e)
{
	struct glance g = { 0 };
	bool is_end = false;

	while (!is_end) {
		yaml_event_t ev;

		if (!yaml_parser_parse(p, &ev))
			return err_set(e, ERR_INVALID_ARGUMENT, "yaml: line %zu: %.200s",
				       p->problem_mark.line + 1, p->problem ?: "unreadable");
		const char *why = look_at(&ev, &g);
		size_t line = ev.start_mark.line + 1;

		is_end = ev.type == YAML_DOCUMENT_END_EVENT || ev.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&ev);
		if (why)
			return err_set(e, ERR_INVALID_ARGUMENT, "yaml: line %zu: %s", line, why);
	}
	return 0;
}

/* Lines that may be directives; they end with any of \n, \r, NEL, LS and PS. */
static size_t count_directives(const char *text, size_t n)
{
	static const char breaks[] = { '\n', '\r', '\x85', '\xa8', '\xa9' };
	const char *end = text + n;
	size_t count = 0;

	for (const char *s = text; (s = memchr(s, '%', (size_t)(end - s))); s++)
		count += s == text || memchr(breaks, s[-1], sizeof breaks);
	return count;
}

static int check_bounds(const char *text, size_t n, struct err *e)
{
	yaml_parser_t p;

	if (memchr(text, 0, n)) /* also: UTF-16, which CDI does not have */
		return err_set(e, ERR_INVALID_ARGUMENT, "yaml: control characters are not allowed");
	if (count_directives(text, n) > YAML_DIRECTIVES)
		return err_set(e, ERR_INVALID_ARGUMENT, "yaml: too many directives");
	if (!yaml_parser_initialize(&p))
		BUG("out of memory");
	yaml_parser_set_input_string(&p, (const unsigned char *)text, n);
	int r = glance_at(&p, e);

	yaml_parser_delete(&p);
	return r;
}

/* --- plain scalars --- */

static bool is_one_of(const char *s, const char *const *words)
{
	for (; *words; words++)
		if (!strcmp(s, *words))
			return true;
	return false;
}

static int digit_of(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : 16;
}

/* The base that a prefix says; the text behind it. */
static unsigned take_base(const char **s)
{
	const char *t = *s;

	if (t[0] != '0' || !t[1])
		return 10;
	*s += strchr("xbo", t[1]) ? 2 : 1;
	return t[1] == 'x' ? 16 : t[1] == 'b' ? 2 : 8;
}

/* False when it is another kind of text, or too large.  "_" may stand between digits. */
static bool take_integer(const char *s, json_object **ret)
{
	bool is_negative = *s == '-';
	uint64_t v = 0;

	s += *s == '-' || *s == '+';
	unsigned base = take_base(&s);
	if (!*s || *s == '_')
		return false;
	for (; *s; s++) {
		unsigned digit = (unsigned)digit_of(*s);

		if (*s == '_')
			continue;
		if (digit >= base || v > (UINT64_MAX - digit) / base)
			return false;
		v = v * base + digit;
	}
	if (is_negative && v > (uint64_t)INT64_MAX + 1)
		return false;
	if (is_negative)
		*ret = json_object_new_int64((int64_t)(0 - v));
	else
		*ret = v > INT64_MAX ? json_object_new_uint64(v)
				     : json_object_new_int64((int64_t)v);
	return true;
}

/* JSON has no infinity: texts for it stay texts. */
static bool take_fraction(const char *s, json_object **ret)
{
	char *end;

	if (!strpbrk(s, "0123456789") || strspn(s, "+-.0123456789eE") != strlen(s))
		return false;
	double d = strtod(s, &end);
	if (*end || !isfinite(d))
		return false;
	*ret = json_object_new_double(d);
	return true;
}

static json_object *plain(const char *s)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL };
	static const char *const trues[] = { "true", "True", "TRUE", "yes", "Yes",
					     "YES",  "on",   "On",   "ON",  NULL };
	static const char *const falses[] = { "false", "False", "FALSE", "no",  "No",
					      "NO",    "off",   "Off",   "OFF", NULL };
	json_object *o = NULL;

	if (is_one_of(s, nulls))
		return NULL;
	if (is_one_of(s, trues) || is_one_of(s, falses))
		return json_object_new_boolean(is_one_of(s, trues));
	if (take_integer(s, &o) || take_fraction(s, &o))
		return o;
	return json_object_new_string(s);
}

/* --- nodes --- */

static int convert(struct build *b, int index, unsigned depth, json_object **ret);

static int convert_list(struct build *b, const yaml_node_t *node, unsigned depth, json_object **ret)
{
	json_object *list = *ret = json_object_new_array();

	for (const yaml_node_item_t *i = node->data.sequence.items.start;
	     i < node->data.sequence.items.top; i++) {
		json_object *item = NULL;

		if (convert(b, *i, depth, &item) < 0) {
			json_object_put(item);
			return -1;
		}
		json_object_array_add(list, item);
	}
	return 0;
}

/* The members of another map, or of a list of maps, unless the map has them itself. */
static int merge(struct build *b, const yaml_node_t *at, json_object *from, json_object *to)
{
	if (json_object_is_type(from, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(from); i++) {
			json_object *one = json_object_array_get_idx(from, i);

			if (!json_object_is_type(one, json_type_object))
				return fail(
					b, at,
					"map merge requires map or sequence of maps as the value",
					"");
			if (merge(b, at, one, to) < 0)
				return -1;
		}
		return 0;
	}
	if (!json_object_is_type(from, json_type_object))
		return fail(b, at, "map merge requires map or sequence of maps as the value", "");
	json_object_object_foreach(from, key, v) if (!json_object_object_get_ex(to, key, NULL))
		json_object_object_add(to, key, json_object_get(v));
	return 0;
}

/* NULL: a list, a map, or what has a NUL in it. */
static const char *key_of(const yaml_node_t *node)
{
	const char *key;

	if (node->type != YAML_SCALAR_NODE)
		return NULL;
	key = (const char *)node->data.scalar.value;
	return strlen(key) == node->data.scalar.length ? key : NULL;
}

static bool is_merge(const yaml_node_t *key)
{
	return key->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       !strcmp((const char *)key->data.scalar.value, "<<");
}

static int convert_map(struct build *b, const yaml_node_t *node, unsigned depth, json_object **ret)
{
	json_object *map = *ret = json_object_new_object(), *merged = json_object_new_array();
	int r = 0;

	for (const yaml_node_pair_t *p = node->data.mapping.pairs.start;
	     r == 0 && p < node->data.mapping.pairs.top; p++) {
		const yaml_node_t *k = yaml_document_get_node(&b->doc, p->key);
		const char *key = key_of(k);
		json_object *v = NULL;

		if (!key)
			r = fail(b, k, "a key that is no text", "");
		else if (!is_merge(k) && json_object_object_get_ex(map, key, NULL))
			r = fail(b, k, "mapping key already defined: ", key);
		else
			r = convert(b, p->value, depth, &v);
		if (r < 0)
			json_object_put(v);
		else if (is_merge(k))
			json_object_array_add(merged, v);
		else
			json_object_object_add(map, key, v);
	}
	for (size_t i = 0; r == 0 && i < json_object_array_length(merged); i++)
		r = merge(b, node, json_object_array_get_idx(merged, i), map);
	json_object_put(merged);
	return r;
}

/* *ret is the caller's to put after a failure, too. */
static int convert(struct build *b, int index, unsigned depth, json_object **ret)
{
	const yaml_node_t *node = yaml_document_get_node(&b->doc, index);
	const char *text = (const char *)node->data.scalar.value;

	if (depth > YAML_DEPTH)
		return fail(b, node, "nested too deeply", "");
	if (++b->n > YAML_NODES)
		return fail(b, node, "too many values", "");
	if (node->type == YAML_SEQUENCE_NODE)
		return convert_list(b, node, depth + 1, ret);
	if (node->type == YAML_MAPPING_NODE)
		return convert_map(b, node, depth + 1, ret);
	if (node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
		*ret = plain(text);
	else
		*ret = json_object_new_string_len(text, (int)node->data.scalar.length);
	return 0;
}

static int load(yaml_parser_t *p, struct build *b, json_object **ret)
{
	if (!yaml_parser_load(p, &b->doc))
		return err_set(b->e, ERR_INVALID_ARGUMENT, "yaml: line %zu: %.200s",
			       p->problem_mark.line + 1, p->problem ?: "unreadable");

	const yaml_node_t *root = yaml_document_get_root_node(&b->doc);
	json_object *o = NULL;
	int r = root ? convert(b, 1, 0, &o) : 0;

	yaml_document_delete(&b->doc);
	if (r < 0)
		json_object_put(o);
	else
		*ret = o;
	return r;
}

int yaml_parse(const char *text, size_t n, json_object **ret, struct err *e)
{
	struct build b = { .e = e };
	yaml_parser_t p;

	if (n > YAML_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "yaml: larger than %d bytes", YAML_MAX);
	if (check_bounds(text, n, e) < 0)
		return -1;
	if (!yaml_parser_initialize(&p))
		BUG("out of memory");
	yaml_parser_set_input_string(&p, (const unsigned char *)text, n);
	int r = load(&p, &b, ret);

	yaml_parser_delete(&p);
	return r;
}
