#include "wire/http1.h"

#include <string.h>
#include <strings.h>

enum { BAD = -400, TOO_LONG = -431, OTHER_VERSION = -505, LINE_END = 2 };

static bool is_token(const char *s)
{
	if (!*s)
		return false;
	for (; *s; s++)
		if (*s <= ' ' || *s > '~' || strchr("()<>@,;:\\\"/[]?={}", *s))
			return false;
	return true;
}

/* Ends the line at p and gives the next one; NULL: it has no end. */
static char *cut_line(char *p, const char *end)
{
	char *cr = memchr(p, '\r', (size_t)(end - p));

	if (!cr || cr + 1 >= end || cr[1] != '\n' || memchr(p, 0, (size_t)(cr - p)) ||
	    memchr(p, '\n', (size_t)(cr - p)))
		return NULL;
	*cr = 0;
	return cr + LINE_END;
}

static int parse_first(char *line, struct http1_request *ret)
{
	char *target = strchr(line, ' '), *version = target ? strchr(target + 1, ' ') : NULL;

	if (!version)
		return BAD;
	*target++ = 0;
	*version++ = 0;
	if (!is_token(line) || *target != '/' || strncmp(version, "HTTP/", 5) != 0)
		return BAD;
	for (const char *p = target; *p; p++)
		if (*p <= ' ' || *p > '~')
			return BAD;
	ret->method = line;
	ret->target = target;
	return strcmp(version, "HTTP/1.1") == 0 ? 0 : OTHER_VERSION;
}

static int parse_field(char *line, struct http1_request *ret)
{
	char *colon = strchr(line, ':');

	if (!colon || ret->n_fields == HTTP1_FIELDS)
		return colon ? TOO_LONG : BAD;
	*colon = 0;
	if (!is_token(line))
		return BAD;

	char *value = colon + 1 + strspn(colon + 1, " \t");
	size_t n = strlen(value);

	while (n && (value[n - 1] == ' ' || value[n - 1] == '\t'))
		value[--n] = 0;
	for (const char *p = value; *p; p++)
		if ((unsigned char)*p < ' ' && *p != '\t')
			return BAD;
	ret->fields[ret->n_fields].name = line;
	ret->fields[ret->n_fields++].value = value;
	return 0;
}

/* A request that is followed by a body, or by something that might be one, or is for several hosts.
 */
static int check_fields(const struct http1_request *r)
{
	const char *length = http1_field(r, "content-length", 0);

	if (http1_field(r, "transfer-encoding", 0) || (length && strcmp(length, "0") != 0) ||
	    http1_field(r, "content-length", 1) || !http1_field(r, "host", 0) ||
	    http1_field(r, "host", 1))
		return BAD;
	return 0;
}

int http1_parse(char *bytes, size_t n, struct http1_request *ret)
{
	const char *blank = memmem(bytes, n, "\r\n\r\n", 4);

	if (!blank)
		return n >= HTTP1_HEAD ? TOO_LONG : 0;

	const char *end = blank + 2 * LINE_END;
	char *next = cut_line(bytes, end), *line;
	int r = next && end - bytes <= HTTP1_HEAD ? 0 : BAD;

	*ret = (struct http1_request){ 0 };
	if (r == 0)
		r = parse_first(bytes, ret);
	for (line = next; r == 0 && line < end - LINE_END; line = next) {
		next = cut_line(line, end);
		r = next ? parse_field(line, ret) : BAD;
	}
	if (r == 0)
		r = check_fields(ret);
	return r ? r : (int)(end - bytes);
}

const char *http1_field(const struct http1_request *r, const char *name, size_t n)
{
	for (size_t i = 0; i < r->n_fields; i++)
		if (strcasecmp(r->fields[i].name, name) == 0 && n-- == 0)
			return r->fields[i].value;
	return NULL;
}

static bool has_word(const char *list, const char *word)
{
	while (*list) {
		size_t blank = strspn(list, " \t,"), n = strcspn(list + blank, " \t,");

		if (n == strlen(word) && strncasecmp(list + blank, word, n) == 0)
			return true;
		list += blank + n;
	}
	return false;
}

bool http1_has_word(const struct http1_request *r, const char *name, const char *word)
{
	const char *value;

	for (size_t i = 0; (value = http1_field(r, name, i)); i++)
		if (has_word(value, word))
			return true;
	return false;
}
