#include "base/jsonw.h"

#include <string.h>

void jsonw_quote(struct str *out, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	str_addc(out, '"');
	while (*s) {
		size_t n = str_utf8(s, SIZE_MAX);

		if (n == 0) {
			str_add(out, "\\ufffd");
			s++;
			continue;
		}
		if (*s == '"' || *s == '\\')
			str_addf(out, "\\%c", *s);
		else if (*s == '\n')
			str_add(out, "\\n");
		else if (*s == '\r')
			str_add(out, "\\r");
		else if (*s == '\t')
			str_add(out, "\\t");
		else if (*s < 0x20 || *s == 0x7f)
			str_addf(out, "\\u%04x", *s);
		else if (*s == 0xc2 && s[1] < 0xa0) /* C1: terminals act on them, too */
			str_addf(out, "\\u%04x", s[1]);
		else
			str_addn(out, s, n);
		s += n;
	}
	str_addc(out, '"');
}

void jsonw_init(struct jsonw *w, struct str *out, unsigned indent)
{
	memset(w, 0, sizeof *w);
	w->out = out;
	w->indent = indent;
}

static void newline(struct jsonw *w)
{
	if (!w->indent)
		return;
	str_addc(w->out, '\n');
	for (unsigned i = 0; i < w->depth * w->indent; i++)
		str_addc(w->out, ' ');
}

/* What goes before any value or key. */
static void separate(struct jsonw *w)
{
	if (w->after_key) {
		w->after_key = false;
		return;
	}
	if (w->depth == 0)
		return;
	if (w->has_items[w->depth])
		str_addc(w->out, ',');
	w->has_items[w->depth] = true;
	newline(w);
}

static void begin(struct jsonw *w, bool is_object)
{
	separate(w);
	str_addc(w->out, is_object ? '{' : '[');
	if (w->depth + 1 >= JSONW_DEPTH)
		BUG("JSON too deep");
	w->depth++;
	w->is_object[w->depth] = is_object;
	w->has_items[w->depth] = false;
}

void jsonw_object(struct jsonw *w)
{
	begin(w, true);
}

void jsonw_array(struct jsonw *w)
{
	begin(w, false);
}

void jsonw_end(struct jsonw *w)
{
	bool is_object = w->is_object[w->depth], had = w->has_items[w->depth];

	if (w->depth == 0)
		BUG("JSON end without begin");
	w->depth--;
	if (had)
		newline(w);
	str_addc(w->out, is_object ? '}' : ']');
}

void jsonw_key(struct jsonw *w, const char *key)
{
	separate(w);
	jsonw_quote(w->out, key);
	str_add(w->out, w->indent ? ": " : ":");
	w->after_key = true;
}

void jsonw_string(struct jsonw *w, const char *s)
{
	separate(w);
	if (s)
		jsonw_quote(w->out, s);
	else
		str_add(w->out, "null");
}

void jsonw_i64(struct jsonw *w, int64_t v)
{
	separate(w);
	str_addf(w->out, "%lld", (long long)v);
}

void jsonw_u64(struct jsonw *w, uint64_t v)
{
	separate(w);
	str_addf(w->out, "%llu", (unsigned long long)v);
}

void jsonw_bool(struct jsonw *w, bool v)
{
	separate(w);
	str_add(w->out, v ? "true" : "false");
}

void jsonw_raw(struct jsonw *w, const char *json)
{
	separate(w);
	str_add(w->out, json);
}

void jsonw_kstring(struct jsonw *w, const char *key, const char *s)
{
	jsonw_key(w, key);
	jsonw_string(w, s);
}

void jsonw_ki64(struct jsonw *w, const char *key, int64_t v)
{
	jsonw_key(w, key);
	jsonw_i64(w, v);
}

void jsonw_ku64(struct jsonw *w, const char *key, uint64_t v)
{
	jsonw_key(w, key);
	jsonw_u64(w, v);
}

void jsonw_kbool(struct jsonw *w, const char *key, bool v)
{
	jsonw_key(w, key);
	jsonw_bool(w, v);
}
