/* --http-dump and --http-trace: what curl does, for people.  Secrets are left out: the text goes to
 * terminals and into bug reports. */
#include "image/registry_priv.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool is_secret(const char *line, size_t n)
{
	static const char *const names[] = { "authorization:", "cookie:", "set-cookie:" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (n >= strlen(names[i]) && strncasecmp(line, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

static void print_line(char mark, const char *line, size_t n)
{
	if (is_secret(line, n))
		fprintf(stderr, "%c %.*s: [left out]\n", mark, (int)strcspn(line, ":"), line);
	else
		fprintf(stderr, "%c %.*s\n", mark, (int)n, line);
}

static void print_lines(char mark, const char *text, size_t n)
{
	while (n) {
		const char *end = memchr(text, '\n', n);
		size_t whole = end ? (size_t)(end - text) + 1 : n, k = whole;

		while (k && (text[k - 1] == '\n' || text[k - 1] == '\r'))
			k--;
		if (k)
			print_line(mark, text, k);
		text += whole;
		n -= whole;
	}
}

static int on_trace(UNUSED CURL *c, curl_infotype kind, char *text, size_t n, void *arg)
{
	enum transfer_debug what = *(const enum transfer_debug *)arg;

	if ((what & TRANSFER_TRACE) && kind == CURLINFO_TEXT)
		print_lines('*', text, n);
	if ((what & TRANSFER_DUMP) && kind == CURLINFO_HEADER_OUT)
		print_lines('>', text, n);
	if ((what & TRANSFER_DUMP) && kind == CURLINFO_HEADER_IN)
		print_lines('<', text, n);
	return 0;
}

void registry_trace(CURL *c, enum transfer_debug what)
{
	static const enum transfer_debug all[] = { TRANSFER_QUIET, TRANSFER_DUMP, TRANSFER_TRACE,
						   TRANSFER_DUMP | TRANSFER_TRACE };

	curl_easy_setopt(c, CURLOPT_VERBOSE, 1L);
	curl_easy_setopt(c, CURLOPT_DEBUGFUNCTION, on_trace);
	curl_easy_setopt(c, CURLOPT_DEBUGDATA, (void *)(uintptr_t)&all[what & 3]);
}
