#include "base/base64.h"

#include "base/mem.h"

#include <stdint.h>
#include <string.h>

int base64_value(char c)
{
	return c >= 'A' && c <= 'Z'   ? c - 'A'
	       : c >= 'a' && c <= 'z' ? c - 'a' + 26
	       : c >= '0' && c <= '9' ? c - '0' + 52
	       : c == '+'             ? 62
	       : c == '/'             ? 63
				      : -1;
}

char *base64_decode(const char *s, size_t max, size_t *ret_n)
{
	size_t len = strlen(s), pad = 0, n = 0;

	if (len == 0 || len % 4 || len > max)
		return NULL;
	while (pad < 2 && s[len - 1 - pad] == '=')
		pad++;
	uint8_t *out = xmalloc(len / 4 * 3 + 1);
	for (size_t i = 0; i < len; i += 4) {
		uint32_t v = 0;

		for (size_t k = 0; k < 4; k++) {
			int d = i + k < len - pad ? base64_value(s[i + k]) : 0;

			if (d < 0) {
				free(out);
				return NULL;
			}
			v = v << 6 | (uint32_t)d;
		}
		for (size_t k = 0; k < 3; k++)
			out[n++] = (uint8_t)(v >> (16 - 8 * k));
	}
	n -= pad;
	out[n] = 0;
	*ret_n = n;
	return (char *)out;
}
