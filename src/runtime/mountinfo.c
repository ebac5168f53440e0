#include "runtime/mountinfo.h"

#include "base/mem.h"
#include "base/num.h"

#include <string.h>

enum { POINT = 4 }; /* fields before it */

static bool is_octal(const char *s)
{
	return s[0] >= '0' && s[0] <= '3' && s[1] >= '0' && s[1] <= '7' && s[2] >= '0' &&
	       s[2] <= '7';
}

static void add_field(struct str *ret, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '\\' && n - i > 3 && is_octal(s + i + 1)) {
			str_addc(ret, (char)((s[i + 1] - '0') * 64 + (s[i + 2] - '0') * 8 +
					     (s[i + 3] - '0')));
			i += 3;
		} else {
			str_addc(ret, s[i]);
		}
	}
}

bool mountinfo_point(const char *text, uint64_t id, struct str *ret)
{
	for (const char *line = text; *line;) {
		size_t len = strcspn(line, "\n"), n = strcspn(line, " \n");
		AUTO_FREE char *first = xstrndup(line, n);
		const char *p = line;
		uint64_t v;

		for (int i = 0; i < POINT && *p && *p != '\n'; i++) {
			p += strcspn(p, " \n");
			p += *p == ' ';
		}
		n = strcspn(p, " \n");
		if (n && *p == '/' && num_u64(first, &v) == 0 && v == id) {
			add_field(ret, p, n);
			return true;
		}
		line += len + (line[len] == '\n');
	}
	return false;
}
