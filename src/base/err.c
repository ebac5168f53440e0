#include "base/err.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

void bug_(const char *file, int line, const char *msg)
{
	fprintf(stderr, "bug at %s:%d: %s\n", file, line, msg);
	abort();
}

static const char *const class_texts[] = {
	[ERR_CANCELLED] = "context canceled",
	[ERR_INVALID_ARGUMENT] = "invalid argument",
	[ERR_DEADLINE_EXCEEDED] = "context deadline exceeded",
	[ERR_NOT_FOUND] = "not found",
	[ERR_ALREADY_EXISTS] = "already exists",
	[ERR_PERMISSION_DENIED] = "permission denied",
	[ERR_RESOURCE_EXHAUSTED] = "resource exhausted",
	[ERR_FAILED_PRECONDITION] = "failed precondition",
	[ERR_ABORTED] = "aborted",
	[ERR_OUT_OF_RANGE] = "out of range",
	[ERR_UNIMPLEMENTED] = "not implemented",
	[ERR_INTERNAL] = "internal",
	[ERR_UNAVAILABLE] = "unavailable",
	[ERR_DATA_LOSS] = "data loss",
	[ERR_UNAUTHENTICATED] = "unauthorized",
};

const char *err_class_name(int code)
{
	static const char *const names[] = {
		"OK",
		"Canceled",
		"Unknown",
		"InvalidArgument",
		"DeadlineExceeded",
		"NotFound",
		"AlreadyExists",
		"PermissionDenied",
		"ResourceExhausted",
		"FailedPrecondition",
		"Aborted",
		"OutOfRange",
		"Unimplemented",
		"Internal",
		"Unavailable",
		"DataLoss",
		"Unauthenticated",
	};

	return code >= 0 && (size_t)code < ARRAY_LEN(names) ? names[code] : "Unknown";
}

const char *err_class_text(enum err_code code)
{
	if ((size_t)code >= ARRAY_LEN(class_texts) || !class_texts[code])
		return "";
	return class_texts[code];
}

/* Truncation is allowed: a sentence of over 1000 bytes says enough. */
PRINTF(4, 0)
static void fill(struct err *e, enum err_code code, int errnum, const char *fmt, va_list ap)
{
	assert(e->code == ERR_OK); /* a second error must not hide the first */
	e->code = code;
	e->errnum = errnum;
	vsnprintf(e->msg, sizeof e->msg, fmt, ap);
}

int(err_set)(struct err *e, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fill(e, code, 0, fmt, ap);
	va_end(ap);
	return -1;
}

int(err_sys)(struct err *e, int errnum, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fill(e, ERR_UNKNOWN, errnum, fmt, ap);
	va_end(ap);

	size_t n = strlen(e->msg);
	snprintf(e->msg + n, sizeof e->msg - n, ": %s", err_errno_text(errnum));
	return -1;
}

void err_add(struct err *e, const char *fmt, ...)
{
	size_t n = strlen(e->msg);
	va_list ap;

	assert(e->code != ERR_OK);
	va_start(ap, fmt);
	if (n + 2 < sizeof e->msg) {
		memcpy(e->msg + n, ": ", 3);
		vsnprintf(e->msg + n + 2, sizeof e->msg - n - 2, fmt, ap);
	}
	va_end(ap);
}

int(err_wrap)(struct err *e, const char *fmt, ...)
{
	char old[sizeof e->msg];
	va_list ap;

	assert(e->code != ERR_OK);
	memcpy(old, e->msg, sizeof old);
	va_start(ap, fmt);
	vsnprintf(e->msg, sizeof e->msg, fmt, ap);
	va_end(ap);

	size_t n = strlen(e->msg);
	snprintf(e->msg + n, sizeof e->msg - n, ": %s", old);
	return -1;
}

int(err_copy)(struct err *e, const struct err *from)
{
	assert(e->code == ERR_OK && from->code != ERR_OK);
	*e = *from;
	return -1;
}

void err_clear(struct err *e)
{
	e->code = ERR_OK;
	e->errnum = 0;
	e->msg[0] = 0;
}

static bool ends_with(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

const char *err_text(const struct err *e, char *buf, size_t n)
{
	const char *class = err_class_text(e->code);
	bool said = !*class || ends_with(e->msg, class);

	if (e->code == ERR_FAILED_PRECONDITION)
		said = said || ends_with(e->msg, ": conflict") ||
		       ends_with(e->msg, ": not modified");
	if (said)
		snprintf(buf, n, "%s", e->msg);
	else
		snprintf(buf, n, "%s: %s", e->msg, class);
	return buf;
}
