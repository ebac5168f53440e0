#include "nri/adjust.h"

#include "base/mem.h"
#include "base/str.h"
#include "nri/blockio.h"
#include "nri/cdi.h"
#include "nri/member.h"

#include <string.h>

/* --- who owns what --- */

static int claim(struct adjust *a, const char *plugin, const char *kind, const char *name,
		 struct err *e)
{
	AUTO_FREE char *key = xasprintf("%s %s", kind, name);
	json_object *owner;

	if (json_object_object_get_ex(a->owners, key, &owner) &&
	    strcmp(json_object_get_string(owner), plugin) != 0)
		return err_set(e, ERR_ALREADY_EXISTS,
			       "plugins \"%.64s\" and \"%.64s\" both tried to set %.300s",
			       json_object_get_string(owner), plugin, key);
	json_object_object_add(a->owners, key, json_object_new_string(plugin));
	return 0;
}

static void disclaim(struct adjust *a, const char *kind, const char *name)
{
	AUTO_FREE char *key = xasprintf("%s %s", kind, name);

	json_object_object_del(a->owners, key);
}

/* --- ways to change a member --- */

/* A plain value: the last word counts, but only one plugin may have it. */
static int set_value(struct adjust *a, const char *plugin, json_object *to, const char *key,
		     json_object *v, struct err *e)
{
	if (claim(a, plugin, "value", key, e) < 0)
		return -1;
	json_object_object_add(to, key, json_object_get(v));
	return 0;
}

static int merge_map(struct adjust *a, const char *plugin, const char *kind, json_object *want,
		     json_object *to, struct err *e)
{
	if (!json_object_is_type(want, json_type_object))
		return 0;
	json_object_object_foreach(want, key, v)
	{
		if (key[0] == '-') {
			disclaim(a, kind, key + 1);
			json_object_object_del(to, key + 1);
		}
		(void)v;
	}
	json_object_object_foreach(want, name, value)
	{
		if (name[0] == '-')
			continue;
		if (claim(a, plugin, kind, name, e) < 0)
			return -1;
		json_object_object_add(to, name, json_object_get(value));
	}
	return 0;
}

/* Lists whose items have a name of their own in `key`: one of the same name is replaced. */
static int merge_list(struct adjust *a, const char *plugin, const char *key, json_object *want,
		      json_object *to, struct err *e)
{
	for (size_t i = 0; want && i < json_object_array_length(want); i++) {
		json_object *item = json_object_array_get_idx(want, i);
		const char *name = member_text(item, key);

		if (name[0] == '-') {
			disclaim(a, key, name + 1);
			member_drop_named(to, key, name + 1);
			continue;
		}
		if (claim(a, plugin, key, name, e) < 0)
			return -1;
		member_drop_named(to, key, name);
		json_object_array_add(to, json_object_get(item));
	}
	return 0;
}

static int merge_env(struct adjust *a, const char *plugin, json_object *want, json_object *env,
		     struct err *e)
{
	for (size_t i = 0; want && i < json_object_array_length(want); i++) {
		json_object *item = json_object_array_get_idx(want, i);
		const char *key = member_text(item, "key");

		if (key[0] == '-') {
			disclaim(a, "env", key + 1);
			member_drop_env(env, key + 1);
			continue;
		}
		if (claim(a, plugin, "env", key, e) < 0)
			return -1;
		AUTO_FREE char *line = xasprintf("%s=%s", key, member_text(item, "value"));

		member_drop_env(env, key);
		json_object_array_add(env, json_object_new_string(line));
	}
	return 0;
}

/* --- resources --- */

static int merge_values(struct adjust *a, const char *plugin, const char *kind, json_object *want,
			json_object *to, struct err *e)
{
	if (!json_object_is_type(want, json_type_object))
		return 0;
	json_object_object_foreach(want, key, v)
	{
		if (claim(a, plugin, kind, key, e) < 0)
			return -1;
		json_object_object_add(to, key, json_object_get(v));
	}
	return 0;
}

static int take_blockio_class(struct adjust *a, const char *plugin, json_object *want,
			      json_object *to, struct err *e)
{
	json_object *class = member_get(want, "blockioClass");
	AUTO_JSON json_object *io = NULL;

	if (!class)
		return 0;
	if (blockio_class(a->blockio, json_object_get_string(class), &io, e) < 0)
		return -1;
	return set_value(a, plugin, to, "blockIO", io, e);
}

int adjust_resources(struct adjust *a, const char *plugin, json_object *want, json_object *r,
		     struct err *e)
{
	static const char *const groups[] = { "memory", "cpu", "pids" };

	if (!want)
		return 0;
	if (member_get(want, "rdtClass"))
		return err_set(e, ERR_UNIMPLEMENTED, "rdtClass is not supported in updates");
	if (take_blockio_class(a, plugin, want, r, e) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(groups); i++)
		if (member_get(want, groups[i]) &&
		    merge_values(a, plugin, groups[i], member_get(want, groups[i]),
				 member_child(r, groups[i]), e) < 0)
			return -1;
	if (member_get(want, "unified") &&
	    merge_map(a, plugin, "unified", member_get(want, "unified"), member_child(r, "unified"),
		      e) < 0)
		return -1;
	if (member_get(want, "hugepageLimits") &&
	    merge_list(a, plugin, "pageSize", member_get(want, "hugepageLimits"),
		       member_list(r, "hugepageLimits"), e) < 0)
		return -1;
	return member_get(want, "devices")
		       ? member_append(member_get(want, "devices"), member_list(r, "devices"))
		       : 0;
}

/* --- linux --- */

/* A device that is there may be used: its rule comes with it. */
static void allow_devices(json_object *devices, json_object *linux)
{
	json_object *rules = member_list(member_child(linux, "resources"), "devices");

	for (size_t i = 0; devices && i < json_object_array_length(devices); i++) {
		json_object *d = json_object_array_get_idx(devices, i), *rule;

		if (member_text(d, "path")[0] == '-')
			continue;
		rule = json_object_new_object();
		json_object_object_add(rule, "allow", json_object_new_boolean(true));
		json_object_object_add(rule, "type", json_object_get(member_get(d, "type")));
		json_object_object_add(rule, "major", json_object_get(member_get(d, "major")));
		json_object_object_add(rule, "minor", json_object_get(member_get(d, "minor")));
		json_object_object_add(rule, "access", json_object_new_string("rwm"));
		json_object_array_add(rules, rule);
	}
}

/* The class is the group of resctrl that the container joins: it must be there. */
static int take_rdt_class(struct adjust *a, const char *plugin, json_object *resources,
			  json_object *linux, struct err *e)
{
	json_object *class = member_get(resources, "rdtClass"), *rdt;

	if (!class)
		return 0;
	rdt = json_object_new_object();
	json_object_object_add(rdt, "closID", json_object_get(class));
	int r = set_value(a, plugin, linux, "intelRdt", rdt, e);
	json_object_put(rdt);
	json_object_object_del(resources, "rdtClass");
	return r;
}

static int adjust_linux(struct adjust *a, const char *plugin, json_object *want, json_object *spec,
			struct err *e)
{
	static const char *const plain[][2] = {
		{ "cgroupsPath", "cgroupsPath" },
		{ "seccompPolicy", "seccomp" },
		{ "rdt", "intelRdt" },
		{ "memoryPolicy", "memoryPolicy" },
	};
	json_object *linux = member_child(spec, "linux"), *v;

	for (size_t i = 0; i < ARRAY_LEN(plain); i++)
		if ((v = member_get(want, plain[i][0])) &&
		    set_value(a, plugin, linux, plain[i][1], v, e) < 0)
			return -1;
	if ((v = member_get(want, "devices"))) {
		if (merge_list(a, plugin, "path", v, member_list(linux, "devices"), e) < 0)
			return -1;
		allow_devices(v, linux);
	}
	if ((v = member_get(want, "namespaces")) &&
	    merge_list(a, plugin, "type", v, member_list(linux, "namespaces"), e) < 0)
		return -1;
	if ((v = member_get(want, "sysctl")) &&
	    merge_map(a, plugin, "sysctl", v, member_child(linux, "sysctl"), e) < 0)
		return -1;
	if ((v = member_get(want, "netDevices")) &&
	    merge_map(a, plugin, "netDevice", v, member_child(linux, "netDevices"), e) < 0)
		return -1;
	v = member_get(want, "resources");
	if (!v)
		return 0;
	if (take_rdt_class(a, plugin, v, linux, e) < 0)
		return -1;
	return adjust_resources(a, plugin, v, member_child(linux, "resources"), e);
}

/* What NRI has below linux and the runtime spec below process. */
static int adjust_process(struct adjust *a, const char *plugin, json_object *want,
			  json_object *spec, struct err *e)
{
	static const char *const below_linux[][2] = {
		{ "oomScoreAdj", "oomScoreAdj" },
		{ "ioPriority", "ioPriority" },
		{ "scheduler", "scheduler" },
	};
	json_object *process = member_child(spec, "process"), *linux = member_get(want, "linux"),
		    *v;

	for (size_t i = 0; linux && i < ARRAY_LEN(below_linux); i++)
		if ((v = member_get(linux, below_linux[i][0])) &&
		    set_value(a, plugin, process, below_linux[i][1], v, e) < 0)
			return -1;
	if ((v = member_get(want, "env")) &&
	    merge_env(a, plugin, v, member_list(process, "env"), e) < 0)
		return -1;
	if ((v = member_get(want, "rlimits")) &&
	    merge_list(a, plugin, "type", v, member_list(process, "rlimits"), e) < 0)
		return -1;
	v = member_get(want, "args");
	if (!v)
		return 0;
	/* An empty first word: instead of another plugin's. */
	if (json_object_array_length(v) > 1 &&
	    !*(json_object_get_string(json_object_array_get_idx(v, 0)) ?: "")) {
		disclaim(a, "value", "args");
		json_object_array_del_idx(v, 0, 1);
	}
	return set_value(a, plugin, process, "args", v, e);
}

static void add_hooks(json_object *want, json_object *spec)
{
	json_object *hooks = member_child(spec, "hooks");

	json_object_object_foreach(want, when, list)
	{
		member_append(list, member_list(hooks, when));
	}
}

/* Two plugins may want the same one: it is the same then. */
static int add_cdi_devices(const char *plugin, json_object *list, json_object *spec, struct err *e)
{
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		const char *name = member_text(json_object_array_get_idx(list, i), "name");

		if (cdi_apply(cdi_folders, &name, 1, spec, e) < 0)
			return err_wrap(e, "plugin \"%.64s\"", plugin);
	}
	return 0;
}

int adjust_spec(struct adjust *a, const char *plugin, json_object *want, json_object *spec,
		struct err *e)
{
	json_object *v;

	if (add_cdi_devices(plugin, member_get(want, "CDIDevices"), spec, e) < 0)
		return -1;
	if ((v = member_get(want, "annotations")) &&
	    merge_map(a, plugin, "annotation", v, member_child(spec, "annotations"), e) < 0)
		return -1;
	if ((v = member_get(want, "mounts")) &&
	    merge_list(a, plugin, "destination", v, member_list(spec, "mounts"), e) < 0)
		return -1;
	if (adjust_process(a, plugin, want, spec, e) < 0)
		return -1;
	if ((v = member_get(want, "hooks")))
		add_hooks(v, spec);
	v = member_get(want, "linux");
	return v ? adjust_linux(a, plugin, v, spec, e) : 0;
}
