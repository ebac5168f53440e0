/* The one logger.  Libraries log at debug only; daemons and programs choose format and level.
 *
 *	log_warn(LOG({ "id", id }, { "error", e.msg }), "cannot remove %s", path);
 *	log_info(LOG_NONE, "starting");
 *
 * Text is logrus' (time="…" level=info msg="…" key=value), JSON is logrus' too; both go to the
 * log's fd in one write, so lines of several threads never mix.  Any thread may log; set-up is
 * done once before threads start. */
#pragma once

#include "base/macros.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG, LOG_TRACE };
enum log_format { LOG_TEXT, LOG_JSON };

struct log_field {
	const char *key;
	const char *value; /* NULL prints as "" */
};

#define LOG(...) ((const struct log_field[]){ __VA_ARGS__, { NULL, NULL } })
#define LOG_NONE ((const struct log_field *)NULL)

/* fd is borrowed; -1 silences. */
void log_setup(int fd, enum log_format format, enum log_level level);
enum log_level log_level(void);

/* Times without fractions from now on, as logrus writes them unless it is told otherwise. */
void log_whole_seconds(void);

/* "trace", "debug", "info", "warn", "warning", "error", "fatal", "panic". 0 or -EINVAL. */
int log_level_parse(const char *s, enum log_level *ret);

void log_write(enum log_level level, const struct log_field *fields, const char *fmt, ...)
	PRINTF(3, 4);

#define log_error(fields, ...) log_write(LOG_ERROR, fields, __VA_ARGS__)
#define log_warn(fields, ...) log_write(LOG_WARNING, fields, __VA_ARGS__)
#define log_info(fields, ...) log_write(LOG_INFO, fields, __VA_ARGS__)
#define log_debug(fields, ...)                                     \
	do {                                                       \
		if (log_level() >= LOG_DEBUG)                      \
			log_write(LOG_DEBUG, fields, __VA_ARGS__); \
	} while (0)
