/* Numbers from text, strictly: the whole text, in range, no sign unless the type has one, no
 * leading space, no wrap.  Return 0, -EINVAL (not a number) or -ERANGE (too large or small). */
#pragma once

#include "base/macros.h"

int num_u64(const char *s, uint64_t *ret);
int num_u32(const char *s, uint32_t *ret);
int num_i64(const char *s, int64_t *ret); /* one leading '-' */
int num_i32(const char *s, int *ret);

/* An octal mode such as "755" or "0644", at most 07777. */
int num_mode(const char *s, unsigned *ret);

/* A uid or gid: 0 to 2^32 - 2, decimal.  4294967295 is no id. */
int num_id(const char *s, uint32_t *ret);

/* Bytes with an optional suffix k, m, g, t (any case, optional "b" or "ib"), powers of 1024:
 * what ctr takes for --memory-limit and docker for -m.  Plain "512" is bytes. */
int num_size(const char *s, uint64_t *ret);

/* Nanoseconds of a duration as Go writes it: "1m30s", "1.5s", "250ms", "0".  No sign. */
int num_duration(const char *s, uint64_t *ret);
