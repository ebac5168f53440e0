/* ctr why: what is recorded of a container that does not run. */
#include "cmd/ctr/container_state.h"

#include "base/jsonr.h"
#include "cmd/ctr/list_json.h"

#include <unistd.h>

enum { TAIL = 10 };

struct answer {
	const char *id, *word; /* "running", "stopped", …; "none" without a task */
	uint32_t pid;
	struct past past;
	const char *memory; /* its limit as text, or NULL */
	const char *log; /* folder, or NULL */
};

struct tail {
	struct str *text; /* for people, each line indented; or */
	struct jsonw *w;
};

static int add_line(const struct log_record *r, void *arg)
{
	struct tail *t = arg;
	char *line AUTO_FREE = t->w ? xstrndup(r->text, r->len) : printable(r->text, r->len);

	if (t->w)
		jsonw_string(t->w, line);
	else
		str_addf(t->text, "    %s\n", line);
	return 0;
}

/* The log's end, if there is one; a log that cannot be read does not keep the rest back. */
static void read_tail(const struct answer *a, struct tail *t)
{
	struct log_reader *r;
	struct err e = { 0 };
	char text[1100];

	if (!a->log)
		return;
	r = log_reader_new(a->log, TAIL);
	if (log_reader_run(r, add_line, t, &e) < 0)
		ctr_warn("%s", err_text(&e, text, sizeof text));
	log_reader_free(r);
}

static const char *memory_limit(struct ctr *ctr, const CONTAINERS(Container) * c)
{
	json_object *o AUTO_JSON = NULL, *at;
	struct err bad = { 0 };
	int64_t limit = 0;

	if (!c->spec ||
	    jsonr_parse((const char *)c->spec->value.data, c->spec->value.len, &o, &bad) < 0)
		return NULL;
	at = o;
	if (jsonr_object(at, "linux", &at, &bad) < 0 ||
	    jsonr_object(at, "resources", &at, &bad) < 0 ||
	    jsonr_object(at, "memory", &at, &bad) < 0 || jsonr_i64(at, "limit", &limit, &bad) < 0 ||
	    limit <= 0)
		return NULL;
	return size_binary(ctr->arena, limit);
}

static int find(struct ctr *ctr, const char *id, struct answer *ret, struct err *e)
{
	Containerd__V1__Types__Process *p = NULL;
	CONTAINERS(Container) * c;
	struct err none = { 0 };
	struct kept kept;

	if (container_get(ctr, id, &c, e) < 0 || kept_find(ctr, &kept, e) < 0)
		return -1;
	if (task_get(ctr, id, "", &p, &none) < 0 && none.code != ERR_NOT_FOUND)
		return err_copy(e, &none);
	*ret = (struct answer){ .id = c->id,
				.word = p ? task_status_word(p->status) : "none",
				.pid = p ? p->pid : 0,
				.memory = memory_limit(ctr, c) };
	past_read(ctr, kept.history, c->id, p, &ret->past);
	err_clear(&none);
	if (log_folder(ctr, c->id, &ret->log, &none) < 0)
		ret->log = NULL;
	return 0;
}

static bool is_up(const struct answer *a)
{
	return !strcmp(a->word, "running") || !strcmp(a->word, "paused") ||
	       !strcmp(a->word, "pausing");
}

/* What a code means by the conventions of shells and kernels. */
static const char *hint(const struct past *p)
{
	if (p->is_oom)
		return NULL;
	switch (p->status) {
	case 126:
		return "a shell's sign for: the command could not be executed";
	case 127:
		return "a shell's sign for: the command was not found";
	case 137:
		return "killed from outside (ctr tasks kill, a stop that took too long), or by the "
		       "program itself";
	case 139:
		return "the program crashed";
	case 143:
		return "asked to end";
	default:
		return NULL;
	}
}

static void show_end(struct ctr *ctr, const struct answer *a)
{
	const struct past *p = &a->past;
	const char *signal = status_signal(ctr->arena, p->status);

	ctr_print(stdout, "it ended %s ago (%s) with exit code %u%s%s%s\n",
		  age_of(ctr->arena, p->exited_at), p->exited_at, p->status, signal ? " (" : "",
		  signal ? signal : "", signal ? ")" : "");
	if (hint(p))
		printf("  %s\n", hint(p));
}

static void show_text(struct ctr *ctr, const struct answer *a)
{
	bool is_tty = isatty(STDOUT_FILENO);
	struct str log AUTO_STR = STR_INIT(4 << 20);
	struct tail tail = { .text = &log };
	const struct past *p = &a->past;

	printf("%s%s is %s%s", is_tty ? "\033[1m" : "", shown(ctr->arena, a->id),
	       is_up(a) ? a->word : "not running", is_tty ? "\033[0m" : "");
	if (is_up(a)) {
		ctr_print(stdout, ": process %u\n", a->pid);
		if (p->is_oom)
			ctr_print(stdout, "  out of memory once, at %s\n", p->oom_at);
		return;
	}
	printf(": ");
	if (p->has_exit)
		show_end(ctr, a);
	else if (p->error)
		printf("it could not be started\n");
	else
		printf("it was %s\n", !strcmp(a->word, "created")
					      ? "created, and not started yet (ctr tasks start)"
					      : "never started (ctr tasks start)");
	if (p->is_oom)
		ctr_print(stdout,
			  "  out of memory at %s%s%s: a process of it was killed by the kernel\n",
			  p->oom_at, a->memory ? ", with a limit of " : "",
			  a->memory ? a->memory : "");
	if (p->error) {
		ctr_print(stdout, "  error at %s: %s\n", p->error_at ? p->error_at : "?",
			  shown(ctr->arena, p->error));
	}
	read_tail(a, &tail);
	if (log.len)
		printf("  the end of its log:\n%s", str_c(&log));
}

static void show_json(struct ctr *ctr, const struct answer *a)
{
	const char *signal;
	struct str out AUTO_STR = STR_INIT(8 << 20);
	const struct past *p = &a->past;
	struct jsonw w;
	struct tail tail = { .w = &w };

	jsonw_init(&w, &out, 4);
	jsonw_object(&w);
	jsonw_kstring(&w, "ID", a->id);
	jsonw_kstring(&w, "Task", a->word);
	if (is_up(a))
		jsonw_ku64(&w, "Pid", a->pid);
	if (p->has_exit) {
		jsonw_ku64(&w, "ExitStatus", p->status);
		jsonw_kstring(&w, "ExitedAt", p->exited_at);
	}
	signal = p->has_exit ? status_signal(ctr->arena, p->status) : NULL;
	if (signal)
		jsonw_kstring(&w, "Signal", signal);
	jsonw_kbool(&w, "OOMKilled", p->is_oom);
	if (p->is_oom)
		jsonw_kstring(&w, "OOMAt", p->oom_at);
	if (p->error) {
		jsonw_kstring(&w, "Error", p->error);
		jsonw_kstring(&w, "ErrorAt", p->error_at);
	}
	jsonw_key(&w, "Log");
	jsonw_array(&w);
	read_tail(a, &tail);
	jsonw_end(&w);
	jsonw_end(&w);
	puts(str_c(&out));
}

int why_run(struct ctr *ctr, const struct args *args, struct err *e)
{
	struct answer a;
	bool json;

	if (!*args_at(args, 0))
		return err_set(e, ERR_UNKNOWN, "container id must be provided");
	if (list_wants_json(args, &json, e) < 0 || find(ctr, args->v[0], &a, e) < 0)
		return -1;
	if (json)
		show_json(ctr, &a);
	else
		show_text(ctr, &a);
	return 0;
}
