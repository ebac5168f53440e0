/* ctr inspect: a container, its task and its past as one document, or one value of it. */
#include "cmd/ctr/container_state.h"

#include "base/jsonr.h"
#include "base/num.h"
#include "cmd/ctr/json_print.h"
#include "cmd/ctr/network.h"

#include <unistd.h>

static void put_past(struct jsonw *w, const struct past *p)
{
	jsonw_key(w, "Past");
	jsonw_object(w);
	if (p->has_exit) {
		jsonw_ku64(w, "ExitStatus", p->status);
		jsonw_kstring(w, "ExitedAt", p->exited_at);
	}
	jsonw_kbool(w, "OOMKilled", p->is_oom);
	if (p->error)
		jsonw_kstring(w, "Error", p->error);
	jsonw_end(w);
}

static int put_all(struct ctr *ctr, const CONTAINERS(Container) * c, struct str *out, struct err *e)
{
	json_object *spec AUTO_JSON = NULL;
	Containerd__V1__Types__Process *p = NULL;
	struct err none = { 0 };
	const char *log = NULL;
	struct kept kept;
	struct past past;
	struct jsonw w;

	if (c->spec &&
	    jsonr_parse((const char *)c->spec->value.data, c->spec->value.len, &spec, e) < 0)
		return err_wrap(e, "the spec of container %s", c->id);
	if (kept_find(ctr, &kept, e) < 0)
		return -1;
	if (task_get(ctr, c->id, "", &p, &none) < 0 && none.code != ERR_NOT_FOUND)
		return err_copy(e, &none);
	past_read(ctr, kept.history, c->id, p, &past);
	err_clear(&none);
	(void)log_folder(ctr, c->id, &log, &none); /* many have none */
	jsonw_init(&w, out, 4);
	jsonw_object(&w);
	container_put(ctr, &w, c);
	task_put(ctr, &w, p);
	put_past(&w, &past);
	jsonw_kstring(&w, "LogPath", log);
	network_put(ctr, &w, c, &kept);
	jsonw_key(&w, "Spec");
	json_value(&w, spec);
	jsonw_end(&w);
	return 0;
}

static json_object *step(json_object *at, const char *key)
{
	json_object *next = NULL;
	uint32_t i;

	if (json_object_is_type(at, json_type_object))
		(void)json_object_object_get_ex(at, key, &next);
	else if (json_object_is_type(at, json_type_array) && num_u32(key, &i) == 0 &&
		 i < json_object_array_length(at))
		next = json_object_array_get_idx(at, i);
	return next;
}

/* "Spec.process.args[0]", ".Task.Pid", "Labels[a.b/c]": keys between dots, or in brackets. */
static int walk(json_object *at, const char *path, json_object **ret, struct err *e)
{
	const char *p = path;

	while (*p) {
		bool bracket = *p == '[';
		char *key AUTO_FREE = NULL;
		size_t n;

		p += *p == '.' || *p == '[';
		n = bracket ? strcspn(p, "]") : strcspn(p, ".[");
		if (bracket && p[n] != ']')
			return err_set(e, ERR_INVALID_ARGUMENT, "path \"%s\": \"]\" is missing",
				       path);
		if (!n && !p[n])
			break; /* "." is everything */
		key = xstrndup(p, n);
		at = step(at, key);
		if (!at)
			return err_set(e, ERR_NOT_FOUND, "path \"%s\": \"%s\" is not there", path,
				       key);
		p += n + bracket;
	}
	*ret = at;
	return 0;
}

static int show_path(const char *document, size_t n, const char *path, struct err *e)
{
	struct str out AUTO_STR = STR_INIT(32 << 20);
	json_object *o AUTO_JSON = NULL, *at;
	struct jsonw w;

	if (jsonr_parse(document, n, &o, e) < 0 || walk(o, path, &at, e) < 0)
		return -1;
	if (json_object_is_type(at, json_type_string)) {
		if (isatty(STDOUT_FILENO))
			ctr_print(stdout, "%s\n", json_object_get_string(at));
		else /* as it is: for scripts */
			puts(json_object_get_string(at));
		return 0;
	}
	jsonw_init(&w, &out, 4);
	json_value(&w, at);
	puts(str_c(&out));
	return 0;
}

int inspect_run(struct ctr *ctr, const struct args *args, struct err *e)
{
	struct str out AUTO_STR = STR_INIT(32 << 20);
	CONTAINERS(Container) * c;

	if (!*args_at(args, 0))
		return err_set(e, ERR_INVALID_ARGUMENT, "container id must be provided");
	if (container_get(ctr, args->v[0], &c, e) < 0 || put_all(ctr, c, &out, e) < 0)
		return -1;
	if (*args_at(args, 1))
		return show_path(str_c(&out), out.len, args->v[1], e);
	puts(str_c(&out));
	return 0;
}
