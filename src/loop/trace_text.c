#include "loop/trace_text.h"

#include "base/jsonw.h"
#include "base/num.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { RECORDS_MAX = 2048, LANES_MAX = 16, DEPTH_MAX = 32 };

static int by_begin(const void *a, const void *b)
{
	const struct trace_record *x = a, *y = b;

	if (x->begin != y->begin)
		return x->begin < y->begin ? -1 : 1;
	return x->end == y->end ? 0 : x->end > y->end ? -1 : 1;
}

/* "WHO|STEP|BEGIN|END", which it cuts. */
static bool parse_record(char *text, struct trace_record *ret)
{
	char *field[4] = { text };

	for (int i = 1; i < 4; i++) {
		char *bar = strchr(field[i - 1], '|');

		if (!bar)
			return false;
		*bar = 0;
		field[i] = bar + 1;
	}
	*ret = (struct trace_record){ .who = field[0], .step = field[1] };
	return num_u64(field[2], &ret->begin) == 0 && num_u64(field[3], &ret->end) == 0 &&
	       ret->end >= ret->begin;
}

/* What a lane is in the middle of, innermost last. */
struct lane {
	const char *who;
	uint64_t ends[DEPTH_MAX];
	size_t depth;
};

static bool takes(struct lane *l, const struct trace_record *r)
{
	while (l->depth && l->ends[l->depth - 1] <= r->begin)
		l->depth--;
	if (l->depth == DEPTH_MAX || (l->depth && l->ends[l->depth - 1] < r->end))
		return false;
	l->ends[l->depth++] = r->end;
	return true;
}

static void choose_lane(struct lane lanes[LANES_MAX], struct trace_record *r)
{
	unsigned nth = 0;

	for (size_t i = 0; i < LANES_MAX; i++) {
		struct lane *l = &lanes[i];

		if (l->who && strcmp(l->who, r->who) != 0)
			continue;
		l->who = r->who;
		r->lane = nth++;
		if (takes(l, r))
			return;
	}
}

size_t trace_text_parse(const char *log, struct arena *a, struct trace_record **ret)
{
	char *text = arena_strdup(a, log);
	struct trace_record *v = arena_array(a, RECORDS_MAX, sizeof *v);
	struct lane lanes[LANES_MAX] = { 0 };
	size_t n = 0;

	for (char *end; n < RECORDS_MAX && (end = strchr(text, ';')); text = end + 1) {
		*end = 0;
		n += parse_record(text, &v[n]);
	}
	qsort(v, n, sizeof *v, by_begin);
	for (size_t i = 0; i < n; i++)
		choose_lane(lanes, &v[i]);
	*ret = v;
	return n;
}

/* In the order a start passes them. */
static unsigned number_of(const char *who)
{
	static const char *const known[] = { "ctr", "containerd", "shim", "runtime", "init" };

	for (unsigned i = 0; i < ARRAY_LEN(known); i++)
		if (!strcmp(known[i], who))
			return i + 1;
	return ARRAY_LEN(known) + 1;
}

static void add_name(struct jsonw *w, const char *who)
{
	jsonw_object(w);
	jsonw_kstring(w, "name", "process_name");
	jsonw_kstring(w, "ph", "M");
	jsonw_ku64(w, "pid", number_of(who));
	jsonw_ku64(w, "tid", 1);
	jsonw_key(w, "args");
	jsonw_object(w);
	jsonw_kstring(w, "name", who);
	jsonw_end(w);
	jsonw_end(w);
}

static bool is_first_of(const struct trace_record *v, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (!strcmp(v[k].who, v[i].who))
			return false;
	return true;
}

static void add_micros(struct jsonw *w, const char *key, uint64_t ns)
{
	char text[32];

	snprintf(text, sizeof text, "%" PRIu64 ".%03u", ns / 1000, (unsigned)(ns % 1000));
	jsonw_key(w, key);
	jsonw_raw(w, text);
}

void trace_text_json(const struct trace_record *v, size_t n, struct str *out)
{
	struct jsonw w;

	jsonw_init(&w, out, 1);
	jsonw_object(&w);
	jsonw_kstring(&w, "displayTimeUnit", "ms");
	jsonw_key(&w, "traceEvents");
	jsonw_array(&w);
	for (size_t i = 0; i < n; i++) {
		if (is_first_of(v, i))
			add_name(&w, v[i].who);
		jsonw_object(&w);
		jsonw_kstring(&w, "name", v[i].step);
		jsonw_kstring(&w, "cat", v[i].who);
		jsonw_kstring(&w, "ph", "X");
		jsonw_ku64(&w, "pid", number_of(v[i].who));
		jsonw_ku64(&w, "tid", v[i].lane + 1);
		add_micros(&w, "ts", v[i].begin - v[0].begin);
		add_micros(&w, "dur", v[i].end - v[i].begin);
		jsonw_end(&w);
	}
	jsonw_end(&w);
	jsonw_end(&w);
	str_addc(out, '\n');
}

/* --- the picture --- */

static void add_xml(struct str *out, const char *text)
{
	for (; *text; text++)
		if (strchr("<>&\"'", *text))
			str_addf(out, "&#%d;", *text);
		else
			str_addc(out, *text);
}

static const char *short_name(const char *step)
{
	static const char all[] = "containerd.services.";

	return str_starts(step, all) ? step + strlen(all) : step;
}

void trace_text_svg(const struct trace_record *v, size_t n, const char *title, struct str *out)
{
	static const char *const colors[] = { "#777", "#36c", "#393", "#c60", "#a3a", "#099" };
	enum { WIDTH = 900, LABEL = 330, ROW = 16, TOP = 24 };
	uint64_t first = n ? v[0].begin : 0, last = first + 1;

	for (size_t i = 0; i < n; i++)
		last = v[i].end > last ? v[i].end : last;
	str_addf(out,
		 "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%zu\" "
		 "font-family=\"sans-serif\" font-size=\"11\">\n"
		 "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
		 "<text x=\"4\" y=\"15\" font-size=\"13\">",
		 WIDTH + LABEL, (size_t)TOP + ROW * n + 6);
	add_xml(out, title);
	str_addf(out, ": %.1f ms</text>\n", (double)(last - first) / 1e6);
	for (size_t i = 0; i < n; i++) {
		double scale = (double)WIDTH / (double)(last - first);
		double x = (double)(v[i].begin - first) * scale;
		double width = (double)(v[i].end - v[i].begin) * scale;
		size_t y = TOP + ROW * i;

		str_addf(out,
			 "<rect x=\"%.1f\" y=\"%zu\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>"
			 "<text x=\"%.1f\" y=\"%zu\">",
			 x, y + 2, width > 1 ? width : 1, ROW - 4, colors[number_of(v[i].who) - 1],
			 x + (width > 1 ? width : 1) + 4, y + 12);
		add_xml(out, v[i].who);
		str_add(out, ": ");
		add_xml(out, short_name(v[i].step));
		str_addf(out, " %.2f ms</text>\n", (double)(v[i].end - v[i].begin) / 1e6);
	}
	str_add(out, "</svg>\n");
}
