/* Locales of a program that never calls setlocale(): there is one, "C".
 *
 * json-c makes a locale for each document, to read numbers with a point; that is two allocations
 * from libc's own heap, for what is so already. */
#include <locale.h>

locale_t duplocale(locale_t l)
{
	return l;
}

locale_t newlocale(int mask, const char *name, locale_t base)
{
	(void)mask;
	(void)name;
	return base ? base : LC_GLOBAL_LOCALE;
}

locale_t uselocale(locale_t l)
{
	(void)l;
	return LC_GLOBAL_LOCALE;
}

void freelocale(locale_t l)
{
	(void)l;
}
