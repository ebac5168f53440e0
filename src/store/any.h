/* Copies of what records carry for others: texts, Anys and named extensions. */
#pragma once

#include "store/container.h"

const char *text_copy(struct arena *a, const char *s); /* NULL becomes "" */
struct any any_copy(struct arena *a, const struct any *from);
struct extensions extensions_copy(struct arena *a, const struct extensions *from);

/* What an update's mask means by "extensions" and "extensions.KEY": true when path is one of these
 * and was done. */
bool mask_extensions(struct arena *a, const char *path, struct extensions *x,
		     const struct extensions *in);
