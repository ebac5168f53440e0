/* What Debian's static libraries want of glibc and musl does not have.
 *
 * They were compiled with _FORTIFY_SOURCE: in place of snprintf() and its like they call these,
 * which get the room behind the pointer too.  tools/muslabi.py says which names they want, so that
 * a new one fails the build's check and not a container.  Each ends the program where glibc's does.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wformat-nonliteral"

/* flag: glibc then refuses %n in writable memory; nobody's formats come from outside. */

int __vfprintf_chk(FILE *f, int flag, const char *fmt, va_list ap)
{
	(void)flag;
	return vfprintf(f, fmt, ap);
}

int __fprintf_chk(FILE *f, int flag, const char *fmt, ...)
{
	va_list ap;

	(void)flag;
	va_start(ap, fmt);
	int n = vfprintf(f, fmt, ap);
	va_end(ap);
	return n;
}

int __vsnprintf_chk(char *ret, size_t n, int flag, size_t room, const char *fmt, va_list ap)
{
	(void)flag;
	if (n > room)
		abort();
	return vsnprintf(ret, n, fmt, ap);
}

int __snprintf_chk(char *ret, size_t n, int flag, size_t room, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int len = __vsnprintf_chk(ret, n, flag, room, fmt, ap);
	va_end(ap);
	return len;
}

int __vasprintf_chk(char **ret, int flag, const char *fmt, va_list ap)
{
	(void)flag;
	return vasprintf(ret, fmt, ap);
}

void __vsyslog_chk(int priority, int flag, const char *fmt, va_list ap)
{
	(void)flag;
	vsyslog(priority, fmt, ap);
}

char *__strcat_chk(char *to, const char *s, size_t room)
{
	size_t have = strlen(to), more = strlen(s) + 1;

	if (more > room || have > room - more)
		abort();
	memcpy(to + have, s, more);
	return to;
}
