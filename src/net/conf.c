/* Network configurations: found, read, checked. */
#include "net/cni.h"

#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"
#include "net/builtin_conf.h"
#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { CONF_MAX = 1 << 20, FILES_MAX = 4096, PLUGINS_MAX = 64, VERSIONS_MAX = 16 };

const char *const cni_bin_dirs[] = { "/opt/cni/bin", "/usr/lib/cni", NULL };

/* Newest last. */
static const char *const versions[] = { "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0" };

static int version_rank(const char *s)
{
	for (int i = (int)ARRAY_LEN(versions) - 1; i >= 0; i--)
		if (!strcmp(versions[i], s))
			return i;
	return -1;
}

bool cni_net_has(const struct cni_net *net, unsigned major, unsigned minor)
{
	unsigned a = (unsigned)(net->version[0] - '0'), b = (unsigned)(net->version[2] - '0');

	return a > major || (a == major && b >= minor);
}

bool cni_net_can(const struct cni_net *net, const char *capability)
{
	for (size_t i = 0; i < json_object_array_length(net->plugins); i++) {
		json_object *o = NULL;
		struct err bad = { 0 };
		bool can = false;

		if (jsonr_object(json_object_array_get_idx(net->plugins, i), "capabilities", &o,
				 &bad) == 0 &&
		    o && jsonr_bool(o, capability, &can, &bad) == 0 && can)
			return true;
	}
	return false;
}

void cni_net_free(struct cni_net *net)
{
	if (!net)
		return;
	json_object_put(net->list);
	free(net->text);
	free(net);
}

/* cniVersion, or the newest that we know of cniVersions. */
static int choose_version(json_object *list, const char **ret, struct err *e)
{
	const char *version = "";
	json_object *many = NULL;
	int best = -1;

	if (jsonr_string(list, "cniVersion", &version, e) < 0 ||
	    jsonr_array(list, "cniVersions", &many, e) < 0)
		return -1;
	for (size_t i = 0; many && i < json_object_array_length(many) && i < VERSIONS_MAX; i++) {
		json_object *o = json_object_array_get_idx(many, i);
		int rank = json_object_is_type(o, json_type_string)
				   ? version_rank(json_object_get_string(o))
				   : -1;

		if (rank > best)
			best = rank;
	}
	if (version_rank(version) > best)
		best = version_rank(version);
	if (best < 0)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "cniVersion \"%.40s\" is not supported (0.3.0 to 1.1.0 are)",
			       version);
	*ret = versions[best];
	return 0;
}

static int check_plugins(json_object *plugins, struct err *e)
{
	size_t n = plugins ? json_object_array_length(plugins) : 0;

	if (!n)
		return err_set(e, ERR_INVALID_ARGUMENT, "no plugins in list");
	if (n > PLUGINS_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "more than %d plugins in list",
			       PLUGINS_MAX);
	for (size_t i = 0; i < n; i++) {
		json_object *p = json_object_array_get_idx(plugins, i);
		const char *type = "";

		if (!json_object_is_type(p, json_type_object))
			return err_set(e, ERR_INVALID_ARGUMENT, "plugin %zu is no object", i);
		if (jsonr_string(p, "type", &type, e) < 0)
			return err_wrap(e, "plugin %zu", i);
		if (!*type)
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "failed to parse plugin config %zu: missing 'type'", i);
	}
	return 0;
}

/* disableCheck has been seen as a string, too. */
static bool flag_of(json_object *list, const char *key)
{
	json_object *v = NULL;

	(void)json_object_object_get_ex(list, key, &v);
	if (json_object_is_type(v, json_type_string))
		return !strcmp(json_object_get_string(v), "true");
	return json_object_is_type(v, json_type_boolean) && json_object_get_boolean(v);
}

static int has_suffix_of(const char *name, const char *const *suffixes)
{
	for (; *suffixes; suffixes++)
		if (str_ends(name, *suffixes))
			return 1;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names of a folder's configurations in order; a folder that is not there has none. */
static int list_files(const char *dir, const char *const *suffixes, struct strv *ret, struct err *e)
{
	DIR *d = opendir(dir);
	const struct dirent *x;

	if (!d)
		return errno == ENOENT ? 0 : err_sys(e, errno, "open %s", dir);
	while ((x = readdir(d)) && ret->n < FILES_MAX)
		if (has_suffix_of(x->d_name, suffixes))
			strv_add(ret, x->d_name);
	closedir(d);
	if (ret->n)
		qsort(ret->v, ret->n, sizeof *ret->v, by_name);
	return 0;
}

static int read_object(const char *path, char **ret_text, size_t *ret_n, json_object **ret,
		       struct err *e)
{
	int r = file_read(AT_FDCWD, path, CONF_MAX, ret_text, ret_n);

	if (r < 0)
		return err_sys(e, -r, "open %s", path);
	if (jsonr_parse(*ret_text, *ret_n, ret, e) < 0)
		return -1;
	if (!json_object_is_type(*ret, json_type_object))
		return err_set(e, ERR_INVALID_ARGUMENT, "the document is no object");
	return 0;
}

/* Plugins in files of their own: DIR/NETWORK/?*.conf (libcni 1.3).  Who wants none says so. */
static int add_folder_plugins(json_object *list, const char *dir, const char *name, struct err *e)
{
	static const char *const suffixes[] = { ".conf", NULL };
	AUTO_FREE char *folder = xasprintf("%s/%s", dir, name);
	struct strv files AUTO_STRV = { 0 };
	json_object *plugins = NULL;

	if (list_files(folder, suffixes, &files, e) < 0)
		return -1;
	if (!files.n)
		return 0;
	if (jsonr_array(list, "plugins", &plugins, e) < 0)
		return -1;
	if (!plugins) {
		plugins = json_object_new_array();
		json_object_object_add(list, "plugins", plugins);
	}
	for (size_t i = 0; i < files.n; i++) {
		AUTO_FREE char *path = xasprintf("%s/%s", folder, files.v[i]);
		AUTO_FREE char *text = NULL;
		json_object *o = NULL;
		size_t n;

		if (read_object(path, &text, &n, &o, e) < 0) {
			json_object_put(o);
			return err_wrap(e, "%s", path);
		}
		json_object_array_add(plugins, o);
	}
	return 0;
}

/* {"name":, "cniVersion":, "plugins": [single]}; takes single. */
static json_object *list_of(json_object *single)
{
	static const char *const keys[] = { "name", "cniVersion" };
	json_object *list = json_object_new_object(), *plugins = json_object_new_array();

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		json_object *v = NULL;

		if (json_object_object_get_ex(single, keys[i], &v))
			json_object_object_add(list, keys[i], json_object_get(v));
	}
	json_object_array_add(plugins, single);
	json_object_object_add(list, "plugins", plugins);
	return list;
}

static int check_list(struct cni_net *net, const char *dir, struct err *e)
{
	const char *name = "";
	struct builtin b;

	if (jsonr_string(net->list, "name", &name, e) < 0 || cni_check_network(name, e) < 0)
		return -1;
	if (dir && !flag_of(net->list, "loadOnlyInlinedPlugins") &&
	    add_folder_plugins(net->list, dir, name, e) < 0)
		return -1;
	if (jsonr_array(net->list, "plugins", &net->plugins, e) < 0 ||
	    check_plugins(net->plugins, e) < 0)
		return -1;
	net->name = name;
	net->no_check = flag_of(net->list, "disableCheck");
	net->no_gc = flag_of(net->list, "disableGC");
	net->is_builtin = flag_of(net->list, "casco.builtin");
	if (net->is_builtin && builtin_read(net, &b, e) < 0)
		return -1;
	return choose_version(net->list, &net->version, e);
}

int cni_net_parse(const char *text, size_t n, bool is_list, const char *dir, struct cni_net **ret,
		  struct err *e)
{
	AUTO_CNI_NET struct cni_net *net = NEW(struct cni_net);

	if (jsonr_parse(text, n, &net->list, e) < 0)
		return -1;
	if (!json_object_is_type(net->list, json_type_object))
		return err_set(e, ERR_INVALID_ARGUMENT, "the document is no object");
	if (!is_list)
		net->list = list_of(net->list);
	if (check_list(net, is_list ? dir : NULL, e) < 0)
		return -1;
	net->text = xstrdup(json_object_to_json_string_ext(
		net->list, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	net->n = strlen(net->text);
	*ret = TAKE_PTR(net);
	return 0;
}

static int load_file(const char *dir, const char *file, struct cni_net **ret, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/%s", dir, file);
	AUTO_FREE char *text = NULL;
	bool is_list = str_ends(file, ".conflist");
	size_t n;
	int r = file_read(AT_FDCWD, path, CONF_MAX, &text, &n);

	if (r < 0)
		return err_sys(e, -r, "open %s", path);
	if (cni_net_parse(text, n, is_list, dir, ret, e) == 0)
		return 0;
	return err_wrap(e, "failed to load CNI config %sfile %s", is_list ? "list " : "", path);
}

int cni_net_load(const struct cni_env *env, const char *name, struct cni_net **ret, struct err *e)
{
	static const char *const suffixes[] = { ".conf", ".conflist", ".json", NULL };
	struct strv files AUTO_STRV = { 0 };
	struct err first = { 0 };

	if (name && cni_check_network(name, e) < 0)
		return -1;
	if (list_files(env->conf_dir, suffixes, &files, e) < 0)
		return -1;
	if (!files.n)
		return err_set(e, ERR_NOT_FOUND,
			       "no network config found in %s: cni plugin not initialized",
			       env->conf_dir);
	for (size_t i = 0; i < files.n; i++) {
		struct err bad = { 0 };

		if (load_file(env->conf_dir, files.v[i], ret, &bad) < 0) {
			if (!name)
				return err_copy(e, &bad);
			if (!first.code)
				first = bad; /* perhaps it was this one */
			continue;
		}
		if (!name || !strcmp((*ret)->name, name))
			return 0;
		cni_net_free(TAKE_PTR(*ret));
	}
	if (first.code) {
		err_copy(e, &first);
		return err_wrap(e, "no network \"%s\" in the files that could be read", name);
	}
	return err_set(e, ERR_NOT_FOUND, "no net configuration with name \"%s\" in %s", name,
		       env->conf_dir);
}
