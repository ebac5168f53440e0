#include "runtime/state.h"

#include "base/jsonr.h"
#include "base/jsonw.h"
#include "base/timefmt.h"
#include "runtime/caps.h"

#include <stdlib.h>
#include <string.h>

const char *const runtime_status_names[] = {
	[RUNTIME_CREATING] = "creating", [RUNTIME_CREATED] = "created",
	[RUNTIME_RUNNING] = "running",   [RUNTIME_PAUSED] = "paused",
	[RUNTIME_STOPPED] = "stopped",
};

static void put_pairs(struct jsonw *w, const char *key, const struct oci_pairs *p)
{
	jsonw_key(w, key);
	jsonw_object(w);
	for (size_t i = 0; i < p->n; i++)
		jsonw_kstring(w, p->v[i].key, p->v[i].value);
	jsonw_end(w);
}

void runtime_state_json(const struct runtime_state *s, struct str *out)
{
	struct jsonw w;

	jsonw_init(&w, out, 0);
	jsonw_object(&w);
	jsonw_kstring(&w, "ociVersion", s->oci_version);
	jsonw_kstring(&w, "id", s->id);
	jsonw_kstring(&w, "status", runtime_status_names[s->status]);
	if (s->pid)
		jsonw_ki64(&w, "pid", s->pid);
	jsonw_kstring(&w, "bundle", s->bundle);
	if (s->annotations.n)
		put_pairs(&w, "annotations", &s->annotations);
	jsonw_end(&w);
}

static void put_strings(struct jsonw *w, const char *key, const struct oci_strings *s)
{
	jsonw_key(w, key);
	jsonw_array(w);
	for (size_t i = 0; i < s->n; i++)
		jsonw_string(w, s->v[i]);
	jsonw_end(w);
}

static void put_hooks(struct jsonw *w, const char *key, const struct oci_hook_list *l)
{
	if (!l->n)
		return;
	jsonw_key(w, key);
	jsonw_array(w);
	for (size_t i = 0; i < l->n; i++) {
		jsonw_object(w);
		jsonw_kstring(w, "path", l->v[i].path);
		put_strings(w, "args", &l->v[i].args);
		put_strings(w, "env", &l->v[i].env);
		jsonw_ki64(w, "timeout", l->v[i].timeout);
		jsonw_end(w);
	}
	jsonw_end(w);
}

static const struct {
	const char *key;
	size_t offset;
} cap_sets[] = {
	{ "bounding", offsetof(struct plan_caps, bounding) },
	{ "effective", offsetof(struct plan_caps, effective) },
	{ "inheritable", offsetof(struct plan_caps, inheritable) },
	{ "permitted", offsetof(struct plan_caps, permitted) },
	{ "ambient", offsetof(struct plan_caps, ambient) },
};

static uint64_t *cap_set(struct plan_caps *c, size_t i)
{
	return (uint64_t *)((char *)c + cap_sets[i].offset);
}

static void put_caps(struct jsonw *w, const struct plan_caps *c)
{
	struct plan_caps copy = *c;

	if (!c->is_set)
		return;
	jsonw_key(w, "capabilities");
	jsonw_object(w);
	for (size_t i = 0; i < ARRAY_LEN(cap_sets); i++) {
		uint64_t set = *cap_set(&copy, i);

		jsonw_key(w, cap_sets[i].key);
		jsonw_array(w);
		for (unsigned n = 0; n < 64; n++)
			if (set & (UINT64_C(1) << n))
				jsonw_string(w, caps_name(n));
		jsonw_end(w);
	}
	jsonw_end(w);
}

static void put_namespaces(struct jsonw *w, uint64_t flags)
{
	jsonw_key(w, "namespaces");
	jsonw_array(w);
	for (int i = 0; i < OCI_NS_COUNT; i++)
		if (flags & plan_ns_flag((enum oci_ns)i))
			jsonw_string(w, oci_ns_names[i]);
	jsonw_end(w);
}

static void put_rdt(struct jsonw *w, const struct rdt_state *r)
{
	jsonw_key(w, "intel_rdt");
	jsonw_object(w);
	jsonw_kstring(w, "group", r->group);
	if (r->monitor)
		jsonw_kstring(w, "monitor", r->monitor);
	jsonw_kbool(w, "is_ours", r->is_ours);
	jsonw_end(w);
}

void state_print(const struct state *s, struct str *out)
{
	const struct runtime_state *p = &s->pub;
	char created[TIMEFMT_MAX];
	struct jsonw w;

	jsonw_init(&w, out, 0);
	jsonw_object(&w);
	jsonw_kstring(&w, "id", p->id);
	jsonw_kstring(&w, "ociVersion", p->oci_version);
	jsonw_ki64(&w, "init_process_pid", s->init_pid);
	jsonw_ku64(&w, "init_process_start", s->start_time);
	jsonw_kstring(&w, "created", timefmt_rfc3339(p->created, created));
	jsonw_kstring(&w, "bundle", p->bundle);
	jsonw_kstring(&w, "rootfs", p->rootfs);
	jsonw_ku64(&w, "owner", p->owner);
	put_namespaces(&w, s->ns);
	put_pairs(&w, "cgroup_paths", &p->cgroup_paths);
	if (s->unit.name && *s->unit.name) {
		jsonw_kstring(&w, "systemd_unit", s->unit.name);
		jsonw_kbool(&w, "systemd_user", s->unit.is_user);
	}
	put_pairs(&w, "annotations", &p->annotations);
	put_caps(&w, &s->caps);
	if (s->no_new_keyring)
		jsonw_kbool(&w, "no_new_keyring", true);
	if (s->resources) {
		jsonw_key(&w, "resources");
		jsonw_raw(&w, s->resources);
	}
	if (!tune_is_empty(&s->tune)) {
		jsonw_key(&w, "tune");
		tune_put(&w, &s->tune);
	}
	if (s->apparmor)
		jsonw_kstring(&w, "apparmor_profile", s->apparmor);
	if (s->selinux)
		jsonw_kstring(&w, "selinux_label", s->selinux);
	if (s->rdt.group)
		put_rdt(&w, &s->rdt);
	if (s->listener_path)
		jsonw_kstring(&w, "seccomp_listener_path", s->listener_path);
	if (s->listener_metadata)
		jsonw_kstring(&w, "seccomp_listener_metadata", s->listener_metadata);
	put_hooks(&w, "poststart", &s->poststart);
	put_hooks(&w, "poststop", &s->poststop);
	jsonw_end(&w);
	str_addc(out, '\n');
}

static int get_string(struct arena *a, json_object *o, const char *key, const char **ret,
		      struct err *e)
{
	const char *s = NULL;

	if (jsonr_string(o, key, &s, e) < 0)
		return -1;
	*ret = arena_strdup(a, s ? s : "");
	return 0;
}

/* NULL where there is none. */
static int get_optional(struct arena *a, json_object *o, const char *key, const char **ret,
			struct err *e)
{
	const char *s = NULL;

	if (jsonr_string(o, key, &s, e) < 0)
		return -1;
	*ret = s ? arena_strdup(a, s) : NULL;
	return 0;
}

static int by_key(const void *x, const void *y)
{
	return strcmp(((const struct oci_pair *)x)->key, ((const struct oci_pair *)y)->key);
}

/* In the order of their keys, as the original prints them. */
static int get_pairs(struct arena *a, json_object *o, const char *key, struct oci_pairs *ret,
		     struct err *e)
{
	json_object *m = NULL;

	if (jsonr_object(o, key, &m, e) < 0 || !m)
		return e->code ? -1 : 0;
	ret->v = arena_array(a, (size_t)json_object_object_length(m), sizeof *ret->v);
	json_object_object_foreach(m, k, v)
	{
		const char *text = json_object_get_string(v);

		ret->v[ret->n++] =
			(struct oci_pair){ arena_strdup(a, k), arena_strdup(a, text ? text : "") };
	}
	if (ret->n)
		qsort(ret->v, ret->n, sizeof *ret->v, by_key);
	return 0;
}

static int get_strings(struct arena *a, json_object *o, const char *key, struct oci_strings *ret,
		       struct err *e)
{
	json_object *l = NULL;

	if (jsonr_array(o, key, &l, e) < 0)
		return -1;
	size_t n = l ? json_object_array_length(l) : 0;
	ret->v = arena_array(a, n + 1, sizeof *ret->v);
	for (size_t i = 0; i < n; i++) {
		json_object *s = json_object_array_get_idx(l, i);

		if (!json_object_is_type(s, json_type_string))
			return err_set(e, ERR_DATA_LOSS, "%s[%zu] is no string", key, i);
		ret->v[ret->n++] = arena_strdup(a, json_object_get_string(s));
	}
	return 0;
}

static int get_hooks(struct arena *a, json_object *o, const char *key, struct oci_hook_list *ret,
		     struct err *e)
{
	json_object *l = NULL;

	if (jsonr_array(o, key, &l, e) < 0)
		return -1;
	size_t n = l ? json_object_array_length(l) : 0;
	ret->v = arena_array(a, n, sizeof *ret->v);
	for (size_t i = 0; i < n; i++) {
		json_object *h = json_object_array_get_idx(l, i);
		struct oci_hook *out = &ret->v[i];

		if (get_string(a, h, "path", &out->path, e) < 0 ||
		    get_strings(a, h, "args", &out->args, e) < 0 ||
		    get_strings(a, h, "env", &out->env, e) < 0 ||
		    jsonr_i64(h, "timeout", &out->timeout, e) < 0)
			return -1;
		ret->n++;
	}
	return 0;
}

static int get_caps(struct arena *a, json_object *o, struct plan_caps *ret, struct err *e)
{
	json_object *c = NULL;

	if (jsonr_object(o, "capabilities", &c, e) < 0)
		return -1;
	if (!c)
		return 0;
	ret->is_set = true;
	for (size_t i = 0; i < ARRAY_LEN(cap_sets); i++) {
		struct oci_strings names = { 0 };

		if (get_strings(a, c, cap_sets[i].key, &names, e) < 0)
			return -1;
		for (size_t k = 0; k < names.n; k++) {
			int n = caps_number(names.v[k]);

			if (n >= 0)
				*cap_set(ret, i) |= UINT64_C(1) << n;
		}
	}
	return 0;
}

static int get_tune(struct arena *a, json_object *o, struct tune *ret, struct err *e)
{
	json_object *t = NULL;

	if (jsonr_object(o, "tune", &t, e) < 0)
		return -1;
	return t ? tune_get(a, t, ret, e) : 0;
}

static int get_rdt(struct arena *a, json_object *o, struct rdt_state *ret, struct err *e)
{
	json_object *m = NULL;

	if (jsonr_object(o, "intel_rdt", &m, e) < 0)
		return -1;
	if (!m)
		return 0;
	if (get_optional(a, m, "group", &ret->group, e) < 0 ||
	    get_optional(a, m, "monitor", &ret->monitor, e) < 0)
		return -1;
	return jsonr_bool(m, "is_ours", &ret->is_ours, e);
}

static int get_namespaces(struct arena *a, json_object *o, uint64_t *ret, struct err *e)
{
	struct oci_strings names = { 0 };

	if (get_strings(a, o, "namespaces", &names, e) < 0)
		return -1;
	for (size_t i = 0; i < names.n; i++)
		for (int k = 0; k < OCI_NS_COUNT; k++)
			if (strcmp(names.v[i], oci_ns_names[k]) == 0)
				*ret |= plan_ns_flag((enum oci_ns)k);
	return 0;
}

/* Kept as text: only an update looks inside. */
static int get_resources(struct arena *a, json_object *o, const char **ret, struct err *e)
{
	json_object *m = NULL;

	if (jsonr_object(o, "resources", &m, e) < 0)
		return -1;
	*ret = m ? arena_strdup(a, json_object_to_json_string_ext(m, JSON_C_TO_STRING_PLAIN))
		 : NULL;
	return 0;
}

static int get_all(struct arena *a, json_object *o, struct state *s, struct err *e)
{
	struct runtime_state *p = &s->pub;
	const char *created = "";
	int64_t pid = 0, owner = 0;

	if (get_string(a, o, "id", &p->id, e) < 0 ||
	    get_string(a, o, "ociVersion", &p->oci_version, e) < 0 ||
	    get_string(a, o, "bundle", &p->bundle, e) < 0 ||
	    get_string(a, o, "rootfs", &p->rootfs, e) < 0 ||
	    get_string(a, o, "created", &created, e) < 0 ||
	    jsonr_i64(o, "init_process_pid", &pid, e) < 0 ||
	    jsonr_u64(o, "init_process_start", &s->start_time, e) < 0 ||
	    jsonr_i64(o, "owner", &owner, e) < 0)
		return -1;
	if (get_namespaces(a, o, &s->ns, e) < 0 ||
	    get_pairs(a, o, "cgroup_paths", &p->cgroup_paths, e) < 0 ||
	    get_string(a, o, "systemd_unit", &s->unit.name, e) < 0 ||
	    jsonr_bool(o, "systemd_user", &s->unit.is_user, e) < 0 ||
	    get_pairs(a, o, "annotations", &p->annotations, e) < 0 ||
	    get_caps(a, o, &s->caps, e) < 0 ||
	    jsonr_bool(o, "no_new_keyring", &s->no_new_keyring, e) < 0 ||
	    get_resources(a, o, &s->resources, e) < 0 || get_tune(a, o, &s->tune, e) < 0 ||
	    get_optional(a, o, "apparmor_profile", &s->apparmor, e) < 0 ||
	    get_optional(a, o, "selinux_label", &s->selinux, e) < 0 ||
	    get_rdt(a, o, &s->rdt, e) < 0 ||
	    get_optional(a, o, "seccomp_listener_path", &s->listener_path, e) < 0 ||
	    get_optional(a, o, "seccomp_listener_metadata", &s->listener_metadata, e) < 0 ||
	    get_hooks(a, o, "poststart", &s->poststart, e) < 0 ||
	    get_hooks(a, o, "poststop", &s->poststop, e) < 0)
		return -1;
	if (timefmt_parse(created, &p->created) < 0)
		return err_set(e, ERR_DATA_LOSS, "created is not a time: %s", created);
	if (pid < 0 || pid > INT32_MAX || owner < 0 || owner > UINT32_MAX)
		return err_set(e, ERR_DATA_LOSS, "init_process_pid or owner is out of range");
	s->init_pid = (pid_t)pid;
	p->owner = (uid_t)owner;
	return 0;
}

int state_parse(struct arena *a, const char *text, size_t n, struct state *ret, struct err *e)
{
	AUTO_JSON json_object *o = NULL;

	*ret = STATE_NONE;
	if (jsonr_parse(text, n, &o, e) < 0)
		return -1;
	return get_all(a, o, ret, e);
}
