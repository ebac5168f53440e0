#include "cmd/ctr/table.h"

#include "cmd/ctr/ctr.h"

#include <stdarg.h>
#include <string.h>

enum { TAB = 8 };

void table_row(struct table *t, ...)
{
	const char **row, ***bigger, *cell;
	size_t n = 0;
	va_list ap;

	va_start(ap, t);
	while (va_arg(ap, const char *))
		n++;
	va_end(ap);
	row = arena_array(t->arena, n + 1, sizeof *row);
	va_start(ap, t);
	for (n = 0; (cell = va_arg(ap, const char *)); n++)
		row[n] = arena_strdup(t->arena, shown(t->arena, cell));
	va_end(ap);
	if (t->n == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 32;
		bigger = arena_array(t->arena, t->cap, sizeof *bigger);
		if (t->n)
			memcpy(bigger, t->rows, t->n * sizeof *bigger);
		t->rows = bigger;
	}
	t->rows[t->n++] = row;
}

static size_t cell_count(const char *const *row)
{
	size_t n = 0;

	while (row[n])
		n++;
	return n;
}

/* Terminal columns, near enough: bytes that start a character. */
static size_t text_width(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += (*s & 0xC0) != 0x80;
	return n;
}

/* Go's rule: a column is a block of consecutive lines that have a cell there with one behind it. */
static size_t column_width(const struct table *t, size_t row, size_t col)
{
	size_t width = 0, first = row, w;

	while (first > 0 && cell_count((const char *const *)t->rows[first - 1]) > col + 1)
		first--;
	for (size_t i = first; i < t->n; i++) {
		if (cell_count((const char *const *)t->rows[i]) <= col + 1)
			break;
		w = text_width(t->rows[i][col]) + t->padding;
		if (w > width)
			width = w;
	}
	return width < t->min_width ? t->min_width : width;
}

static void fill(const struct table *t, size_t have, size_t want, FILE *out)
{
	if (t->tabs) {
		want = (want + TAB - 1) / TAB * TAB;
		for (; have < want; have = (have / TAB + 1) * TAB)
			fputc('\t', out);
		return;
	}
	for (; have < want; have++)
		fputc(' ', out);
}

void table_print(struct table *t, FILE *out)
{
	for (size_t i = 0; i < t->n; i++) {
		size_t n = cell_count((const char *const *)t->rows[i]);

		for (size_t k = 0; k < n; k++) {
			const char *cell = t->rows[i][k];

			fputs(cell, out);
			if (k + 1 == n)
				break;
			fill(t, text_width(cell), column_width(t, i, k), out);
		}
		fputc('\n', out);
	}
}
