/* --format of the lists: a table for people, or JSON: one array of the API's own records, with the
 * names that the .proto files give to the fields. */
#pragma once

#include "cmd/ctr/ctr.h"

extern const struct flag list_format_flags[];

/* ERR_INVALID_ARGUMENT for what is neither "table" nor "json". */
int list_wants_json(const struct args *args, bool *ret, struct err *e);

/* v: n messages of one type. */
int list_print_json(const void *v, size_t n, struct err *e);
