#include "shim/log_driver.h"

#include "base/jsonw.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/timefmt.h"
#include "shim/log_file.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

/* A byte needs up to six in JSON. */
enum { BATCH = 16 << 10 };

static size_t record_max(const struct plog_options *o)
{
	return 7 * (size_t)o->max_line + 256;
}

struct plog {
	struct plog_options opt;
	struct log_file *file;
	struct str begun[PLOG_STREAMS]; /* a line whose end has not come yet */
	uint64_t lost; /* bytes of records since the last one that was written */
	struct str out; /* whole records on their way */
};

static const char *const stream_names[] = { "stdout", "stderr" };

int plog_open(struct reaper *r, struct plog_options *o_take, struct plog **ret, struct err *e)
{
	struct plog *g = NEW(struct plog);

	*g = (struct plog){ .opt = *o_take,
			    .begun = { STR_INIT(o_take->max_line), STR_INIT(o_take->max_line) },
			    .out = STR_INIT(BATCH + record_max(o_take)) };
	*o_take = (struct plog_options){ 0 };
	if ((!g->opt.file || *g->opt.file) && log_file_open(r, &g->opt, &g->file, e) < 0) {
		plog_close(g);
		return -1;
	}
	*ret = g;
	return 0;
}

void plog_close(struct plog *g)
{
	if (!g)
		return;
	log_file_free(g->file);
	for (int i = 0; i < PLOG_STREAMS; i++)
		str_done(&g->begun[i]);
	str_done(&g->out);
	plog_options_done(&g->opt);
	free(g);
}

/* A line may hold NUL bytes, which the writer of JSON takes for its end. */
static void add_json_text(struct str *out, const char *s, size_t n)
{
	AUTO_STR struct str quoted = STR_INIT(out->max);

	for (size_t at = 0; at <= n;) {
		size_t len = strnlen(s + at, n - at);
		AUTO_FREE char *piece = xstrndup(s + at, len);

		str_reset(&quoted);
		jsonw_quote(&quoted, piece);
		str_addn(out, quoted.ptr + 1, quoted.len - 2);
		at += len + 1;
		if (at <= n)
			str_add(out, "\\u0000");
	}
}

static void add_record(struct plog *g, int stream, const char *time, const char *s, size_t n,
		       bool is_whole)
{
	struct str *out = &g->out;

	if (g->opt.format == PLOG_FORMAT_CRI) {
		str_addf(out, "%s %s %c ", time, stream_names[stream], is_whole ? 'F' : 'P');
		str_addn(out, s, n);
		str_addc(out, '\n');
		return;
	}
	str_add(out, "{\"log\":\"");
	add_json_text(out, s, n);
	str_addf(out, "%s\",\"stream\":\"%s\",\"time\":\"%s\"}\n", is_whole ? "\\n" : "",
		 stream_names[stream], time);
}

static int note_loss(struct plog *g, const char *time)
{
	char text[96];
	int n = snprintf(text, sizeof text, "[%" PRIu64 " bytes of this log could not be written]",
			 g->lost);
	struct str records = g->out;
	int r;

	g->out = STR_INIT(record_max(&g->opt));
	add_record(g, PLOG_STDERR, time, text, (size_t)n, true);
	r = log_file_write(g->file, g->out.ptr, g->out.len);
	str_done(&g->out);
	g->out = records;
	return r;
}

static void write_records(struct plog *g, const char *time)
{
	if (!g->out.len)
		return;
	if (!g->file) { /* nobody keeps it */
		str_reset(&g->out);
		return;
	}
	if (g->lost && note_loss(g, time) == 0)
		g->lost = 0;
	if (g->lost || log_file_write(g->file, g->out.ptr, g->out.len) < 0)
		g->lost += g->out.len;
	str_reset(&g->out);
}

static const char *now(char buf[TIMEFMT_MAX])
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return timefmt_rfc3339(t, buf);
}

/* One piece of a line: up to its newline (not included), or what there is. */
static void add_piece(struct plog *g, int stream, const char *time, const char *s, size_t n,
		      bool is_end)
{
	struct str *begun = &g->begun[stream];

	const size_t max = g->opt.max_line;

	while (begun->len + n > max || (!is_end && begun->len + n == max)) {
		size_t take = max - begun->len;

		str_addn(begun, s, take);
		add_record(g, stream, time, begun->ptr, begun->len, false);
		str_reset(begun);
		write_records(g, time);
		s += take;
		n -= take;
	}
	if (!is_end) {
		str_addn(begun, s, n);
		return;
	}
	if (!begun->len) {
		add_record(g, stream, time, s, n, true);
	} else {
		str_addn(begun, s, n);
		add_record(g, stream, time, begun->ptr, begun->len, true);
		str_reset(begun);
	}
	if (g->out.len >= BATCH)
		write_records(g, time);
}

void plog_write(struct plog *g, int stream, const char *bytes, size_t n)
{
	char buf[TIMEFMT_MAX];
	const char *time = now(buf);

	while (n) {
		const char *end = memchr(bytes, '\n', n);
		size_t len = end ? (size_t)(end - bytes) : n;

		add_piece(g, stream, time, bytes, len, end != NULL);
		len += end != NULL;
		bytes += len;
		n -= len;
	}
	write_records(g, time);
}

void plog_flush(struct plog *g, int stream)
{
	char buf[TIMEFMT_MAX];
	const char *time = now(buf);

	if (!g->begun[stream].len)
		return;
	add_record(g, stream, time, g->begun[stream].ptr, g->begun[stream].len, false);
	str_reset(&g->begun[stream]);
	write_records(g, time);
}

const char *plog_fifo(const struct plog *g, int stream)
{
	return g->opt.fifo[stream];
}
