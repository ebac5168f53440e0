/* The verbs. */
#include "net/cni.h"

#include "base/base64.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/builtin.h"
#include "net/plugin.h"

#include <string.h>

/* Those of the container's wishes that the plugin says it can do. */
static json_object *runtime_config(json_object *plugin, json_object *args)
{
	json_object *capabilities = NULL, *ret = NULL;
	struct err bad = { 0 };

	if (!args || jsonr_object(plugin, "capabilities", &capabilities, &bad) < 0 || !capabilities)
		return NULL;
	json_object_object_foreach(args, key, value)
	{
		bool can = false;

		if (jsonr_bool(capabilities, key, &can, &bad) < 0 || !can)
			continue;
		if (!ret)
			ret = json_object_new_object();
		json_object_object_add(ret, key, json_object_get(value));
	}
	return ret;
}

/* The plugin's own part of the list with what the runtime adds; nested objects are shared. */
static json_object *config_of(const struct cni_net *net, json_object *plugin, json_object *args,
			      json_object *prev)
{
	json_object *o = json_object_new_object(), *wishes = runtime_config(plugin, args);

	json_object_object_foreach(plugin, key, value)
		json_object_object_add(o, key, json_object_get(value));
	json_object_object_add(o, "name", json_object_new_string(net->name));
	json_object_object_add(o, "cniVersion", json_object_new_string(net->version));
	if (wishes)
		json_object_object_add(o, "runtimeConfig", wishes);
	if (prev)
		json_object_object_add(o, "prevResult", json_object_get(prev));
	return o;
}

static const char *type_of(json_object *plugin)
{
	json_object *v = NULL;

	(void)json_object_object_get_ex(plugin, "type", &v);
	return json_object_get_string(v); /* checked when it was loaded */
}

/* One plugin of a network, by a config that is used up.  ret may be NULL. */
static int run_one(const struct cni_env *env, const char *command, json_object *plugin,
		   json_object *config_take, const struct cni_attachment *at, struct cancel *c,
		   json_object **ret, struct err *e)
{
	static const struct {
		const char *command, *word;
	} words[] = { { "ADD", "add" }, { "DEL", "delete" },    { "CHECK", "check" },
		      { "GC", "gc" },   { "STATUS", "status" }, { "VERSION", "version" } };
	AUTO_JSON json_object *config = config_take;
	const struct plugin_run run = {
		.command = command,
		.type = type_of(plugin),
		.at = at,
		.config = json_object_to_json_string_ext(
			config, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
		.cancel = c,
	};
	const char *word = "";
	AUTO_FREE char *out = NULL;
	size_t n;
	int r = plugin_run(env, &run, &out, &n, e);

	if (r == 0 && ret)
		r = jsonr_parse(out, n, ret, e);
	if (r == 0 && ret && !json_object_is_type(*ret, json_type_object))
		r = err_set(e, ERR_INVALID_ARGUMENT, "the result is no object");
	if (r == 0)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (!strcmp(words[i].command, command))
			word = words[i].word;
	return err_wrap(e, "plugin type=\"%.100s\" failed (%s)", run.type, word);
}

static int check_attachment(const struct cni_attachment *at, struct err *e)
{
	if (cni_check_container(at->container, e) < 0)
		return -1;
	return cni_check_ifname(at->ifname, e);
}

/* From the plugin before n backwards; the first failure is told, the others are done. */
static int undo(const struct cni_env *env, const struct cni_net *net,
		const struct cni_attachment *at, size_t n, json_object *args, json_object *prev,
		struct err *e)
{
	int ret = 0;

	while (n-- > 0) {
		json_object *plugin = json_object_array_get_idx(net->plugins, n);
		json_object *config =
			config_of(net, plugin, args, cni_net_has(net, 0, 4) ? prev : NULL);
		struct err bad = { 0 };

		if (run_one(env, "DEL", plugin, config, at, NULL, NULL, &bad) < 0 && ret == 0)
			ret = err_copy(e, &bad);
	}
	return ret;
}

int cni_find_plugins(const struct cni_env *env, const struct cni_net *net, struct err *e)
{
	for (size_t i = 0; !net->is_builtin && i < json_object_array_length(net->plugins); i++) {
		const char *type = type_of(json_object_array_get_idx(net->plugins, i));
		AUTO_FREE char *path = NULL;

		if (plugin_find(env, type, &path, e) < 0)
			return err_wrap(e, "plugin type=\"%.100s\" failed (add)", type);
	}
	return 0;
}

static int add_builtin(const struct cni_env *env, const struct cni_net *net,
		       const struct cni_attachment *at, json_object **ret, struct err *e)
{
	AUTO_JSON json_object *result = NULL;
	struct err ignored = { 0 };

	if (check_attachment(at, e) < 0 || builtin_add(env, net, at, &result, e) < 0)
		return -1;
	if (cni_cache_write(env, net, at, result, e) < 0) {
		(void)builtin_del(env, net, at, at->capability_args, &ignored);
		return -1;
	}
	*ret = TAKE_PTR(result);
	return 0;
}

int cni_add(const struct cni_env *env, const struct cni_net *net, const struct cni_attachment *at,
	    struct cancel *c, json_object **ret, struct err *e)
{
	if (net->is_builtin)
		return add_builtin(env, net, at, ret, e);

	AUTO_JSON json_object *prev = NULL;
	struct err ignored = { 0 };
	size_t i, n = json_object_array_length(net->plugins);
	int r = 0;

	/* before the first one changes anything */
	if (check_attachment(at, e) < 0 || cni_find_plugins(env, net, e) < 0)
		return -1;
	for (i = 0; r == 0 && i < n; i++) {
		json_object *plugin = json_object_array_get_idx(net->plugins, i), *result = NULL;
		json_object *config = config_of(net, plugin, at->capability_args, prev);

		r = run_one(env, "ADD", plugin, config, at, c, &result, e);
		if (r == 0) {
			json_object_put(prev);
			prev = result;
		} else {
			json_object_put(result);
		}
	}
	if (r == 0)
		r = cni_cache_write(env, net, at, prev, e);
	if (r < 0) { /* the one that failed, too: it may have been killed half-way */
		(void)undo(env, net, at, i, at->capability_args, prev, &ignored);
		return -1;
	}
	*ret = TAKE_PTR(prev);
	return 0;
}

/* What the cache knows: the last result and the wishes; borrowed from *ret_doc. */
static int recall(const struct cni_env *env, const struct cni_net *net,
		  const struct cni_attachment *at, json_object **ret_doc, json_object **ret_result,
		  json_object **ret_args, struct err *e)
{
	int r = cni_cache_read(env, net->name, at->container, at->ifname, ret_doc, e);

	*ret_args = at->capability_args;
	if (r <= 0)
		return r;
	if (jsonr_object(*ret_doc, "result", ret_result, e) < 0)
		return -1;
	if (!*ret_args && jsonr_object(*ret_doc, "capabilityArgs", ret_args, e) < 0)
		return -1;
	return 1;
}

int cni_del(const struct cni_env *env, const struct cni_net *net, const struct cni_attachment *at,
	    struct err *e)
{
	AUTO_JSON json_object *doc = NULL;
	json_object *result = NULL, *args = NULL;
	struct err broken = { 0 };

	if (check_attachment(at, e) < 0)
		return -1;
	/* A cached result that cannot be read must not keep the address for ever. */
	if (recall(env, net, at, &doc, &result, &args, &broken) < 0)
		result = NULL;
	if (net->is_builtin ? builtin_del(env, net, at, args, e) < 0
			    : undo(env, net, at, json_object_array_length(net->plugins), args,
				   result, e) < 0)
		return -1;
	return cni_cache_remove(env, net->name, at->container, at->ifname, e);
}

int cni_check(const struct cni_env *env, const struct cni_net *net, const struct cni_attachment *at,
	      struct err *e)
{
	AUTO_JSON json_object *doc = NULL;
	json_object *result = NULL, *args = NULL;
	int r;

	if (!cni_net_has(net, 0, 4))
		return err_set(e, ERR_UNIMPLEMENTED,
			       "configuration version \"%s\" does not support CHECK command",
			       net->version);
	if (check_attachment(at, e) < 0)
		return -1;
	if (net->no_check)
		return 0;
	r = recall(env, net, at, &doc, &result, &args, e);
	if (r < 0)
		return -1;
	if (!r || !result)
		return err_set(e, ERR_NOT_FOUND, "attachment %s of %s in network %s", at->ifname,
			       at->container, net->name);
	if (net->is_builtin)
		return builtin_check(env, net, at, e);
	for (size_t i = 0; i < json_object_array_length(net->plugins); i++) {
		json_object *plugin = json_object_array_get_idx(net->plugins, i);

		if (run_one(env, "CHECK", plugin, config_of(net, plugin, args, result), at, NULL,
			    NULL, e) < 0)
			return -1;
	}
	return 0;
}

int cni_status(const struct cni_env *env, const struct cni_net *net, struct err *e)
{
	for (size_t i = 0; !net->is_builtin && cni_net_has(net, 1, 1) &&
			   i < json_object_array_length(net->plugins);
	     i++) {
		json_object *plugin = json_object_array_get_idx(net->plugins, i);

		if (run_one(env, "STATUS", plugin, config_of(net, plugin, NULL, NULL), NULL, NULL,
			    NULL, e) < 0)
			return -1;
	}
	return 0;
}

int cni_version(const struct cni_env *env, const char *type, json_object **ret, struct err *e)
{
	const struct plugin_run run = { .command = "VERSION",
					.type = type,
					.config = "{\"cniVersion\":\"1.1.0\"}" };
	AUTO_FREE char *out = NULL;
	size_t n;

	if (plugin_run(env, &run, &out, &n, e) < 0 || jsonr_parse(out, n, ret, e) < 0)
		return err_wrap(e, "plugin type=\"%.100s\" failed (version)", type);
	return 0;
}

/* --- by the cache --- */

struct sweep {
	const struct cni_env *env;
	const struct cni_attachment *valid;
	size_t n_valid;
	const struct cni_whose *whose; /* NULL: all */
	struct err first;
};

static const char *text_of(json_object *doc, const char *key)
{
	const char *s = "";
	struct err bad = { 0 };

	(void)jsonr_string(doc, key, &s, &bad);
	return s;
}

/* By the configuration as it was when the attachment was made. */
static int del_doc(const struct cni_env *env, json_object *doc, struct err *e)
{
	AUTO_CNI_NET struct cni_net *net = NULL;
	AUTO_FREE char *text = NULL;
	const struct cni_attachment at = { .container = text_of(doc, "containerId"),
					   .ifname = text_of(doc, "ifName"),
					   .netns = "" };
	size_t n;

	text = base64_decode(text_of(doc, "config"), SIZE_MAX, &n);
	if (!text)
		return err_set(e, ERR_INVALID_ARGUMENT, "the cached configuration is no base64");
	if (cni_net_parse(text, n, strstr(text, "\"plugins\"") != NULL, NULL, &net, e) < 0)
		return err_wrap(e, "the cached configuration");
	return cni_del(env, net, &at, e);
}

static bool is_wanted(const struct cni_whose *w, const char *netns)
{
	size_t n = w ? strlen(w->folder) : 0;

	return !w || (str_starts(netns, w->folder) && netns[n] == '/') != w->is_outside;
}

static int del_visit(json_object *doc, void *arg, UNUSED struct err *e)
{
	struct sweep *s = arg;
	struct err bad = { 0 };

	if (!is_wanted(s->whose, text_of(doc, "netns")))
		return 0;
	for (size_t i = 0; i < s->n_valid; i++)
		if (!strcmp(s->valid[i].container, text_of(doc, "containerId")) &&
		    !strcmp(s->valid[i].ifname, text_of(doc, "ifName")))
			return 0;
	if (del_doc(s->env, doc, &bad) < 0 && !s->first.code)
		s->first = bad;
	return 0;
}

int cni_del_cached(const struct cni_env *env, const char *container, const struct cni_whose *whose,
		   struct err *e)
{
	struct sweep s = { .env = env, .whose = whose };

	if (cni_check_container(container, e) < 0 ||
	    cni_cache_list(env, NULL, container, del_visit, &s, e) < 0)
		return -1;
	return s.first.code ? err_copy(e, &s.first) : 0;
}

static json_object *attachments_json(const struct cni_attachment *v, size_t n)
{
	json_object *all = json_object_new_array();

	for (size_t i = 0; i < n; i++) {
		json_object *o = json_object_new_object();

		json_object_object_add(o, "containerID", json_object_new_string(v[i].container));
		json_object_object_add(o, "ifname", json_object_new_string(v[i].ifname));
		json_object_array_add(all, o);
	}
	return all;
}

int cni_gc(const struct cni_env *env, const struct cni_net *net, const struct cni_attachment *valid,
	   size_t n_valid, struct err *e)
{
	struct sweep s = { .env = env, .valid = valid, .n_valid = n_valid };
	AUTO_JSON json_object *list = attachments_json(valid, n_valid);

	if (cni_cache_list(env, net->name, NULL, del_visit, &s, e) < 0)
		return -1;
	for (size_t i = 0; !net->is_builtin && !net->no_gc && cni_net_has(net, 1, 1) &&
			   i < json_object_array_length(net->plugins);
	     i++) {
		json_object *plugin = json_object_array_get_idx(net->plugins, i);
		json_object *config = config_of(net, plugin, NULL, NULL);
		struct err bad = { 0 };

		json_object_object_add(config, "cni.dev/valid-attachments", json_object_get(list));
		json_object_object_add(config, "cni.dev/attachments", json_object_get(list));
		if (run_one(env, "GC", plugin, config, NULL, NULL, NULL, &bad) < 0 && !s.first.code)
			s.first = bad;
	}
	return s.first.code ? err_copy(e, &s.first) : 0;
}
