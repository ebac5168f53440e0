#include "loop/trace.h"

#include "base/str.h"

#include <inttypes.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static struct {
	trace_sink *fn;
	void *arg;
	double ratio;
} sink;

static _Thread_local struct trace_id current; /* a copy: a parked call may go before its handler */

void trace_set_sink(trace_sink *fn, void *arg, double ratio)
{
	sink.fn = fn;
	sink.arg = arg;
	sink.ratio = ratio;
}

bool trace_is_on(void)
{
	return sink.fn;
}

static _Thread_local struct {
	struct str *text;
	const char *who;
} asked;

uint64_t trace_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Never all zeroes, which means none. */
static void make_id(uint8_t *p, size_t n)
{
	if (getrandom(p, n, 0) != (ssize_t)n)
		memset(p, 0, n);
	p[0] |= 1;
}

/* By the trace's own number, so that all who see it decide alike. */
static bool is_kept(const uint8_t trace[16])
{
	uint64_t v = 0;

	for (int i = 8; i < 16; i++)
		v = v << 8 | trace[i];
	return sink.ratio >= 1 || (double)(v >> 1) < sink.ratio * 9223372036854775808.0;
}

void trace_begin(struct trace_span *s, const struct trace_id *parent)
{
	*s = (struct trace_span){ 0 };
	if (!sink.fn)
		return;
	if (parent && parent->is_set) {
		s->id = *parent;
		memcpy(s->parent, parent->span, sizeof s->parent);
	} else {
		make_id(s->id.trace, sizeof s->id.trace);
		s->id.is_sampled = is_kept(s->id.trace);
	}
	make_id(s->id.span, sizeof s->id.span);
	s->id.is_set = true;
	s->start = trace_now();
}

void trace_end(const struct trace_span *s, struct trace_call *c)
{
	if (!s->id.is_set || !s->id.is_sampled || !sink.fn)
		return;
	c->end = trace_now();
	sink.fn(s, c, sink.arg);
}

const struct trace_id *trace_current(void)
{
	return current.is_set ? &current : NULL;
}

void trace_enter(const struct trace_id *id)
{
	current = id ? *id : (struct trace_id){ 0 };
}

/* --- for the one who asked --- */

void trace_log_enter(struct str *log, const char *who)
{
	asked.text = log;
	asked.who = who;
}

struct str *trace_log(void)
{
	return asked.text;
}

void trace_log_put(struct str *log, const char *who, const char *step, uint64_t begin, uint64_t end)
{
	if (log->len < TRACE_LOG_MAX - 512)
		str_addf(log, "%s|%.200s|%" PRIu64 "|%" PRIu64 ";", who, step, begin, end);
}

void trace_log_add(const char *step, uint64_t begin, uint64_t end)
{
	if (asked.text)
		trace_log_put(asked.text, asked.who, step, begin, end);
}

/* Whole records, as many as there is room for. */
void trace_log_merge(struct str *log, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, ";");

		if (text[n] != ';' || log->len + n + 1 >= TRACE_LOG_MAX)
			return;
		for (size_t i = 0; i <= n; i++)
			str_addc(log, text[i] >= ' ' && text[i] <= '~' ? text[i] : '?');
		text += n + 1;
	}
}

struct trace_step trace_step_begin(const char *name)
{
	return (struct trace_step){ name, asked.text ? trace_now() : 0 };
}

void trace_step_end(struct trace_step *s)
{
	if (s->begin)
		trace_log_add(s->name, s->begin, trace_now());
}

/* --- text --- */

static bool read_hex(const char *s, uint8_t *p, size_t n)
{
	uint8_t any = 0;

	for (size_t i = 0; i < 2 * n; i++) {
		const char *digits = "0123456789abcdef", *d = s[i] ? strchr(digits, s[i]) : NULL;

		if (!d)
			return false;
		p[i / 2] = (uint8_t)(p[i / 2] << 4 | (d - digits));
	}
	for (size_t i = 0; i < n; i++)
		any |= p[i];
	return any;
}

void trace_parse(const char *s, struct trace_id *ret)
{
	struct trace_id id = { 0 };
	uint8_t flags = 0;

	*ret = id;
	if (!s || strnlen(s, TRACE_PARENT) != TRACE_PARENT - 1 || strncmp(s, "00-", 3) != 0 ||
	    s[35] != '-' || s[52] != '-')
		return;
	if (!read_hex(s + 3, id.trace, sizeof id.trace) ||
	    !read_hex(s + 36, id.span, sizeof id.span))
		return;
	id.is_set = true;
	id.is_sampled = read_hex(s + 53, &flags, 1) && flags & 1;
	*ret = id;
}

void trace_print(const struct trace_id *id, char out[TRACE_PARENT])
{
	static const char digits[] = "0123456789abcdef";
	char *p = out;

	p = stpcpy(p, "00-");
	for (size_t i = 0; i < sizeof id->trace; i++) {
		*p++ = digits[id->trace[i] >> 4];
		*p++ = digits[id->trace[i] & 15];
	}
	*p++ = '-';
	for (size_t i = 0; i < sizeof id->span; i++) {
		*p++ = digits[id->span[i] >> 4];
		*p++ = digits[id->span[i] & 15];
	}
	(void)stpcpy(p, id->is_sampled ? "-01" : "-00");
}
