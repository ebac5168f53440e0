#include "nri/cdi.h"

#include "base/mem.h"
#include "base/str.h"
#include "base/yaml.h"
#include "nri/member.h"
#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { FILE_MAX = 4 << 20, FILES_MAX = 1024 };

const char *const cdi_folders[] = { "/etc/cdi", "/var/run/cdi", NULL };

/* --- the files --- */

struct cdi_file {
	json_object *root;
	size_t folder;
	bool is_applied; /* what it says for all of its devices */
};

struct cdi_files {
	struct cdi_file *v;
	size_t n, cap;
};

static void files_done(struct cdi_files *f)
{
	for (size_t i = 0; i < f->n; i++)
		json_object_put(f->v[i].root);
	free(f->v);
}

static int read_one(struct cdi_files *f, int dirfd, const char *folder, size_t number,
		    const char *name, struct err *e)
{
	AUTO_FREE char *text = NULL;
	json_object *root = NULL;
	size_t n;
	int r = file_read(dirfd, name, FILE_MAX, &text, &n);

	if (r < 0)
		return err_sys(e, -r, "read %s/%s", folder, name);
	r = str_ends(name, ".yaml") ? yaml_parse(text, n, &root, e)
				    : jsonr_parse(text, n, &root, e);
	if (r < 0)
		return err_wrap(e, "CDI spec %s/%s", folder, name);
	GROW(f->v, f->n, f->cap);
	f->v[f->n++] = (struct cdi_file){ .root = root, .folder = number };
	return 0;
}

static int read_folder(struct cdi_files *f, const char *folder, size_t number, struct err *e)
{
	DIR *dir = opendir(folder);
	struct dirent *d;
	int r = 0;

	if (!dir)
		return errno == ENOENT ? 0 : err_sys(e, errno, "open %s", folder);
	while (r == 0 && f->n < FILES_MAX && (d = readdir(dir))) {
		if (str_ends(d->d_name, ".yaml") || str_ends(d->d_name, ".json"))
			r = read_one(f, dirfd(dir), folder, number, d->d_name, e);
	}
	closedir(dir);
	return r;
}

bool cdi_is_name(const char *s)
{
	const char *slash = strchr(s, '/'), *equals = strchr(s, '=');

	return *s != '/' && slash && equals && slash + 1 < equals && slash > s && equals[1] &&
	       !strchr(slash + 1, '/');
}

/* Where quotes are not needed, a name of digits is a number. */
static bool is_named(json_object *o, const char *name)
{
	bool is_scalar =
		json_object_is_type(o, json_type_string) || json_object_is_type(o, json_type_int);

	return is_scalar && !strcmp(json_object_get_string(o), name);
}

static json_object *device_of(const struct cdi_file *f, const char *name)
{
	const char *equals = strchr(name, '='), *kind = member_text(f->root, "kind");
	json_object *list = member_get(f->root, "devices");

	if (strlen(kind) != (size_t)(equals - name) || strncmp(kind, name, strlen(kind)) != 0 ||
	    !json_object_is_type(list, json_type_array))
		return NULL;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		json_object *d = json_object_array_get_idx(list, i);

		if (is_named(member_get(d, "name"), equals + 1))
			return d;
	}
	return NULL;
}

static int find(struct cdi_files *f, const char *name, struct cdi_file **ret_file,
		json_object **ret, struct err *e)
{
	*ret_file = NULL;
	*ret = NULL;
	for (size_t i = f->n; i-- > 0 && cdi_is_name(name);) {
		json_object *d = device_of(&f->v[i], name);

		if (!d)
			continue;
		if (*ret_file && (*ret_file)->folder == f->v[i].folder)
			return err_set(e, ERR_ALREADY_EXISTS,
				       "CDI device %.200s is in two files of a folder", name);
		if (*ret_file)
			break; /* of a folder that the other one goes before */
		*ret_file = &f->v[i];
		*ret = d;
	}
	if (*ret_file)
		return 0;
	return err_set(e, ERR_NOT_FOUND, "unresolvable CDI devices %.200s", name);
}

/* --- what they say, done --- */

static json_object *items_of(json_object *o, const char *key, size_t *ret_n)
{
	json_object *list = member_get(o, key);

	*ret_n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
	return list;
}

static void add_env(json_object *edits, json_object *spec)
{
	json_object *env = member_list(member_child(spec, "process"), "env");
	size_t n;
	json_object *list = items_of(edits, "env", &n);

	for (size_t i = 0; i < n; i++) {
		json_object *item = json_object_array_get_idx(list, i);
		const char *line = json_object_get_string(item) ?: "";
		AUTO_FREE char *key = xstrndup(line, strcspn(line, "="));

		member_drop_env(env, key);
		json_object_array_add(env, json_object_get(item));
	}
}

/* Copies those members that are there, under the spec's names. */
static json_object *copy(json_object *from, const char *const (*names)[2], size_t n)
{
	json_object *to = json_object_new_object();

	for (size_t i = 0; i < n; i++) {
		json_object *v = member_get(from, names[i][0]);

		if (v)
			json_object_object_add(to, names[i][1], json_object_get(v));
	}
	return to;
}

static int fill_numbers(json_object *node, json_object *d, struct err *e)
{
	const char *path = member_text(node, "hostPath");
	struct stat st;

	if (member_get(d, "type") && (member_get(d, "major") || *member_text(d, "type") == 'p'))
		return 0;
	path = *path ? path : member_text(node, "path");
	if (stat(path, &st) < 0)
		return err_sys(e, errno, "CDI device node %s", path);
	if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_set(e, ERR_INVALID_ARGUMENT, "CDI device node %s is no device", path);
	json_object_object_add(d, "type", json_object_new_string(S_ISCHR(st.st_mode) ? "c" : "b"));
	json_object_object_add(d, "major", json_object_new_int64(major(st.st_rdev)));
	json_object_object_add(d, "minor", json_object_new_int64(minor(st.st_rdev)));
	return 0;
}

static void allow(json_object *node, json_object *d, json_object *linux)
{
	json_object *rules = member_list(member_child(linux, "resources"), "devices");
	json_object *rule = json_object_new_object();
	const char *access = member_text(node, "permissions");

	json_object_object_add(rule, "allow", json_object_new_boolean(true));
	json_object_object_add(rule, "type", json_object_get(member_get(d, "type")));
	json_object_object_add(rule, "major", json_object_get(member_get(d, "major")));
	json_object_object_add(rule, "minor", json_object_get(member_get(d, "minor")));
	json_object_object_add(rule, "access", json_object_new_string(*access ? access : "rwm"));
	json_object_array_add(rules, rule);
}

static int add_nodes(json_object *edits, json_object *spec, struct err *e)
{
	static const char *const names[][2] = { { "path", "path" },        { "type", "type" },
						{ "major", "major" },      { "minor", "minor" },
						{ "uid", "uid" },          { "gid", "gid" },
						{ "fileMode", "fileMode" } };
	json_object *linux = member_child(spec, "linux"), *to = member_list(linux, "devices");
	size_t n;
	json_object *list = items_of(edits, "deviceNodes", &n);

	for (size_t i = 0; i < n; i++) {
		json_object *node = json_object_array_get_idx(list, i);
		json_object *d = copy(node, names, ARRAY_LEN(names));

		if (fill_numbers(node, d, e) < 0) {
			json_object_put(d);
			return -1;
		}
		member_drop_named(to, "path", member_text(d, "path"));
		json_object_array_add(to, d);
		if (*member_text(d, "type") != 'p')
			allow(node, d, linux);
	}
	return 0;
}

static void add_mounts(json_object *edits, json_object *spec)
{
	static const char *const names[][2] = { { "containerPath", "destination" },
						{ "type", "type" },
						{ "hostPath", "source" },
						{ "options", "options" } };
	json_object *to = member_list(spec, "mounts");
	size_t n;
	json_object *list = items_of(edits, "mounts", &n);

	for (size_t i = 0; i < n; i++) {
		json_object *m = copy(json_object_array_get_idx(list, i), names, ARRAY_LEN(names));

		member_drop_named(to, "destination", member_text(m, "destination"));
		json_object_array_add(to, m);
	}
}

static void add_hooks(json_object *edits, json_object *spec)
{
	static const char *const names[][2] = {
		{ "path", "path" }, { "args", "args" }, { "env", "env" }, { "timeout", "timeout" }
	};
	size_t n;
	json_object *list = items_of(edits, "hooks", &n);

	for (size_t i = 0; i < n; i++) {
		json_object *h = json_object_array_get_idx(list, i);

		json_object_array_add(
			member_list(member_child(spec, "hooks"), member_text(h, "hookName")),
			copy(h, names, ARRAY_LEN(names)));
	}
}

static void add_groups(json_object *edits, json_object *spec)
{
	size_t n;
	json_object *list = items_of(edits, "additionalGids", &n);

	if (n)
		(void)member_append(list,
				    member_list(member_child(member_child(spec, "process"), "user"),
						"additionalGids")); /* always 0 */
}

static int apply(json_object *owner, json_object *spec, struct err *e)
{
	static const char *const known[] = { "env",   "deviceNodes",    "mounts",
					     "hooks", "additionalGids", "intelRdt" };
	json_object *edits = member_get(owner, "containerEdits"), *v;

	if (!json_object_is_type(edits, json_type_object))
		return 0;
	json_object_object_foreach(edits, key, unused)
	{
		bool is_known = false;

		(void)unused;
		for (size_t i = 0; i < ARRAY_LEN(known); i++)
			is_known = is_known || !strcmp(known[i], key);
		if (!is_known)
			return err_set(e, ERR_UNIMPLEMENTED,
				       "CDI: containerEdits.%.100s is not supported", key);
	}
	add_env(edits, spec);
	if (add_nodes(edits, spec, e) < 0)
		return -1;
	add_mounts(edits, spec);
	add_hooks(edits, spec);
	add_groups(edits, spec);
	if ((v = member_get(edits, "intelRdt")))
		json_object_object_add(member_child(spec, "linux"), "intelRdt", json_object_get(v));
	return 0;
}

static int apply_all(struct cdi_files *f, const char *const *names, size_t n, json_object *spec,
		     struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		struct cdi_file *file;
		json_object *device;

		if (find(f, names[i], &file, &device, e) < 0 || apply(device, spec, e) < 0)
			return -1;
		if (!file->is_applied && apply(file->root, spec, e) < 0)
			return -1;
		file->is_applied = true;
	}
	return 0;
}

int cdi_apply(const char *const *folders, const char *const *names, size_t n, json_object *spec,
	      struct err *e)
{
	struct cdi_files f = { 0 };
	int r = 0;

	for (size_t i = 0; folders[i] && r == 0; i++)
		r = read_folder(&f, folders[i], i, e);
	if (r == 0)
		r = apply_all(&f, names, n, spec, e);
	files_done(&f);
	return r;
}
