/* Tables with aligned columns, as Go's text/tabwriter lays them out: every cell but a line's last
 * is padded with blanks to its column's width; a line that ends in a cell end ("…\t\n") keeps its
 * trailing blanks, as the original's tables do. */
#pragma once

#include "base/mem.h"

#include <stdbool.h>
#include <stdio.h>

struct table {
	struct arena *arena;
	size_t min_width, padding;
	bool tabs; /* columns are filled up with tabs, to stops of eight */
	const char ***rows; /* cells, NULL-terminated */
	size_t n, cap;
};

/* padding 1 (images, snapshots), or min_width and padding 4 (tasks, containers). */
#define TABLE_NARROW(a) ((struct table){ .arena = (a), .min_width = 1, .padding = 1 })
#define TABLE_WIDE(a) ((struct table){ .arena = (a), .min_width = 4, .padding = 4 })

/* Of content. */
#define TABLE_TABS(a) ((struct table){ .arena = (a), .min_width = 1, .padding = 1, .tabs = true })

/* Cells up to a NULL; copied, without what steers terminals (shown()).  An empty last cell gives a
 * line that ends in blanks. */
void table_row(struct table *t, ...) __attribute__((sentinel));
void table_print(struct table *t, FILE *out);
