/* What is attached, in the files that libcni keeps (and reads): one document an attachment. */
#include "net/cni.h"

#include "base/mem.h"
#include "base/str.h"
#include "os/dir.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { DOC_MAX = 4 << 20 };
#define KIND "cniCacheV1"

static int path_of(const struct cni_env *env, const char *network, const char *container,
		   const char *ifname, char **ret, struct err *e)
{
	if (cni_check_network(network, e) < 0 || cni_check_container(container, e) < 0 ||
	    cni_check_ifname(ifname, e) < 0)
		return -1;
	if (strlen(network) + strlen(container) + strlen(ifname) + 2 > 255)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "network and container have names of more than 255 bytes together");
	*ret = xasprintf("%s/results/%s-%s-%s", env->cache_dir, network, container, ifname);
	return 0;
}

static void add_text(json_object *o, const char *key, const char *value)
{
	json_object_object_add(o, key, json_object_new_string(value));
}

/* "K=V;K=V" as [["K","V"], …] */
static json_object *pairs_of(const char *args)
{
	AUTO_FREE char *copy = xstrdup(args);
	json_object *all = json_object_new_array();
	char *rest = copy, *word;

	while ((word = strsep(&rest, ";"))) {
		char *value = strchr(word, '=');
		json_object *pair;

		if (!value)
			continue;
		*value++ = 0;
		pair = json_object_new_array();
		json_object_array_add(pair, json_object_new_string(word));
		json_object_array_add(pair, json_object_new_string(value));
		json_object_array_add(all, pair);
	}
	return all;
}

int cni_cache_write(const struct cni_env *env, const struct cni_net *net,
		    const struct cni_attachment *at, json_object *result, struct err *e)
{
	AUTO_FREE char *dir = xasprintf("%s/results", env->cache_dir);
	AUTO_FREE char *path = NULL;
	AUTO_JSON json_object *o = json_object_new_object();
	struct str config AUTO_STR = STR_INIT(DOC_MAX);
	const char *text;
	int r;

	if (path_of(env, net->name, at->container, at->ifname, &path, e) < 0)
		return -1;
	str_add_base64(&config, net->text, net->n);
	add_text(o, "kind", KIND);
	add_text(o, "containerId", at->container);
	add_text(o, "config", str_c(&config));
	add_text(o, "ifName", at->ifname);
	add_text(o, "networkName", net->name);
	add_text(o, "netns", at->netns);
	if (at->args && *at->args)
		json_object_object_add(o, "cniArgs", pairs_of(at->args));
	if (at->capability_args)
		json_object_object_add(o, "capabilityArgs", json_object_get(at->capability_args));
	json_object_object_add(o, "result", json_object_get(result));
	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
							 JSON_C_TO_STRING_NOSLASHESCAPE);
	if (config.over || strlen(text) > DOC_MAX) /* nobody would read it again */
		return err_set(e, ERR_RESOURCE_EXHAUSTED,
			       "the result of network \"%s\" is larger than %d bytes", net->name,
			       DOC_MAX);
	r = file_mkdirs(dir, 0700);
	if (r >= 0)
		r = file_replace(AT_FDCWD, path, text, strlen(text), 0600,
				 false); /* as libcni does */
	return r < 0 ? err_sys(e, -r, "failed to set network \"%s\" cached result: %s", net->name,
			       path)
		     : 0;
}

static int read_doc(const char *path, json_object **ret, struct err *e)
{
	AUTO_FREE char *text = NULL;
	AUTO_JSON json_object *o = NULL;
	const char *kind = "";
	size_t n;
	int r = file_read(AT_FDCWD, path, DOC_MAX, &text, &n);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_sys(e, -r, "open %s", path);
	if (jsonr_parse(text, n, &o, e) < 0)
		return err_wrap(e, "%s", path);
	if (!json_object_is_type(o, json_type_object) || jsonr_string(o, "kind", &kind, e) < 0 ||
	    strcmp(kind, KIND) != 0) {
		err_clear(e);
		return 0; /* another version's, or somebody else's */
	}
	*ret = TAKE_PTR(o);
	return 1;
}

int cni_cache_read(const struct cni_env *env, const char *network, const char *container,
		   const char *ifname, json_object **ret, struct err *e)
{
	AUTO_FREE char *path = NULL;

	if (path_of(env, network, container, ifname, &path, e) < 0)
		return -1;
	return read_doc(path, ret, e);
}

int cni_cache_remove(const struct cni_env *env, const char *network, const char *container,
		     const char *ifname, struct err *e)
{
	AUTO_FREE char *path = NULL;

	if (path_of(env, network, container, ifname, &path, e) < 0)
		return -1;
	if (unlink(path) < 0 && errno != ENOENT)
		return err_sys(e, errno, "remove %s", path);
	return 0;
}

static bool has_text(json_object *doc, const char *key, const char *wanted)
{
	const char *s = "";
	struct err bad = { 0 };

	return !wanted || (jsonr_string(doc, key, &s, &bad) == 0 && !strcmp(s, wanted));
}

int cni_cache_list(const struct cni_env *env, const char *network, const char *container,
		   cni_cache_visit *visit, void *arg, struct err *e)
{
	AUTO_FREE char *dir = xasprintf("%s/results", env->cache_dir);
	AUTO_FREE char *part = container ? xasprintf("-%s-", container) : NULL;
	struct strv names AUTO_STRV = { 0 };
	int r = dir_names(AT_FDCWD, dir, &names);

	if (r < 0 && r != -ENOENT)
		return err_sys(e, -r, "open %s", dir);
	for (size_t i = 0; i < names.n; i++) {
		AUTO_FREE char *path = xasprintf("%s/%s", dir, names.v[i]);
		AUTO_JSON json_object *doc = NULL;
		struct err bad = { 0 };

		if (*names.v[i] == '.' || (part && !strstr(names.v[i], part)) ||
		    (network && !str_starts(names.v[i], network)))
			continue;
		if (read_doc(path, &doc, &bad) <= 0)
			continue; /* not ours to judge */
		if (has_text(doc, "containerId", container) &&
		    has_text(doc, "networkName", network) && visit(doc, arg, e) < 0)
			return -1;
	}
	return 0;
}
