#include "cmd/ctr/trace_file.h"

#include "loop/trace.h"
#include "loop/trace_text.h"
#include "os/file.h"

#include <fcntl.h>
#include <unistd.h>

enum { FILE_MAX = 4 << 20 };

struct trace_file {
	const char *path;
	uint64_t began;
	struct str log;
};

static int begin(struct ctr *ctr, const char *path, struct err *e)
{
	struct trace_file *t;
	int r;

	if (!*path)
		return 0;
	r = file_replace(AT_FDCWD, path, "", 0, 0644, false); /* rather now than after the work */
	if (r < 0)
		return err_sys(e, -r, "write %s", path);
	t = ARENA_NEW(ctr->arena, struct trace_file);
	*t = (struct trace_file){ path, trace_now(), STR_INIT(4 * TRACE_LOG_MAX) };
	ctr->trace_file = t;
	ctr->trace = &t->log;
	trace_log_enter(&t->log, "ctr");
	return 0;
}

static void write_file(const char *path, const struct str *text)
{
	int r = file_replace(AT_FDCWD, path, str_c(text), text->len, 0644, false);
	struct err e = { 0 };
	char buf[1100];

	if (r < 0) {
		err_sys(&e, -r, "write %s", path);
		ctr_warn("%s", err_text(&e, buf, sizeof buf));
	}
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
