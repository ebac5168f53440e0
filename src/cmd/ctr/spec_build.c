/* From the options of run and create to the wishes that oci/generate.h takes. */
#include "cmd/ctr/container.h"
#include "cmd/ctr/gpus.h"
#include "os/apparmor.h"

#include "base/jsonr.h"
#include "base/num.h"
#include "cgroup/host_devices.h"
#include "nri/blockio.h"
#include "nri/cdi.h"
#include "nri/member.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sys/utsname.h>

enum { PROFILE_MAX = 4 << 20, ENV_FILE_MAX = 1 << 20, CPU_PERIOD = 100000 };

/* Strings in the arena, NULL-terminated at every moment. */
struct words {
	const char **v;
	size_t n;
};

static void add_word(struct arena *a, struct words *w, const char *s)
{
	const char **v = arena_array(a, w->n + 2, sizeof *v);

	if (w->n)
		memcpy(v, w->v, w->n * sizeof *v);
	v[w->n++] = s;
	w->v = v;
}

static int add_env_file(struct arena *a, struct words *env, const char *path, struct err *e)
{
	char *text AUTO_FREE = NULL, *rest, *line;
	int r = file_read(AT_FDCWD, path, ENV_FILE_MAX, &text, NULL);

	if (r < 0)
		return err_sys(e, -r, "read %s", path);
	rest = text;
	while ((line = strsep(&rest, "\n"))) {
		line[strcspn(line, "\r")] = 0;
		if (*line && *line != '#')
			add_word(a, env, arena_strdup(a, line));
	}
	return 0;
}

static int build_env(const struct args *args, struct generate *g, struct err *e)
{
	struct words env = { arena_array(args->arena, 1, sizeof(char *)), 0 };
	const char *const *words;
	struct utsname host;
	size_t n;

	words = args_list(args, "env-file", &n);
	for (size_t i = 0; i < n; i++)
		if (add_env_file(args->arena, &env, words[i], e) < 0)
			return -1;
	words = args_list(args, "env", &n);
	for (size_t i = 0; i < n; i++)
		add_word(args->arena, &env, words[i]);
	if (args_bool(args, "net-host") && uname(&host) == 0)
		add_word(args->arena, &env,
			 arena_printf(args->arena, "HOSTNAME=%s", host.nodename));
	g->env = env.v;
	return 0;
}

struct mounts {
	struct oci_mount *v;
	size_t n, cap;
};

static void add_mount(struct mounts *l, struct oci_mount m)
{
	GROW(l->v, l->n, l->cap);
	l->v[l->n++] = m;
}

/* "rbind:ro" */
static struct oci_strings split_options(struct arena *a, const char *text)
{
	char *copy = arena_strdup(a, text), *word;
	struct words w = { 0 };

	while ((word = strsep(&copy, ":")))
		add_word(a, &w, word);
	return (struct oci_strings){ w.v, w.n };
}

static int set_mount_field(struct arena *a, struct oci_mount *m, const char *key, const char *value,
			   struct err *e)
{
	if (!strcmp(key, "type"))
		m->type = value;
	else if (!strcmp(key, "source") || !strcmp(key, "src"))
		m->source = value;
	else if (!strcmp(key, "destination") || !strcmp(key, "dst"))
		m->destination = value;
	else if (!strcmp(key, "options"))
		m->options = split_options(a, value);
	else
		return err_set(e, ERR_UNKNOWN, "mount option \"%s\" not supported", key);
	return 0;
}

/* "type=bind,src=/tmp,dst=/host,options=rbind:ro" */
static int parse_mount(struct arena *a, const char *text, struct oci_mount *ret, struct err *e)
{
	char *copy = arena_strdup(a, text), *field, *value;

	*ret = (struct oci_mount){ 0 };
	while ((field = strsep(&copy, ","))) {
		value = strchr(field, '=');
		if (!value)
			return err_set(e, ERR_UNKNOWN,
				       "invalid mount specification: expected key=val");
		*value++ = 0;
		if (set_mount_field(a, ret, field, value, e) < 0)
			return -1;
	}
	if (!ret->destination)
		return err_set(e, ERR_INVALID_ARGUMENT, "mount \"%s\" has no dst", text);
	return 0;
}

static int build_mounts(const struct args *args, struct generate *g, struct err *e)
{
	static const char *const host_files[] = { "/etc/hosts", "/etc/resolv.conf" };
	static const char *const options[] = { "rbind", "ro", NULL };
	struct mounts l = { 0 };
	struct oci_mount m;
	size_t n;
	const char *const *words = args_list(args, "mount", &n);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		r = parse_mount(args->arena, words[i], &m, e);
		if (r == 0)
			add_mount(&l, m);
	}
	for (size_t i = 0; args_bool(args, "net-host") && i < ARRAY_LEN(host_files); i++)
		add_mount(&l, (struct oci_mount){
				      .destination = host_files[i],
				      .source = host_files[i],
				      .type = "bind",
				      .options = { (const char **)(uintptr_t)options, 2 } });
	if (l.n)
		g->mounts = arena_memdup(args->arena, l.v, l.n * sizeof *l.v);
	g->n_mounts = l.n;
	free(l.v);
	return r;
}

static int parse_namespace(const char *text, struct gen_namespace *ret, struct err *e)
{
	const char *path = strchr(text, ':');
	size_t n = path ? (size_t)(path - text) : 0;

	if (!path)
		return err_set(e, ERR_UNKNOWN,
			       "joining a Linux namespace using --with-ns requires "
			       "the format 'nstype:path'");
	for (enum oci_ns i = 0; i < OCI_NS_COUNT; i++)
		if (strlen(oci_ns_names[i]) == n && !memcmp(oci_ns_names[i], text, n)) {
			*ret = (struct gen_namespace){ i, path + 1 };
			return 0;
		}
	return err_set(e, ERR_UNKNOWN,
		       "the Linux namespace type specified in --with-ns is not valid: %.*s", (int)n,
		       text);
}

static int build_namespaces(const struct args *args, struct generate *g, struct err *e)
{
	size_t n, k = 0;
	const char *const *words = args_list(args, "with-ns", &n);
	struct gen_namespace *v = arena_array(args->arena, n + 1, sizeof *v);

	if (args_bool(args, "net-host"))
		v[k++] = (struct gen_namespace){ OCI_NS_NETWORK, NULL };
	for (size_t i = 0; i < n; i++, k++)
		if (parse_namespace(words[i], &v[k], e) < 0)
			return -1;
	g->namespaces = v;
	g->n_namespaces = k;
	return 0;
}

static const char *string_or_null(const struct args *args, const char *name)
{
	const char *s = args_string(args, name);

	return *s ? s : NULL;
}

static int build_limits(const struct args *args, struct generate *g, struct err *e)
{
	const char *memory = args_string(args, "memory-limit");
	uint64_t bytes;
	double cpus;

	if (num_size(memory, &bytes) < 0 || bytes > INT64_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "invalid value \"%s\" for flag -memory-limit", memory);
	g->memory_limit = (struct oci_i64){ (int64_t)bytes, bytes > 0 };
	g->pids_limit =
		(struct oci_i64){ args_int(args, "pids-limit"), args_int(args, "pids-limit") != 0 };
	if (args_int(args, "cpu-quota") != -1) {
		g->cpu_quota = (struct oci_i64){ args_int(args, "cpu-quota"), true };
		g->cpu_period = (struct oci_u64){ args_uint(args, "cpu-period"),
						  args_uint(args, "cpu-period") > 0 };
	}
	cpus = args_float(args, "cpus");
	if (!(cpus >= 0 && cpus <= 1e6))
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid value for flag -cpus");
	if (cpus > 0) {
		if (g->cpu_quota.has)
			return err_set(e, ERR_UNKNOWN,
				       "cpus and quota/period should be used separately");
		g->cpu_quota = (struct oci_i64){ (int64_t)(cpus * CPU_PERIOD + 0.5), true };
		g->cpu_period = (struct oci_u64){ CPU_PERIOD, true };
	}
	g->cpuset_cpus = string_or_null(args, "cpuset-cpus");
	g->cpuset_mems = string_or_null(args, "cpuset-mems");
	g->rdt_class = string_or_null(args, "rdt-class");
	g->cpu_shares = (struct oci_u64){ args_uint(args, "cpu-shares"),
					  args_uint(args, "cpu-shares") > 0 };
	return 0;
}

static int use_default_profile(const struct args *args, struct generate *g, struct err *e)
{
	struct strv caps AUTO_STRV = { 0 };
	char *profile AUTO_FREE = NULL;

	if (generate_capabilities(g, &caps, e) < 0)
		return -1;
	profile = seccomp_default_profile(&caps);
	g->seccomp_profile = arena_strdup(args->arena, profile);
	return 0;
}

static int build_seccomp(const struct args *args, struct generate *g, struct err *e)
{
	const char *path = args_string(args, "seccomp-profile");
	char *text AUTO_FREE = NULL;
	json_object *o AUTO_JSON = NULL;
	size_t n;
	int r;

	if (*path && !args_bool(args, "seccomp"))
		return err_set(e, ERR_UNKNOWN,
			       "seccomp must be set to true, before using seccomp-profile");
	if (!args_bool(args, "seccomp"))
		return 0;
	g->seccomp = GEN_SECCOMP_PROFILE;
	if (!*path)
		return use_default_profile(args, g, e);
	r = file_read(AT_FDCWD, path, PROFILE_MAX, &text, &n);
	if (r < 0)
		return err_sys(e, -r, "cannot load seccomp profile \"%s\"", path);
	if (jsonr_parse(text, n, &o, e) < 0)
		return err_wrap(e, "decoding seccomp profile failed \"%s\"", path);
	g->seccomp_profile = arena_strdup(args->arena, text);
	return 0;
}

static int build_devices(const struct args *args, struct generate *g, struct err *e)
{
	struct device_list l = { .arena = args->arena };
	size_t n;
	const char *const *words = args_list(args, "device", &n);
	int r = 0;

	if (args_bool(args, "privileged-without-host-devices") && !args_bool(args, "privileged"))
		return err_set(e, ERR_UNKNOWN,
			       "can't use 'privileged-without-host-devices' without 'privileged' "
			       "specified");
	g->privileged = args_bool(args, "privileged");
	if (g->privileged && !args_bool(args, "privileged-without-host-devices")) {
		g->all_devices = true;
		r = host_devices_all(&l, e);
	}
	for (size_t i = 0; r == 0 && i < n; i++)
		if (!cdi_is_name(words[i]))
			r = host_devices_add(&l, words[i], e);
	if (l.n)
		g->devices = arena_memdup(args->arena, l.v, l.n * sizeof *l.v);
	g->n_devices = l.n;
	free(l.v);
	return r;
}

static void replace_spec(char **spec, json_object *o)
{
	free(*spec);
	*spec = xstrdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
								  JSON_C_TO_STRING_NOSLASHESCAPE));
}

int spec_add_named_devices(const struct args *args, char **spec, struct err *e)
{
	size_t n, n_names = 0;
	const char *const *words = args_list(args, "device", &n);
	const char **names = arena_array(args->arena, n + 1, sizeof *names);
	json_object *o AUTO_JSON = NULL;

	for (size_t i = 0; i < n; i++)
		if (cdi_is_name(words[i]))
			names[n_names++] = words[i];
	if (!n_names)
		return 0;
	if (jsonr_parse(*spec, strlen(*spec), &o, e) < 0 ||
	    cdi_apply(cdi_folders, names, n_names, o, e) < 0)
		return err_wrap(e, "CDI device injection failed");
	replace_spec(spec, o);
	return 0;
}

int spec_add_blockio(const struct args *args, char **spec, struct err *e)
{
	const char *file = args_string(args, "blockio-config-file");
	const char *class = args_string(args, "blockio-class");
	struct blockio *classes AUTO_BLOCKIO = NULL;
	struct strv warnings AUTO_STRV = { 0 };
	json_object *o AUTO_JSON = NULL, *io AUTO_JSON = NULL;

	if (*file && blockio_load(file, &classes, &warnings, e) < 0)
		return err_wrap(e, "blockio-config-file error");
	for (size_t i = 0; i < warnings.n; i++)
		ctr_warn("%s", warnings.v[i]);
	if (!*class)
		return 0;
	if (blockio_class(classes, class, &io, e) < 0)
		return err_wrap(e, "blockio-class error");
	if (jsonr_parse(*spec, strlen(*spec), &o, e) < 0)
		return -1;
	json_object_object_add(member_child(member_child(o, "linux"), "resources"), "blockIO",
			       json_object_get(io));
	replace_spec(spec, o);
	return 0;
}

static void build_annotations(const struct args *args, struct generate *g)
{
	static const char *const sources[] = { "label", "annotation" };
	struct labels l = { 0 };
	struct oci_pair *v;
	size_t n;

	for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
		const char *const *words = args_list(args, sources[i], &n);

		labels_parse(args->arena, words, n, &l);
	}
	v = arena_array(args->arena, l.n + 1, sizeof *v);
	for (size_t i = 0; i < l.n; i++)
		v[i] = (struct oci_pair){ l.keys[i], l.values[i] };
	g->annotations = (struct oci_pairs){ v, l.n };
}

/* ENTRYPOINT and CMD of the image, or the words given in place of CMD. */
static const char *const *build_args(const struct args *args, const struct image *img)
{
	struct words w = { arena_array(args->arena, 1, sizeof(char *)), 0 };
	const char *const *command = args->n > 2 ? args->v + 2 : NULL;
	const char **entrypoint = img ? img->config.entrypoint : NULL;
	const char **cmd = img ? img->config.cmd : NULL;

	for (; entrypoint && *entrypoint; entrypoint++)
		add_word(args->arena, &w, *entrypoint);
	if (command)
		for (; *command; command++)
			add_word(args->arena, &w, *command);
	else
		for (; cmd && *cmd; cmd++)
			add_word(args->arena, &w, *cmd);
	return w.v;
}

static int build_apparmor(const struct args *args, struct generate *g, struct err *e)
{
	const char *profile = string_or_null(args, "apparmor-profile");
	const char *made = string_or_null(args, "apparmor-default-profile");

	if (profile && made)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "apparmor-profile conflicts with apparmor-default-profile");
	g->apparmor_profile = profile ?: made;
	return made ? apparmor_load_default(made, e) : 0;
}

int spec_from_args(struct ctr *ctr, const struct args *args, const struct image *img,
		   const char *id, struct generate *g, struct err *e)
{
	bool has_cgroup = args_is_set(args, "cgroup");
	const char *cwd = args_string(args, "cwd");

	*g = (struct generate){ 0 };
	g->args = build_args(args, img);
	g->image_env = img ? (const char *const *)img->config.env : NULL;
	g->cwd = *cwd ? cwd : img ? img->config.working_dir : NULL;
	g->terminal = args_bool(args, "tty");
	g->allow_new_privileges = args_bool(args, "allow-new-privs");
	g->cap_add = args_list(args, "cap-add", NULL);
	g->cap_drop = args_list(args, "cap-drop", NULL);
	g->root_readonly = args_bool(args, "read-only");
	g->rootfs_propagation = string_or_null(args, "rootfs-propagation");
	g->cgroups_path = has_cgroup ? args_string(args, "cgroup")
				     : arena_printf(ctr->arena, "/%s/%s", ctr->ns, id);
	if (args_is_set(args, "hostname"))
		g->hostname = args_string(args, "hostname");
	build_annotations(args, g);
	if (build_apparmor(args, g, e) < 0 || build_env(args, g, e) < 0 ||
	    build_mounts(args, g, e) < 0 || build_namespaces(args, g, e) < 0 ||
	    build_limits(args, g, e) < 0 || build_seccomp(args, g, e) < 0 ||
	    build_devices(args, g, e) < 0 || gpus_add_hook(args, g, e) < 0)
		return -1;
	return 0;
}
