#include "cmd/ctr/trace_file.h"

#include "loop/trace.h"
#include "loop/trace_text.h"
#include "os/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 4 << 20 };

struct trace_file {
	const char *path;
	uint64_t began;
	struct str log;
};

/* A file that is there is replaced, and nothing else: not /dev/null, for one. */
static int put_file(const char *path, const char *text, size_t n, struct err *e)
{
	struct stat st;

	if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return err_set(e, ERR_UNKNOWN, "write %s: not a regular file", path);
	int r = file_replace(AT_FDCWD, path, text, n, 0644, false);

	return r < 0 ? err_sys(e, -r, "write %s", path) : 0;
}

static int begin(struct ctr *ctr, const char *path, struct err *e)
{
	struct trace_file *t;

	if (!*path)
		return 0;
	if (put_file(path, "", 0, e) < 0) /* rather now than after the work */
		return -1;
	t = ARENA_NEW(ctr->arena, struct trace_file);
	*t = (struct trace_file){ path, trace_now(), STR_INIT(4 * TRACE_LOG_MAX) };
	ctr->trace_file = t;
	ctr->trace = &t->log;
	trace_log_enter(&t->log, "ctr");
	return 0;
}

static void write_file(const char *path, const struct str *text)
{
	struct err e = { 0 };
	char buf[1100];

	if (put_file(path, str_c(text), text->len, &e) < 0)
		ctr_warn("%s", err_text(&e, buf, sizeof buf));
}

static void end(struct ctr *ctr, const char *title)
{
	struct trace_file *t = ctr->trace_file;
	struct str out AUTO_STR = STR_INIT(FILE_MAX), picture AUTO_STR = STR_INIT(FILE_MAX);
	struct trace_record *v;
	size_t n;

	if (!t)
		return;
	trace_log_add(title, t->began, trace_now());
	trace_log_enter(NULL, NULL);
	n = trace_text_parse(str_c(&t->log), ctr->arena, &v);
	trace_text_json(v, n, &out);
	write_file(t->path, &out);
	trace_text_svg(v, n, title, &picture);

	size_t stem = strlen(t->path) - (str_ends(t->path, ".json") ? strlen(".json") : 0);

	write_file(arena_printf(ctr->arena, "%.*s.svg", (int)stem, t->path), &picture);
	if (ctr->client)
		grpc_trace(ctr->client, NULL, NULL);
	ctr->trace = NULL;
	str_done(&t->log);
}

int traced(struct ctr *ctr, const struct args *args, const char *title, command_fn *fn,
	   struct err *e)
{
	if (begin(ctr, args_string(args, "trace"), e) < 0)
		return -1;

	int r = fn(ctr, args, e);

	end(ctr, title);
	return r;
}
