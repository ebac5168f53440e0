/* What exec inherits of tune.h, as it stands in state.json: written and read back. */
#include "runtime/tune.h"

#include "base/jsonr.h"
#include "base/jsonw.h"

bool tune_is_empty(const struct tune *t)
{
	return !t->has_scheduler && !t->has_io_priority && !t->has_personality &&
	       !t->has_memory_policy && !t->initial.text && !t->final.text;
}

static void put_scheduler(struct jsonw *w, const struct tune_scheduler *s)
{
	jsonw_key(w, "scheduler");
	jsonw_object(w);
	jsonw_ku64(w, "policy", s->policy);
	jsonw_ku64(w, "priority", s->priority);
	jsonw_ki64(w, "nice", s->nice);
	jsonw_ku64(w, "flags", s->flags);
	jsonw_ku64(w, "runtime", s->runtime);
	jsonw_ku64(w, "deadline", s->deadline);
	jsonw_ku64(w, "period", s->period);
	jsonw_end(w);
}

static void put_set(struct jsonw *w, const char *key, const struct tune_set *s)
{
	if (s->text)
		jsonw_kstring(w, key, s->text);
}

void tune_put(struct jsonw *w, const struct tune *t)
{
	jsonw_object(w);
	if (t->has_scheduler)
		put_scheduler(w, &t->scheduler);
	if (t->has_io_priority)
		jsonw_ki64(w, "io_priority", t->io_priority);
	if (t->has_personality)
		jsonw_ku64(w, "personality", t->personality);
	if (t->has_memory_policy)
		jsonw_ki64(w, "memory_mode", t->memory_mode);
	if (t->has_cpuset)
		jsonw_kbool(w, "cpuset", true);
	put_set(w, "memory_nodes", &t->memory_nodes);
	put_set(w, "cpus_initial", &t->initial);
	put_set(w, "cpus_final", &t->final);
	jsonw_end(w);
}

static int get_number(json_object *o, const char *key, bool *ret_has, int64_t *ret, struct err *e)
{
	*ret_has = json_object_object_get_ex(o, key, NULL);
	return *ret_has ? jsonr_i64(o, key, ret, e) : 0;
}

static int get_set(struct arena *a, json_object *o, const char *key, struct tune_set *ret,
		   struct err *e)
{
	const char *s = NULL;

	if (jsonr_string(o, key, &s, e) < 0)
		return -1;
	if (tune_parse_set(s ? arena_strdup(a, s) : NULL, ret) < 0)
		return err_set(e, ERR_DATA_LOSS, "%s is not a list of numbers: %s", key, s);
	return 0;
}

static int get_scheduler(json_object *o, struct tune *ret, struct err *e)
{
	struct tune_scheduler *s = &ret->scheduler;
	uint64_t policy = 0, priority = 0;
	json_object *m = NULL;
	int64_t nice = 0;

	if (jsonr_object(o, "scheduler", &m, e) < 0)
		return -1;
	if (!m)
		return 0;
	if (jsonr_u64(m, "policy", &policy, e) < 0 || jsonr_u64(m, "priority", &priority, e) < 0 ||
	    jsonr_i64(m, "nice", &nice, e) < 0 || jsonr_u64(m, "flags", &s->flags, e) < 0 ||
	    jsonr_u64(m, "runtime", &s->runtime, e) < 0 ||
	    jsonr_u64(m, "deadline", &s->deadline, e) < 0 ||
	    jsonr_u64(m, "period", &s->period, e) < 0)
		return -1;
	s->policy = (uint32_t)policy;
	s->priority = (uint32_t)priority;
	s->nice = (int32_t)nice;
	ret->has_scheduler = true;
	return 0;
}

int tune_get(struct arena *a, json_object *o, struct tune *ret, struct err *e)
{
	int64_t io = 0, personality = 0, mode = 0;

	if (get_scheduler(o, ret, e) < 0 ||
	    get_number(o, "io_priority", &ret->has_io_priority, &io, e) < 0 ||
	    get_number(o, "personality", &ret->has_personality, &personality, e) < 0 ||
	    get_number(o, "memory_mode", &ret->has_memory_policy, &mode, e) < 0 ||
	    jsonr_bool(o, "cpuset", &ret->has_cpuset, e) < 0 ||
	    get_set(a, o, "memory_nodes", &ret->memory_nodes, e) < 0 ||
	    get_set(a, o, "cpus_initial", &ret->initial, e) < 0 ||
	    get_set(a, o, "cpus_final", &ret->final, e) < 0)
		return -1;
	ret->io_priority = (int)io;
	ret->personality = (unsigned long)personality;
	ret->memory_mode = (int)mode;
	return 0;
}
