#include "base/ident.h"

#include <string.h>

enum { IDENT_MAX = 76, RUNC_ID_MAX = 1024, LABEL_MAX = 4096 };

/* Not isalnum(): that follows the locale. */
static bool alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool ident_is_valid(const char *s)
{
	size_t n = strnlen(s, IDENT_MAX + 1);

	if (n == 0 || n > IDENT_MAX || !alnum(s[0]) || !alnum(s[n - 1]))
		return false;
	for (size_t i = 1; i < n; i++)
		if (!alnum(s[i]) && (!strchr("._-", s[i]) || !alnum(s[i - 1])))
			return false;
	return true;
}

bool ident_is_runc_id(const char *s)
{
	size_t n = strnlen(s, RUNC_ID_MAX + 1);

	if (n == 0 || n > RUNC_ID_MAX || strcmp(s, ".") == 0 || strcmp(s, "..") == 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!alnum(s[i]) && !strchr("_+.-", s[i]))
			return false;
	return true;
}

bool digest_is_valid(const char *s)
{
	static const struct {
		const char *prefix;
		size_t hex;
	} algorithms[] = { { "sha256:", 64 }, { "sha384:", 96 }, { "sha512:", 128 } };

	for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++) {
		size_t n = strlen(algorithms[i].prefix);

		if (strncmp(s, algorithms[i].prefix, n) == 0)
			return strspn(s + n, "0123456789abcdef") == algorithms[i].hex &&
			       s[n + algorithms[i].hex] == 0;
	}
	return false;
}

bool label_is_valid(const char *key, const char *value)
{
	return *key && strnlen(key, LABEL_MAX + 1) + strnlen(value, LABEL_MAX + 1) <= LABEL_MAX;
}
