/* Points in time as text: RFC 3339, in UTC, as Go's time.RFC3339Nano writes it. */
#pragma once

#include <stdint.h>
#include <time.h>

enum { TIMEFMT_MAX = 40 };

/* "2026-11-23T10:20:30.123456789Z"; trailing zeros of the fraction are left out, as in Go. */
const char *timefmt_rfc3339(struct timespec t, char buf[TIMEFMT_MAX]);

/* Takes any offset ("Z", "+02:00") and up to nine digits of fraction. 0 or -EINVAL. */
int timefmt_parse(const char *s, struct timespec *ret);

/* Go's zero time, 0001-01-01T00:00:00Z: what its clients send for "not set". */
#define TIMEFMT_GO_ZERO_SEC (-62135596800LL)
