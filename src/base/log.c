#include "base/log.h"

#include "base/jsonw.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/timefmt.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static struct {
	int fd;
	enum log_format format;
	enum log_level level;
	bool whole_seconds;
} logger = { 2, LOG_TEXT, LOG_INFO, false };

static const char *const names[] = {
	[LOG_ERROR] = "error", [LOG_WARNING] = "warning", [LOG_INFO] = "info",
	[LOG_DEBUG] = "debug", [LOG_TRACE] = "trace",
};

void log_setup(int fd, enum log_format format, enum log_level level)
{
	logger.fd = fd;
	logger.format = format;
	logger.level = level;
}

void log_whole_seconds(void)
{
	logger.whole_seconds = true;
}

enum log_level log_level(void)
{
	return logger.level;
}

int log_level_parse(const char *s, enum log_level *ret)
{
	static const struct {
		const char *name;
		enum log_level level;
	} rows[] = {
		{ "trace", LOG_TRACE },     { "debug", LOG_DEBUG },  { "info", LOG_INFO },
		{ "warning", LOG_WARNING }, { "warn", LOG_WARNING }, { "error", LOG_ERROR },
		{ "fatal", LOG_ERROR },     { "panic", LOG_ERROR },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(rows[i].name, s) == 0) {
			*ret = rows[i].level;
			return 0;
		}
	return -EINVAL;
}

/* logrus quotes a value unless it is made of these only. */
static bool is_plain(const char *s)
{
	return *s && s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				 "-._/@^+")] == 0;
}

static void add_value(struct str *out, const char *s)
{
	if (is_plain(s))
		str_add(out, s);
	else
		jsonw_quote(out, s);
}

static void text_line(struct str *out, enum log_level level, const struct log_field *fields,
		      const char *when, const char *msg)
{
	str_addf(out, "time=\"%s\" level=%s msg=", when, names[level]);
	jsonw_quote(out, msg);
	for (const struct log_field *f = fields; f && f->key; f++) {
		str_addf(out, " %s=", f->key);
		add_value(out, f->value ? f->value : "");
	}
}

static void json_line(struct str *out, enum log_level level, const struct log_field *fields,
		      const char *when, const char *msg)
{
	str_addc(out, '{');
	for (const struct log_field *f = fields; f && f->key; f++) {
		jsonw_quote(out, f->key);
		str_addc(out, ':');
		jsonw_quote(out, f->value ? f->value : "");
		str_addc(out, ',');
	}
	str_addf(out, "\"level\":\"%s\",\"msg\":", names[level]);
	jsonw_quote(out, msg);
	str_addf(out, ",\"time\":\"%s\"}", when);
}

void log_write(enum log_level level, const struct log_field *fields, const char *fmt, ...)
{
	AUTO_STR struct str out = STR_INIT(64 * 1024);
	char msg[4096], when[TIMEFMT_MAX];
	struct timespec now;
	int saved = errno;
	va_list ap;

	if (logger.fd < 0 || level > logger.level)
		return;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof msg, fmt, ap);
	va_end(ap);
	clock_gettime(CLOCK_REALTIME, &now);
	if (logger.whole_seconds)
		now.tv_nsec = 0;
	timefmt_rfc3339(now, when);
	if (logger.format == LOG_JSON)
		json_line(&out, level, fields, when, msg);
	else
		text_line(&out, level, fields, when, msg);
	if (out.over)
		str_reset(&out);
	str_addc(&out, '\n');
	(void)!write(logger.fd, out.ptr, out.len); /* a log that cannot be written has no reader */
	errno = saved;
}
