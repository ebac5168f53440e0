#include "cmd/ctr/progress.h"

#include <inttypes.h>
#include <sys/ioctl.h>
#include <time.h>

enum { NODES_MAX = 4096, DEPTH_MAX = 8, NAME_WIDTH = 40, EVENT_WIDTH = 14, BAR_WIDTH = 38 };

struct node {
	char *name, *event, *parent; /* parent NULL: at the top */
	int64_t done, total;
};

struct progress {
	FILE *out;
	bool is_terminal, dirty;
	struct node *nodes;
	size_t n, cap;
	char *headline; /* the last message that names nothing */
	unsigned lines; /* on the screen now */
	struct timespec start;
};

struct progress *progress_new(FILE *out, bool is_terminal)
{
	struct progress *p = NEW(struct progress);

	p->out = out;
	p->is_terminal = is_terminal;
	clock_gettime(CLOCK_MONOTONIC, &p->start);
	return p;
}

void progress_free(struct progress *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n; i++) {
		free(p->nodes[i].name);
		free(p->nodes[i].event);
		free(p->nodes[i].parent);
	}
	free(p->nodes);
	free(p->headline);
	free(p);
}

/* They come from a registry by way of the daemon. */
enum { NAME_MAX_SHOWN = 1024 };

static struct node *find_node(struct progress *p, const char *name)
{
	for (size_t i = 0; i < p->n; i++)
		if (!strcmp(p->nodes[i].name, name))
			return &p->nodes[i];
	return NULL;
}

/* "layer-sha256:0123…" is "layer (0123456789ab)" as the original writes it. */
static void short_name(const char *name, struct str *s)
{
	const char *digest = strstr(name, "-sha256:");

	if (!digest || digest == name)
		str_add(s, name);
	else
		str_addf(s, "%.*s (%.12s)", (int)(digest - name), name, digest + 8);
}

static void say_plainly(struct progress *p, const char *name, const char *event)
{
	struct str s AUTO_STR = STR_INIT(4096);

	if (*name) {
		short_name(name, &s);
		str_add(&s, ": ");
	}
	fprintf(p->out, "%s%s\n", str_c(&s), event);
	fflush(p->out);
}

void progress_event(struct progress *p, const Containerd__Types__Transfer__Progress *m)
{
	char *event AUTO_FREE = printable(m->event, NAME_MAX_SHOWN),
		    *name AUTO_FREE = printable(m->name, NAME_MAX_SHOWN);
	struct node *n;
	bool changed;

	if (!*name) {
		free(p->headline);
		p->headline = TAKE_PTR(event);
		if (!p->is_terminal)
			say_plainly(p, "", p->headline);
		p->dirty = true;
		return;
	}
	n = find_node(p, name);
	if (!n) {
		if (p->n >= NODES_MAX)
			return;
		GROW(p->nodes, p->n, p->cap);
		n = &p->nodes[p->n++];
		*n = (struct node){ .name = TAKE_PTR(name),
				    .parent = m->n_parents
						      ? printable(m->parents[0], NAME_MAX_SHOWN)
						      : NULL };
	}
	changed = !n->event || strcmp(n->event, event) != 0;
	n->done = m->progress > 0 ? m->progress : n->done;
	n->total = m->total > 0 ? m->total : n->total;
	if (changed) {
		free(n->event);
		n->event = TAKE_PTR(event);
		if (!p->is_terminal)
			say_plainly(p, n->name, n->event);
	}
	p->dirty = true;
}

struct screen {
	unsigned rows, cols;
};

static struct screen screen_size(FILE *out)
{
	struct winsize w;

	if (ioctl(fileno(out), TIOCGWINSZ, &w) < 0 || !w.ws_row || !w.ws_col)
		return (struct screen){ 24, 80 };
	return (struct screen){ w.ws_row, w.ws_col };
}

static bool is_finished(const struct node *n)
{
	return strstr(n->event, "complete") || strstr(n->event, "exists") ||
	       strstr(n->event, "saved") || strstr(n->event, "extracted");
}

static void add_bar(struct str *s, const struct node *n, unsigned width)
{
	unsigned full = 0;

	if (is_finished(n))
		full = width;
	else if (n->total <= 0)
		return;
	else
		full = n->done >= n->total ? width
					   : (unsigned)((double)n->done / (double)n->total * width);
	str_addc(s, '|');
	for (unsigned i = 0; i < width; i++)
		str_addc(s, i < full ? '+' : '-');
	str_addc(s, '|');
}

static void add_padding(struct str *s, size_t printed, size_t want)
{
	for (; printed < want; printed++)
		str_addc(s, ' ');
}

/* Cuts the line at the screen's width: a line that wraps would spoil the count of lines. */
static void emit(struct progress *p, const struct str *line, const struct screen *sc)
{
	const char *s = str_c(line);
	size_t n = 0, k = 0;

	if (p->lines + 1 >= sc->rows)
		return;
	for (; s[n]; n++) {
		if ((s[n] & 0xC0) != 0x80 && ++k > sc->cols)
			break;
	}
	fprintf(p->out, "%.*s\x1b[K\n", (int)n, s);
	p->lines++;
}

/* What is left of the line, so that the bar's end is seen on a narrow screen, too. */
static unsigned bar_width(const struct screen *sc)
{
	unsigned used = NAME_WIDTH + EVENT_WIDTH + 4;

	if (sc->cols <= used)
		return 0;
	return sc->cols - used < BAR_WIDTH ? sc->cols - used : BAR_WIDTH;
}

static void draw_node(struct progress *p, const struct node *n, const char *indent,
		      const char *branch, const struct screen *sc)
{
	struct str line AUTO_STR = STR_INIT(8192);
	size_t columns = 0;

	str_add(&line, indent);
	str_add(&line, branch);
	short_name(n->name, &line);
	str_addc(&line, ':');
	for (const char *c = str_c(&line); *c; c++)
		columns += (*c & 0xC0) != 0x80;
	add_padding(&line, columns, NAME_WIDTH);
	str_addc(&line, ' ');
	str_add(&line, n->event);
	add_padding(&line, strlen(n->event), EVENT_WIDTH);
	str_addc(&line, ' ');
	add_bar(&line, n, bar_width(sc));
	emit(p, &line, sc);
}

static bool is_child(const struct progress *p, size_t i, const char *parent)
{
	const struct node *n = &p->nodes[i];

	if (!parent)
		return !n->parent || !find_node((struct progress *)p, n->parent);
	return n->parent && !strcmp(n->parent, parent) && strcmp(n->name, parent) != 0;
}

static void draw_children(struct progress *p, const char *parent, const char *indent,
			  unsigned depth, const struct screen *sc)
{
	size_t last = 0;

	if (depth > DEPTH_MAX)
		return;
	for (size_t i = 0; i < p->n; i++)
		if (is_child(p, i, parent))
			last = i;
	for (size_t i = 0; i < p->n; i++) {
		struct str deeper AUTO_STR = STR_INIT(256);

		if (!is_child(p, i, parent))
			continue;
		draw_node(p, &p->nodes[i], indent, !parent ? "" : i == last ? "└──" : "├──", sc);
		str_add(&deeper, indent);
		str_add(&deeper, !parent ? "" : i == last ? "   " : "│  ");
		draw_children(p, p->nodes[i].name, str_c(&deeper), depth + 1, sc);
	}
}

static void draw_summary(struct progress *p, const struct screen *sc)
{
	struct str line AUTO_STR = STR_INIT(4096);
	struct arena *a AUTO_ARENA = arena_new();
	struct timespec now;
	double seconds, total = 0;

	clock_gettime(CLOCK_MONOTONIC, &now);
	seconds = (double)(now.tv_sec - p->start.tv_sec) +
		  (double)(now.tv_nsec - p->start.tv_nsec) / 1e9;
	for (size_t i = 0; i < p->n; i++)
		total += (double)p->nodes[i].done;
	str_addf(&line, "elapsed: %-4.1f s    total: %s (%s/s)", seconds,
		 size_binary(a, (int64_t)total),
		 size_binary(a, seconds > 0 ? (int64_t)(total / seconds) : 0));
	emit(p, &line, sc);
}

void progress_draw(struct progress *p)
{
	struct screen sc;
	struct str line AUTO_STR = STR_INIT(4096);

	if (!p->is_terminal || !p->dirty)
		return;
	p->dirty = false;
	sc = screen_size(p->out);
	if (p->lines)
		fprintf(p->out, "\x1b[%uA", p->lines);
	p->lines = 0;
	if (p->headline) {
		str_add(&line, p->headline);
		emit(p, &line, &sc);
	}
	draw_children(p, NULL, "", 0, &sc);
	draw_summary(p, &sc);
	fputs("\x1b[J", p->out);
	fflush(p->out);
}

void progress_end(struct progress *p)
{
	p->dirty = true;
	progress_draw(p);
}
