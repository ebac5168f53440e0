#include "shim/log_uri.h"

#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"

#include <string.h>

enum { SIZE_MIN = 4096, FILES_MAX = 1000, LINE_DEFAULT = 16 << 10, LINE_MAX = 1 << 20 };

static int hex(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

char *uri_unescape(const char *s, size_t n, bool is_query)
{
	AUTO_STR struct str out = STR_INIT(1 << 16);

	for (size_t i = 0; i < n; i++) {
		if (s[i] == '%' && i + 2 < n && hex(s[i + 1]) >= 0 && hex(s[i + 2]) >= 0) {
			str_addc(&out, (char)(hex(s[i + 1]) * 16 + hex(s[i + 2])));
			i += 2;
		} else {
			str_addc(&out, is_query && s[i] == '+' ? ' ' : s[i]);
		}
	}
	return str_take(&out);
}

static int set_fifo(struct plog_options *o, int n, const char *value, struct err *e)
{
	if (value[0] != '/')
		return err_set(e, ERR_INVALID_ARGUMENT, "log fifo \"%s\" is not an absolute path",
			       value);
	free(o->fifo[n]);
	o->fifo[n] = xstrdup(value);
	return 0;
}

static int set_option(struct plog_options *o, const char *key, const char *value, struct err *e)
{
	bool is_bad = false;

	if (!strcmp(key, "format")) {
		o->format = !strcmp(value, "json") ? PLOG_FORMAT_JSON : PLOG_FORMAT_CRI;
		is_bad = strcmp(value, "json") != 0 && strcmp(value, "cri") != 0;
	} else if (!strcmp(key, "max-size")) {
		is_bad = num_size(value, &o->max_size) < 0 || o->max_size < SIZE_MIN;
	} else if (!strcmp(key, "max-file")) {
		is_bad = num_u32(value, &o->max_files) < 0 || !o->max_files ||
			 o->max_files > FILES_MAX;
	} else if (!strcmp(key, "compress")) {
		o->compress = !strcmp(value, "true");
		is_bad = strcmp(value, "true") != 0 && strcmp(value, "false") != 0;
	} else if (!strcmp(key, "file")) {
		is_bad = strchr(value, '/') || !strcmp(value, ".") || !strcmp(value, "..");
		free(o->file);
		o->file = xstrdup(value);
	} else if (!strcmp(key, "below")) {
		free(o->below);
		o->below = xstrdup(value);
	} else if (!strcmp(key, "max-line")) {
		is_bad = num_u32(value, &o->max_line) < 0 || !o->max_line;
		if (o->max_line > LINE_MAX) /* it is kept in memory */
			o->max_line = LINE_MAX;
	} else if (!strcmp(key, "attach-stdout")) {
		return set_fifo(o, 0, value, e);
	} else if (!strcmp(key, "attach-stderr")) {
		return set_fifo(o, 1, value, e);
	} else {
		return err_set(e, ERR_INVALID_ARGUMENT, "log option \"%s\" is not known", key);
	}
	if (is_bad)
		return err_set(e, ERR_INVALID_ARGUMENT, "log option %s: \"%s\" is not valid", key,
			       value);
	return 0;
}

static int parse_query(struct plog_options *o, const char *p, struct err *e)
{
	while (*p && *p != '#') {
		size_t len = strcspn(p, "&#"), key = strcspn(p, "=&#");
		AUTO_FREE char *k = uri_unescape(p, key, true);
		AUTO_FREE char *v =
			key < len ? uri_unescape(p + key + 1, len - key - 1, true) : xstrdup("");

		if (len && set_option(o, k, v, e) < 0)
			return -1;
		p += len;
		p += *p == '&';
	}
	return 0;
}

int plog_options_parse(const char *uri, struct plog_options *ret, struct err *e)
{
	const char *path = uri + strlen(PLOG_SCHEME);
	size_t n = strcspn(path, "?#");

	*ret = (struct plog_options){ .dir = uri_unescape(path, n, false),
				      .max_size = 20 << 20,
				      .max_files = 5,
				      .max_line = LINE_DEFAULT };
	if (ret->dir[0] != '/')
		err_set(e, ERR_INVALID_ARGUMENT, "log folder \"%s\" is not an absolute path",
			ret->dir);
	else if (path[n] != '?' || parse_query(ret, path + n + 1, e) == 0)
		return 0;
	plog_options_done(ret);
	return -1;
}

void plog_options_done(struct plog_options *o)
{
	free(o->dir);
	free(o->below);
	free(o->file);
	free(o->fifo[0]);
	free(o->fifo[1]);
	*o = (struct plog_options){ 0 };
}
