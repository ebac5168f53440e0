#include "runtime/plan.h"

#include "base/ident.h"
#include "os/syscall.h"
#include "runtime/idmap.h"
#include "runtime/netdev.h"

#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

uint64_t plan_ns_flag(enum oci_ns ns)
{
	static const uint64_t flags[OCI_NS_COUNT] = {
		[OCI_NS_PID] = CLONE_NEWPID,   [OCI_NS_NETWORK] = CLONE_NEWNET,
		[OCI_NS_MOUNT] = CLONE_NEWNS,  [OCI_NS_IPC] = CLONE_NEWIPC,
		[OCI_NS_UTS] = CLONE_NEWUTS,   [OCI_NS_USER] = CLONE_NEWUSER,
		[OCI_NS_TIME] = CLONE_NEWTIME, [OCI_NS_CGROUP] = CLONE_NEWCGROUP,
	};

	return flags[ns];
}

/* The user namespace gives the rights to join the others; the mount namespace takes away the
 * paths of the others, so it comes last. */
static const enum oci_ns join_order[] = {
	OCI_NS_USER, OCI_NS_PID,    OCI_NS_NETWORK, OCI_NS_IPC,
	OCI_NS_UTS,  OCI_NS_CGROUP, OCI_NS_TIME,    OCI_NS_MOUNT,
};

bool plan_knows_ns(enum oci_ns ns)
{
	for (size_t i = 0; i < ARRAY_LEN(join_order); i++)
		if (join_order[i] == ns)
			return true;
	return false;
}

uint64_t plan_clone_flags(const struct plan *p)
{
	uint64_t flags = p->new_ns & ~(uint64_t)CLONE_NEWCGROUP;

	return p->time_offsets ? flags & ~(uint64_t)CLONE_NEWTIME : flags;
}

static const struct oci_namespace *find_ns(const struct oci_spec *s, enum oci_ns type)
{
	for (size_t i = 0; i < s->linux.n_namespaces; i++)
		if (s->linux.namespaces[i].type == type)
			return &s->linux.namespaces[i];
	return NULL;
}

static int check_namespaces(const struct oci_spec *s, struct err *e)
{
	uint64_t seen = 0;

	for (size_t i = 0; i < s->linux.n_namespaces; i++) {
		const struct oci_namespace *n = &s->linux.namespaces[i];
		uint64_t flag = plan_ns_flag(n->type);

		if (seen & flag)
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "malformed spec file: duplicated ns %s",
				       oci_ns_names[n->type]);
		seen |= flag;
		if (n->path && n->path[0] != '/')
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "linux.namespaces: path %s of %s is not absolute", n->path,
				       oci_ns_names[n->type]);
	}
	if (seen & CLONE_NEWNS)
		return 0;
	if (s->linux.masked_paths.n || s->linux.readonly_paths.n)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "unable to restrict sys entries without a private MNT namespace");
	if (seen & CLONE_NEWUSER) /* it has no right to mount in somebody else's */
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "unable to use a user namespace without a private MNT namespace");
	return 0;
}

int plan_namespaces(struct arena *a, const struct oci_spec *s, struct plan *ret, struct err *e)
{
	const struct oci_linux *l = &s->linux;

	if (check_namespaces(s, e) < 0)
		return -1;
	ret->joins = arena_array(a, ARRAY_LEN(join_order), sizeof *ret->joins);
	for (size_t i = 0; i < ARRAY_LEN(join_order); i++) {
		const struct oci_namespace *n = find_ns(s, join_order[i]);

		if (!n)
			continue;
		ret->all_ns |= plan_ns_flag(n->type);
		if (n->path)
			ret->joins[ret->n_joins++] = (struct plan_join){ n->type, n->path };
		else
			ret->new_ns |= plan_ns_flag(n->type);
	}
	if (ret->new_ns & CLONE_NEWUSER) {
		if (!l->uid_mappings.n || !l->gid_mappings.n)
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "User namespaces enabled, but no %s mappings found.",
				       l->uid_mappings.n ? "gid" : "uid");
		if (idmap_text(a, &l->uid_mappings, &ret->uid_map, e) < 0)
			return err_wrap(e, "linux.uidMappings");
		if (idmap_text(a, &l->gid_mappings, &ret->gid_map, e) < 0)
			return err_wrap(e, "linux.gidMappings");
	} else if (!(ret->all_ns & CLONE_NEWUSER) && (l->uid_mappings.n || l->gid_mappings.n)) {
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "id mappings are given, but no user namespace");
	}
	if ((s->hostname || s->domainname) && !(ret->all_ns & CLONE_NEWUTS))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "unable to set %s without a private UTS namespace",
			       s->hostname ? "hostname" : "domainname");
	return 0;
}

static int plan_time_offsets(struct arena *a, const struct oci_spec *s, struct plan *ret,
			     struct err *e)
{
	AUTO_STR struct str text = STR_INIT(4096);
	const struct oci_linux *l = &s->linux;

	if (l->n_time_offsets && !(ret->all_ns & CLONE_NEWTIME))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "time namespace offsets specified, but time namespace isn't "
			       "enabled in the config");
	for (size_t i = 0; i < l->n_time_offsets; i++) {
		const struct oci_time_offset *o = &l->time_offsets[i];

		if (strcmp(o->clock, "monotonic") != 0 && strcmp(o->clock, "boottime") != 0)
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "linux.timeOffsets: clock %s is not monotonic or boottime",
				       o->clock);
		if (o->nanosecs >= 1000000000)
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "linux.timeOffsets.%s.nanosecs is a second or more",
				       o->clock);
		str_addf(&text, "%s %lld %u\n", o->clock, (long long)o->secs, o->nanosecs);
	}
	/* a joined namespace has its own, as runc leaves it */
	if (l->n_time_offsets && ret->new_ns & CLONE_NEWTIME)
		ret->time_offsets = arena_strdup(a, str_c(&text));
	return 0;
}

static int plan_propagation(const struct oci_spec *s, struct plan *ret, struct err *e)
{
	static const struct {
		const char *name;
		uint64_t flags;
	} known[] = {
		{ "private", MS_PRIVATE },       { "rprivate", MS_PRIVATE | MS_REC },
		{ "slave", MS_SLAVE },           { "rslave", MS_SLAVE | MS_REC },
		{ "shared", MS_SHARED },         { "rshared", MS_SHARED | MS_REC },
		{ "unbindable", MS_UNBINDABLE }, { "runbindable", MS_UNBINDABLE | MS_REC },
	};
	const char *name = s->linux.rootfs_propagation;

	ret->root_propagation = 0;
	if (!name || !*name)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strcmp(known[i].name, name) == 0)
			ret->root_propagation = known[i].flags;
	if (!ret->root_propagation)
		return err_set(e, ERR_INVALID_ARGUMENT, "rootfsPropagation=%s is not supported",
			       name);
	return 0;
}

/* What the spec wants in every container (config-linux.md, "Default Devices"). */
static const struct oci_device default_devices[] = {
	{ "/dev/null", 'c', 1, 3, true, 0666, 0, 0 },
	{ "/dev/zero", 'c', 1, 5, true, 0666, 0, 0 },
	{ "/dev/full", 'c', 1, 7, true, 0666, 0, 0 },
	{ "/dev/random", 'c', 1, 8, true, 0666, 0, 0 },
	{ "/dev/urandom", 'c', 1, 9, true, 0666, 0, 0 },
	{ "/dev/tty", 'c', 5, 0, true, 0666, 0, 0 },
};

static int plan_devices(struct arena *a, const struct oci_spec *s, struct plan *ret, struct err *e)
{
	const struct oci_linux *l = &s->linux;

	ret->devices =
		arena_array(a, l->n_devices + ARRAY_LEN(default_devices), sizeof *ret->devices);
	for (size_t i = 0; i < l->n_devices; i++) {
		struct oci_device d = l->devices[i];

		if (!d.path || d.path[0] != '/')
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "linux.devices: path %s is not absolute",
				       d.path ? d.path : "\"\"");
		if (!strchr("cubp", d.type))
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "linux.devices: %s has no known type", d.path);
		d.path = plan_clean_path(a, d.path);
		if (strcmp(d.path, "/dev/ptmx") == 0) /* a link to the one of its own devpts */
			continue;
		if (!d.has_file_mode)
			d.file_mode = 0666;
		d.file_mode &= 07777; /* the type bits that some writers add are not needed */
		ret->devices[ret->n_devices++] = d;
	}
	size_t given = ret->n_devices;
	for (size_t i = 0; i < ARRAY_LEN(default_devices); i++) {
		bool is_given = false;

		for (size_t k = 0; k < given; k++)
			is_given |= strcmp(ret->devices[k].path, default_devices[i].path) == 0;
		if (!is_given)
			ret->devices[ret->n_devices++] = default_devices[i];
	}
	return 0;
}

static bool is_any(const char *s, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(s, list[i]) == 0)
			return true;
	return false;
}

/* Only what belongs to a namespace of the container may be set: anything else is the host's. */
static int check_sysctl(const struct plan *p, const struct oci_spec *s, const char *key,
			const char *given, struct err *e)
{
	static const char *const ipc[] = {
		"kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/sem",
		"kernel/shmall", "kernel/shmmax", "kernel/shmmni", "kernel/shm_rmid_forced",
	};

	if (is_any(key, ipc, ARRAY_LEN(ipc)) || str_starts(key, "fs/mqueue/")) {
		if (p->all_ns & CLONE_NEWIPC)
			return 0;
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "sysctl \"%s\" is not allowed in the hosts ipc namespace", given);
	}
	if (str_starts(key, "net/")) {
		const struct oci_namespace *n = find_ns(s, OCI_NS_NETWORK);

		if (n && !(n->path && (strcmp(n->path, "/proc/self/ns/net") == 0 ||
				       strcmp(n->path, "/proc/1/ns/net") == 0)))
			return 0;
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "sysctl \"%s\" not allowed in host network namespace", given);
	}
	if (strcmp(key, "kernel/domainname") == 0 && (p->all_ns & CLONE_NEWUTS))
		return 0;
	if (strcmp(key, "kernel/hostname") == 0 && (p->all_ns & CLONE_NEWUTS))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "sysctl \"%s\" is not allowed as it conflicts with the OCI "
			       "\"hostname\" field",
			       given);
	if (str_starts(key, "user/") && (p->all_ns & CLONE_NEWUSER))
		return 0;
	return err_set(e, ERR_INVALID_ARGUMENT,
		       "sysctl \"%s\" is not in a separate kernel namespace", given);
}

/* "net.ipv4.conf.eth0/1.x" writes a '.' of a name as '/'; a key whose first separator is '/' is
 * taken as it is, as sysctl(8) does. */
static const char *sysctl_path(struct arena *a, const char *key)
{
	char *path = arena_strdup(a, key);

	if (key[strcspn(key, "./")] == '/')
		return path;
	for (char *p = path; *p; p++)
		*p = *p == '.' ? '/' : *p == '/' ? '.' : *p;
	return path;
}

static bool has_dots(const char *path)
{
	for (const char *p = path; *p;) {
		size_t n = strcspn(p, "/");

		if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
			return true;
		p += n + (p[n] == '/');
	}
	return !*path;
}

static int plan_sysctls(struct arena *a, const struct oci_spec *s, struct plan *ret, struct err *e)
{
	const struct oci_pairs *in = &s->linux.sysctl;

	ret->sysctl.v = arena_array(a, in->n, sizeof *in->v);
	for (size_t i = 0; i < in->n; i++) {
		const char *path = sysctl_path(a, in->v[i].key);

		if (has_dots(path))
			return err_set(e, ERR_INVALID_ARGUMENT, "sysctl \"%s\" is not a key",
				       in->v[i].key);
		if (check_sysctl(ret, s, path, in->v[i].key, e) < 0)
			return -1;
		ret->sysctl.v[ret->sysctl.n++] = (struct oci_pair){ path, in->v[i].value };
	}
	return 0;
}

static int plan_paths(const char *field, const struct oci_strings *in, struct oci_strings *ret,
		      struct err *e)
{
	for (size_t i = 0; i < in->n; i++)
		if (in->v[i][0] != '/')
			return err_set(e, ERR_INVALID_ARGUMENT, "%s: path %s is not absolute",
				       field, in->v[i]);
	*ret = *in;
	return 0;
}

static int check_version(const struct oci_spec *s, struct err *e)
{
	if (!s->version || !*s->version)
		return err_set(e, ERR_INVALID_ARGUMENT, "ociVersion is missing");
	if (!str_starts(s->version, "1."))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "ociVersion %s is not supported: must be 1.x", s->version);
	return 0;
}

static int plan_rdt(const struct oci_spec *s, struct plan *ret, struct err *e)
{
	const struct oci_intel_rdt *r = s->linux.intel_rdt;
	const char *id = r && r->clos_id ? r->clos_id : "";

	ret->rdt = r;
	if (strcmp(id, ".") == 0 || strcmp(id, "..") == 0 || strchr(id, '/'))
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid intelRdt.ClosID \"%s\"", id);
	return 0;
}

static int plan_rest(struct arena *a, const struct plan_input *in, struct plan *ret, struct err *e)
{
	const struct oci_spec *s = in->spec;

	if (plan_time_offsets(a, s, ret, e) < 0 || netdev_plan(s, ret, e) < 0 ||
	    plan_rdt(s, ret, e) < 0 || plan_propagation(s, ret, e) < 0 ||
	    plan_mounts(a, s, ret, e) < 0 || plan_devices(a, s, ret, e) < 0 ||
	    plan_sysctls(a, s, ret, e) < 0)
		return -1;
	if (plan_paths("linux.maskedPaths", &s->linux.masked_paths, &ret->masked, e) < 0 ||
	    plan_paths("linux.readonlyPaths", &s->linux.readonly_paths, &ret->readonly, e) < 0)
		return -1;
	ret->has_process = s->process != NULL;
	if (s->process && plan_process(a, s->process, &ret->process, &ret->warnings, e) < 0)
		return -1;
	if (tune_plan_linux(&s->linux, &ret->process.tune, &ret->warnings, e) < 0)
		return -1;
	return 0;
}

int plan_make(struct arena *a, const struct plan_input *in, struct plan *ret, struct err *e)
{
	const struct oci_spec *s = in->spec;

	*ret = (struct plan){
		.id = in->id,
		.bundle = in->bundle,
		.hostname = s->hostname && *s->hostname ? s->hostname : NULL,
		.domainname = s->domainname && *s->domainname ? s->domainname : NULL,
		.root_readonly = s->root_readonly,
		.mount_label =
			s->linux.mount_label && *s->linux.mount_label ? s->linux.mount_label : NULL,
	};
	if (check_version(s, e) < 0)
		return -1;
	if (!s->root_path || !*s->root_path)
		return err_set(e, ERR_INVALID_ARGUMENT, "root.path must not be empty");
	ret->rootfs = plan_clean_path(
		a, s->root_path[0] == '/' ? s->root_path
					  : arena_printf(a, "%s/%s", in->bundle, s->root_path));
	if (plan_namespaces(a, s, ret, e) < 0 || plan_rest(a, in, ret, e) < 0) {
		plan_done(ret);
		return -1;
	}
	return 0;
}

void plan_done(struct plan *p)
{
	strv_done(&p->warnings);
}
