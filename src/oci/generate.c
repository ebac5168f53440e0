#include "oci/generate.h"

#include "base/jsonw.h"

enum { SPEC_MAX = 4 << 20 };

struct default_mount {
	const char *destination, *type, *source, *options[8];
};

static const struct default_mount default_mounts[] = {
	{ "/proc", "proc", "proc", { "nosuid", "noexec", "nodev" } },
	{ "/dev", "tmpfs", "tmpfs", { "nosuid", "strictatime", "mode=755", "size=65536k" } },
	{ "/dev/pts",
	  "devpts",
	  "devpts",
	  { "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5" } },
	{ "/dev/shm", "tmpfs", "shm", { "nosuid", "noexec", "nodev", "mode=1777", "size=65536k" } },
	{ "/dev/mqueue", "mqueue", "mqueue", { "nosuid", "noexec", "nodev" } },
	{ "/sys", "sysfs", "sysfs", { "nosuid", "noexec", "nodev", "ro" } },
	{ "/run", "tmpfs", "tmpfs", { "nosuid", "strictatime", "mode=755", "size=65536k" } },
};

/* /dev/null, zero, full, tty, random, urandom, console, pts, ptmx; minor -1 is any */
static const struct {
	int major, minor;
} default_devices[] = {
	{ 1, 3 }, { 1, 8 }, { 1, 7 }, { 5, 0 }, { 1, 5 }, { 1, 9 }, { 5, 1 }, { 136, -1 }, { 5, 2 },
};

static const char *const masked_paths[] = {
	"/proc/acpi",          "/proc/asound",
	"/proc/kcore",         "/proc/keys",
	"/proc/latency_stats", "/proc/timer_list",
	"/proc/timer_stats",   "/proc/sched_debug",
	"/sys/firmware",       "/sys/devices/virtual/powercap",
	"/proc/scsi",          NULL,
};

static const char *const readonly_paths[] = {
	"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", NULL,
};

static const enum oci_ns default_namespaces[] = {
	OCI_NS_PID, OCI_NS_IPC, OCI_NS_UTS, OCI_NS_MOUNT, OCI_NS_NETWORK,
};

static void put_strings(struct jsonw *w, const char *key, const char *const *v)
{
	jsonw_key(w, key);
	jsonw_array(w);
	for (; v && *v; v++)
		jsonw_string(w, *v);
	jsonw_end(w);
}

static void put_user(struct jsonw *w, const struct oci_user *u)
{
	jsonw_key(w, "user");
	jsonw_object(w);
	jsonw_ku64(w, "uid", u->uid);
	jsonw_ku64(w, "gid", u->gid);
	if (u->n_additional_gids) {
		jsonw_key(w, "additionalGids");
		jsonw_array(w);
		for (size_t i = 0; i < u->n_additional_gids; i++)
			jsonw_u64(w, u->additional_gids[i]);
		jsonw_end(w);
	}
	jsonw_end(w);
}

static int put_capabilities(struct jsonw *w, const struct generate *g, struct err *e)
{
	static const char *const sets[] = { "bounding", "effective", "permitted" };
	struct strv caps AUTO_STRV = { 0 };

	if (generate_capabilities(g, &caps, e) < 0)
		return -1;
	jsonw_key(w, "capabilities");
	jsonw_object(w);
	for (size_t i = 0; caps.n && i < ARRAY_LEN(sets); i++)
		put_strings(w, sets[i], (const char *const *)caps.v);
	if (g->cap_ambient && *g->cap_ambient) {
		put_strings(w, "inheritable", g->cap_ambient);
		put_strings(w, "ambient", g->cap_ambient);
	}
	jsonw_end(w);
	return 0;
}

static void put_rlimits(struct jsonw *w)
{
	jsonw_key(w, "rlimits");
	jsonw_array(w);
	jsonw_object(w);
	jsonw_kstring(w, "type", "RLIMIT_NOFILE");
	jsonw_ku64(w, "hard", 1024);
	jsonw_ku64(w, "soft", 1024);
	jsonw_end(w);
	jsonw_end(w);
}

static int put_process(struct jsonw *w, const struct generate *g, struct err *e)
{
	static const char *const tty_env[] = { "TERM=xterm", NULL };
	static const char *const path[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL
	};
	struct strv merged AUTO_STRV = { 0 }, env AUTO_STRV = { 0 };
	bool has_image_env = g->image_env && *g->image_env;

	jsonw_key(w, "process");
	jsonw_object(w);
	if (g->terminal)
		jsonw_kbool(w, "terminal", true);
	put_user(w, &g->user);
	put_strings(w, "args", g->args);

	generate_env(has_image_env ? g->image_env : path, g->terminal ? tty_env : NULL, &merged);
	generate_env((const char *const *)merged.v, g->env, &env);
	put_strings(w, "env", (const char *const *)env.v);
	jsonw_kstring(w, "cwd", g->cwd && *g->cwd ? g->cwd : "/");
	if (put_capabilities(w, g, e) < 0)
		return -1;
	if (!g->no_rlimits)
		put_rlimits(w);
	if (!g->allow_new_privileges)
		jsonw_kbool(w, "noNewPrivileges", true);
	if (g->apparmor_profile)
		jsonw_kstring(w, "apparmorProfile", g->apparmor_profile);
	if (g->selinux_label)
		jsonw_kstring(w, "selinuxLabel", g->selinux_label);
	if (g->oom_score_adj.has)
		jsonw_ki64(w, "oomScoreAdj", g->oom_score_adj.v);
	jsonw_end(w);
	return 0;
}

static void put_mappings(struct jsonw *w, const char *key, const struct oci_idmappings *m)
{
	if (!m->n)
		return;
	jsonw_key(w, key);
	jsonw_array(w);
	for (size_t i = 0; i < m->n; i++) {
		jsonw_object(w);
		jsonw_ku64(w, "containerID", m->v[i].container_id);
		jsonw_ku64(w, "hostID", m->v[i].host_id);
		jsonw_ku64(w, "size", m->v[i].size);
		jsonw_end(w);
	}
	jsonw_end(w);
}

static void put_mount(struct jsonw *w, const struct oci_mount *m)
{
	jsonw_object(w);
	jsonw_kstring(w, "destination", m->destination);
	if (m->type)
		jsonw_kstring(w, "type", m->type);
	if (m->source)
		jsonw_kstring(w, "source", m->source);
	if (m->options.n) {
		jsonw_key(w, "options");
		jsonw_array(w);
		for (size_t i = 0; i < m->options.n; i++)
			jsonw_string(w, m->options.v[i]);
		jsonw_end(w);
	}
	put_mappings(w, "uidMappings", &m->uid_mappings);
	put_mappings(w, "gidMappings", &m->gid_mappings);
	jsonw_end(w);
}

static bool is_host_namespace(const struct generate *g, enum oci_ns type)
{
	for (size_t i = 0; i < g->n_namespaces; i++)
		if (g->namespaces[i].type == type)
			return !g->namespaces[i].path;
	return false;
}

static void put_default_mount(struct jsonw *w, const struct generate *g,
			      const struct default_mount *m)
{
	const char *options[ARRAY_LEN(m->options)];
	size_t n = 0;
	bool is_sys = !strcmp(m->destination, "/sys");

	for (; n < ARRAY_LEN(options) && m->options[n]; n++) {
		options[n] = m->options[n];
		if (g->privileged && is_sys && !strcmp(options[n], "ro"))
			options[n] = "rw";
	}
	put_mount(w, &(struct oci_mount){ .destination = m->destination,
					  .type = m->type,
					  .source = m->source,
					  .options = { options, n } });
}

static void put_mounts(struct jsonw *w, const struct generate *g)
{
	jsonw_key(w, "mounts");
	jsonw_array(w);
	for (size_t i = 0; !g->bare_mounts && i < ARRAY_LEN(default_mounts); i++)
		put_default_mount(w, g, &default_mounts[i]);
	for (size_t i = 0; i < g->n_mounts; i++)
		put_mount(w, &g->mounts[i]);
	jsonw_end(w);
}

static void put_device_rule(struct jsonw *w, bool allow, char type, int64_t major, int64_t minor,
			    const char *access)
{
	jsonw_object(w);
	jsonw_kbool(w, "allow", allow);
	if (type)
		jsonw_kstring(w, "type", (char[]){ type, 0 });
	if (major >= 0)
		jsonw_ki64(w, "major", major);
	if (minor >= 0)
		jsonw_ki64(w, "minor", minor);
	jsonw_kstring(w, "access", access);
	jsonw_end(w);
}

static void put_cpu(struct jsonw *w, const struct generate *g)
{
	if (!g->cpu_shares.has && !g->cpu_quota.has && !g->cpu_period.has && !g->cpuset_cpus &&
	    !g->cpuset_mems)
		return;
	jsonw_key(w, "cpu");
	jsonw_object(w);
	if (g->cpu_shares.has)
		jsonw_ku64(w, "shares", g->cpu_shares.v);
	if (g->cpu_quota.has)
		jsonw_ki64(w, "quota", g->cpu_quota.v);
	if (g->cpu_period.has)
		jsonw_ku64(w, "period", g->cpu_period.v);
	if (g->cpuset_cpus)
		jsonw_kstring(w, "cpus", g->cpuset_cpus);
	if (g->cpuset_mems)
		jsonw_kstring(w, "mems", g->cpuset_mems);
	jsonw_end(w);
}

static void put_memory(struct jsonw *w, const struct generate *g)
{
	if (!g->memory_limit.has && !g->memory_swap.has)
		return;
	jsonw_key(w, "memory");
	jsonw_object(w);
	if (g->memory_limit.has)
		jsonw_ki64(w, "limit", g->memory_limit.v);
	if (g->memory_swap.has)
		jsonw_ki64(w, "swap", g->memory_swap.v);
	jsonw_end(w);
}

static void put_hugepages(struct jsonw *w, const struct generate *g)
{
	if (!g->n_hugepages)
		return;
	jsonw_key(w, "hugepageLimits");
	jsonw_array(w);
	for (size_t i = 0; i < g->n_hugepages; i++) {
		jsonw_object(w);
		jsonw_kstring(w, "pageSize", g->hugepages[i].page_size);
		jsonw_ku64(w, "limit", g->hugepages[i].limit);
		jsonw_end(w);
	}
	jsonw_end(w);
}

static void put_pairs(struct jsonw *w, const char *key, const struct oci_pairs *p)
{
	if (!p->n)
		return;
	jsonw_key(w, key);
	jsonw_object(w);
	for (size_t i = 0; i < p->n; i++)
		jsonw_kstring(w, p->v[i].key, p->v[i].value);
	jsonw_end(w);
}

static void put_limit(struct jsonw *w, const char *key, const struct oci_i64 *limit)
{
	if (!limit->has)
		return;
	jsonw_key(w, key);
	jsonw_object(w);
	jsonw_ki64(w, "limit", limit->v);
	jsonw_end(w);
}

static void put_resources(struct jsonw *w, const struct generate *g)
{
	jsonw_key(w, "resources");
	jsonw_object(w);
	jsonw_key(w, "devices");
	jsonw_array(w);
	put_device_rule(w, g->all_devices, 0, -1, -1, "rwm");
	for (size_t i = 0; !g->all_devices && i < ARRAY_LEN(default_devices); i++)
		put_device_rule(w, true, 'c', default_devices[i].major, default_devices[i].minor,
				"rwm");
	for (size_t i = 0; i < g->n_devices; i++)
		put_device_rule(w, true, g->devices[i].type, g->devices[i].major,
				g->devices[i].minor,
				g->devices[i].access ? g->devices[i].access : "rwm");
	jsonw_end(w);
	put_memory(w, g);
	put_cpu(w, g);
	put_limit(w, "pids", &g->pids_limit);
	put_hugepages(w, g);
	put_pairs(w, "unified", &g->unified);
	jsonw_end(w);
}

static void put_namespace(struct jsonw *w, const struct generate *g, enum oci_ns type)
{
	if (is_host_namespace(g, type))
		return;
	jsonw_object(w);
	jsonw_kstring(w, "type", oci_ns_names[type]);
	for (size_t i = 0; i < g->n_namespaces; i++)
		if (g->namespaces[i].type == type) {
			if (*g->namespaces[i].path)
				jsonw_kstring(w, "path", g->namespaces[i].path);
			break;
		}
	jsonw_end(w);
}

static bool is_default_namespace(enum oci_ns type)
{
	for (size_t i = 0; i < ARRAY_LEN(default_namespaces); i++)
		if (default_namespaces[i] == type)
			return true;
	return false;
}

static void put_namespaces(struct jsonw *w, const struct generate *g)
{
	bool has_user = g->uid_mappings.n || g->gid_mappings.n;

	jsonw_key(w, "namespaces");
	jsonw_array(w);
	for (size_t i = 0; i < ARRAY_LEN(default_namespaces); i++)
		put_namespace(w, g, default_namespaces[i]);
	for (size_t i = 0; i < g->n_namespaces; i++)
		if (!is_default_namespace(g->namespaces[i].type)) {
			put_namespace(w, g, g->namespaces[i].type);
			has_user &= g->namespaces[i].type != OCI_NS_USER;
		}
	if (has_user)
		put_namespace(w, g, OCI_NS_USER);
	jsonw_end(w);
}

static void put_devices(struct jsonw *w, const struct generate *g)
{
	if (!g->n_devices)
		return;
	jsonw_key(w, "devices");
	jsonw_array(w);
	for (size_t i = 0; i < g->n_devices; i++) {
		const struct gen_device *d = &g->devices[i];

		jsonw_object(w);
		jsonw_kstring(w, "path", d->path);
		jsonw_kstring(w, "type", (char[]){ d->type, 0 });
		jsonw_ki64(w, "major", d->major);
		jsonw_ki64(w, "minor", d->minor);
		jsonw_ku64(w, "fileMode", d->mode);
		jsonw_ku64(w, "uid", d->uid);
		jsonw_ku64(w, "gid", d->gid);
		jsonw_end(w);
	}
	jsonw_end(w);
}

static void put_linux(struct jsonw *w, const struct generate *g)
{
	jsonw_key(w, "linux");
	jsonw_object(w);
	put_mappings(w, "uidMappings", &g->uid_mappings);
	put_mappings(w, "gidMappings", &g->gid_mappings);
	put_pairs(w, "sysctl", &g->sysctl);
	put_resources(w, g);
	if (g->cgroups_path && *g->cgroups_path)
		jsonw_kstring(w, "cgroupsPath", g->cgroups_path);
	put_namespaces(w, g);
	put_devices(w, g);
	if (g->seccomp == GEN_SECCOMP_PROFILE && !g->privileged) {
		jsonw_key(w, "seccomp");
		jsonw_raw(w, g->seccomp_profile);
	}
	if (g->rootfs_propagation)
		jsonw_kstring(w, "rootfsPropagation", g->rootfs_propagation);
	if (g->mount_label)
		jsonw_kstring(w, "mountLabel", g->mount_label);
	if (g->masked_paths || !g->privileged)
		put_strings(w, "maskedPaths", g->masked_paths ?: masked_paths);
	if (g->readonly_paths || !g->privileged)
		put_strings(w, "readonlyPaths", g->readonly_paths ?: readonly_paths);
	if (g->rdt_class) {
		jsonw_key(w, "intelRdt");
		jsonw_object(w);
		jsonw_kstring(w, "closID", g->rdt_class);
		jsonw_end(w);
	}
	jsonw_end(w);
}

static void put_hooks(struct jsonw *w, const struct generate *g)
{
	if (!g->create_runtime)
		return;
	jsonw_key(w, "hooks");
	jsonw_object(w);
	jsonw_key(w, "createRuntime");
	jsonw_array(w);
	jsonw_object(w);
	jsonw_kstring(w, "path", g->create_runtime->path);
	put_strings(w, "args", g->create_runtime->args.v);
	put_strings(w, "env", g->create_runtime->env.v);
	jsonw_end(w);
	jsonw_end(w);
	jsonw_end(w);
}

int generate_spec(const struct generate *g, char **ret, struct err *e)
{
	struct str out AUTO_STR = STR_INIT(SPEC_MAX);
	struct jsonw w;

	if (!g->args || !g->args[0])
		return err_set(e, ERR_INVALID_ARGUMENT, "no command specified");
	jsonw_init(&w, &out, 0);
	jsonw_object(&w);
	jsonw_kstring(&w, "ociVersion", "1.2.1");
	if (put_process(&w, g, e) < 0)
		return -1;
	jsonw_key(&w, "root");
	jsonw_object(&w);
	jsonw_kstring(&w, "path", g->root_path ? g->root_path : "rootfs");
	if (g->root_readonly)
		jsonw_kbool(&w, "readonly", true);
	jsonw_end(&w);
	if (g->hostname)
		jsonw_kstring(&w, "hostname", g->hostname);
	put_mounts(&w, g);
	put_hooks(&w, g);
	put_pairs(&w, "annotations", &g->annotations);
	put_linux(&w, g);
	jsonw_end(&w);
	if (out.over)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "the container's spec is longer than %d MiB", SPEC_MAX >> 20);
	*ret = str_take(&out);
	return 0;
}
