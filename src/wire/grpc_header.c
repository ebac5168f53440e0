#include "wire/grpc_header.h"

#include "base/num.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct unit {
	char letter;
	uint64_t ns;
} units[] = {
	{ 'n', 1 },          { 'u', 1000 },        { 'm', 1000000 },
	{ 'S', 1000000000 }, { 'M', 60000000000 }, { 'H', 3600000000000 },
};

int grpc_timeout_parse(const char *s, uint64_t *ret_ns)
{
	size_t n = strlen(s);
	char digits[9] = { 0 };
	uint64_t v;

	if (n < 2 || n > 9)
		return -EINVAL;
	memcpy(digits, s, n - 1);
	if (num_u64(digits, &v) < 0)
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (units[i].letter == s[n - 1]) {
			/* 99999999 hours do not fit: then it is as good as no deadline. */
			if (__builtin_mul_overflow(v, units[i].ns, ret_ns))
				*ret_ns = UINT64_MAX;
			return 0;
		}
	return -EINVAL;
}

void grpc_timeout_print(uint64_t ns, char ret[GRPC_TIMEOUT_TEXT])
{
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		uint64_t v = ns / units[i].ns + (ns % units[i].ns != 0);

		if (v <= 99999999) {
			snprintf(ret, GRPC_TIMEOUT_TEXT, "%" PRIu64 "%c", v, units[i].letter);
			return;
		}
	}
	snprintf(ret, GRPC_TIMEOUT_TEXT, "99999999H");
}

/* A field's value that begins or ends with a space is malformed (RFC 9113, 8.2.1): the whole answer
 * would be refused, or come without its text. */
static bool is_at_an_end(const unsigned char *p, const char *s)
{
	return (const char *)p == s || !p[1];
}

void grpc_percent_encode(struct str *out, const char *s)
{
	for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
		bool is_plain = *p >= ' ' && *p <= '~' && *p != '%';

		if (is_plain && (*p != ' ' || !is_at_an_end(p, s)))
			str_addc(out, (char)*p);
		else
			str_addf(out, "%%%02X", *p);
	}
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

void grpc_percent_decode(struct str *out, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '%' && i + 2 < n && hex(s[i + 1]) >= 0 && hex(s[i + 2]) >= 0) {
			str_addc(out, (char)(hex(s[i + 1]) << 4 | hex(s[i + 2])));
			i += 2;
		} else {
			str_addc(out, s[i]);
		}
	}
}
