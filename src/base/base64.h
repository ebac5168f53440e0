/* Base64, read: strictly, as RFC 4648 has it. str_add_base64() writes it. */
#pragma once

#include <stddef.h>

int base64_value(char c); /* 0 to 63; -1 */

/* The bytes, NUL-terminated, the caller's; NULL: s is no base64 (padded, no spaces), empty, or
 * longer than max. */
char *base64_decode(const char *s, size_t max, size_t *ret_n);
