/* For tests: archives made in memory, honest and hostile ones. */
#pragma once

#include "base/str.h"

/* One USTAR entry with the checksum it should have; data may be NULL. */
static inline void tar_add_full(struct str *out, const char *name, char type, const char *link,
				unsigned mode, const char *data, size_t n)
{
	char h[512] = { 0 };
	unsigned sum = 0;

	snprintf(h, 100, "%s", name);
	snprintf(h + 100, 8, "%07o", mode);
	snprintf(h + 108, 8, "%07o", 0);
	snprintf(h + 116, 8, "%07o", 0);
	snprintf(h + 124, 12, "%011o", (unsigned)n);
	snprintf(h + 136, 12, "%011o", 1700000000);
	h[156] = type;
	snprintf(h + 157, 100, "%s", link ? link : "");
	memcpy(h + 257,
	       "ustar\0"
	       "00",
	       8);
	memset(h + 148, ' ', 8);
	for (size_t i = 0; i < sizeof h; i++)
		sum += (unsigned char)h[i];
	snprintf(h + 148, 8, "%06o", sum);
	str_addn(out, h, sizeof h);
	if (n) {
		char zero[512] = { 0 };

		str_addn(out, data, n);
		str_addn(out, zero, -n & 511);
	}
}

static inline void tar_add(struct str *out, const char *name, char type, const char *link,
			   const char *data)
{
	tar_add_full(out, name, type, link, type == '5' ? 0755 : 0644, data,
		     data ? strlen(data) : 0);
}

/* A pax header with one record for the entry that follows. */
static inline void tar_add_pax(struct str *out, const char *key, const char *value)
{
	char record[4096];
	size_t n = strlen(key) + strlen(value) + 3; /* ' ', '=', '\n' */
	size_t digits = n + 1 < 10 ? 1 : n + 2 < 100 ? 2 : n + 3 < 1000 ? 3 : 4;
	int len = snprintf(record, sizeof record, "%zu %s=%s\n", n + digits, key, value);

	tar_add_full(out, "pax", 'x', NULL, 0644, record, (size_t)len);
}

static inline void tar_end(struct str *out)
{
	char zero[1024] = { 0 };

	str_addn(out, zero, sizeof zero);
}
