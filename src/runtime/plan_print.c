#include "runtime/caps.h"
#include "runtime/plan.h"

#include "os/syscall.h"

#include <string.h>
#include <sys/mount.h>

static const struct {
	uint64_t bit;
	const char *name;
} attrs[] = {
	{ MOUNT_ATTR_RDONLY, "ro" },
	{ MOUNT_ATTR_NOSUID, "nosuid" },
	{ MOUNT_ATTR_NODEV, "nodev" },
	{ MOUNT_ATTR_NOEXEC, "noexec" },
	{ MOUNT_ATTR_NOATIME, "noatime" },
	{ MOUNT_ATTR_STRICTATIME, "strictatime" },
	{ MOUNT_ATTR_NODIRATIME, "nodiratime" },
	{ MOUNT_ATTR_NOSYMFOLLOW, "nosymfollow" },
};

static void print_attrs(struct str *out, const char *prefix, uint64_t set)
{
	for (size_t i = 0; i < ARRAY_LEN(attrs); i++)
		if (set & attrs[i].bit)
			str_addf(out, " %s%s", prefix, attrs[i].name);
}

static void print_propagation(struct str *out, const char *prefix, uint64_t p)
{
	if (p)
		str_addf(out, " %s%s", prefix,
			 p & MS_SHARED    ? "shared"
			 : p & MS_SLAVE   ? "slave"
			 : p & MS_PRIVATE ? "private"
					  : "unbindable");
}

static void print_mount(const struct mount_op *m, struct str *out)
{
	static const char *const kinds[] = { "bind", "mount", "cgroup", "change" };

	str_addf(out, "%s%s %s", m->recursive ? "r" : "", kinds[m->kind], m->dest);
	if (m->kind == MOUNT_BIND)
		str_addf(out, " from %s", m->source);
	else if (m->kind == MOUNT_FS)
		str_addf(out, " type %s", m->fstype);
	print_attrs(out, "", m->set | (m->late_readonly ? MOUNT_ATTR_RDONLY : 0));
	print_attrs(out, "-", m->clear & ~m->set & ~(uint64_t)MOUNT_ATTR__ATIME);
	print_attrs(out, "r", m->rec_set);
	print_attrs(out, "-r", m->rec_clear & ~m->rec_set & ~(uint64_t)MOUNT_ATTR__ATIME);
	print_propagation(out, "", m->propagation);
	print_propagation(out, "r", m->rec_propagation);
	for (size_t i = 0; i < m->n_params; i++)
		str_addf(out, " %s%s%s", m->params[i].key, m->params[i].value ? "=" : "",
			 m->params[i].value ? m->params[i].value : "");
	if (m->idmap)
		str_addf(out, " %sidmap", m->rec_idmap ? "r" : "");
	if (m->idmap && m->uid_map)
		str_addf(out, " %.*s/ %.*s", (int)strcspn(m->uid_map, "\n"), m->uid_map,
			 (int)strcspn(m->gid_map, "\n"), m->gid_map);
	if (m->copy_up)
		str_add(out, " copy-up");
	str_addc(out, '\n');
}

static void print_caps(struct str *out, const char *name, uint64_t set)
{
	str_addf(out, "caps %s", name);
	for (unsigned i = 0; i < 64; i++)
		if (set & (UINT64_C(1) << i))
			str_addf(out, " %s", caps_name(i));
	str_addc(out, '\n');
}

static void print_process(const struct plan_process *p, struct str *out)
{
	for (size_t i = 0; i < p->n_rlimits; i++)
		str_addf(out, "rlimit %s %llu %llu\n", p->rlimits[i].name,
			 (unsigned long long)p->rlimits[i].limit.rlim_cur,
			 (unsigned long long)p->rlimits[i].limit.rlim_max);
	if (p->has_oom_score_adj)
		str_addf(out, "oom_score_adj %d\n", p->oom_score_adj);
	tune_print(&p->tune, out);
	if (p->caps.is_set) {
		print_caps(out, "bounding", p->caps.bounding);
		print_caps(out, "effective", p->caps.effective);
		print_caps(out, "inheritable", p->caps.inheritable);
		print_caps(out, "permitted", p->caps.permitted);
		print_caps(out, "ambient", p->caps.ambient);
	}
	str_addf(out, "user %u:%u groups", p->uid, p->gid);
	for (size_t i = 0; i < p->n_groups; i++)
		str_addf(out, " %u", p->groups[i]);
	if (p->has_umask)
		str_addf(out, " umask %04o", (unsigned)p->umask);
	str_addc(out, '\n');
	if (p->no_new_privileges)
		str_add(out, "no_new_privs\n");
	if (p->terminal)
		str_addf(out, "terminal %ux%u\n", p->columns, p->rows);
	str_addf(out, "chdir %s\nexec", p->cwd);
	for (size_t i = 0; p->args[i]; i++)
		str_addf(out, " %s", p->args[i]);
	str_addc(out, '\n');
}

static void print_namespaces(const struct plan *p, struct str *out)
{
	for (size_t i = 0; i < p->n_joins; i++)
		str_addf(out, "join %s %s\n", oci_ns_names[p->joins[i].type], p->joins[i].path);
	str_add(out, "new");
	for (int i = 0; i < OCI_NS_COUNT; i++)
		if (p->new_ns & plan_ns_flag((enum oci_ns)i))
			str_addf(out, " %s", oci_ns_names[i]);
	str_addc(out, '\n');
	if (p->uid_map)
		str_addf(out, "uid_map %sgid_map %s", p->uid_map, p->gid_map);
	if (p->time_offsets)
		str_addf(out, "time %s", p->time_offsets);
}

void plan_print(const struct plan *p, struct str *out)
{
	print_namespaces(p, out);
	str_addf(out, "root %s%s", p->rootfs, p->root_readonly ? " ro" : "");
	print_propagation(out, p->root_propagation & MS_REC ? "r" : "", p->root_propagation);
	str_addc(out, '\n');
	for (size_t i = 0; i < p->n_mounts; i++)
		print_mount(&p->mounts[i], out);
	for (size_t i = 0; p->make_devices && i < p->n_devices; i++)
		str_addf(out, "device %s %c %lld:%lld %04o %u:%u\n", p->devices[i].path,
			 p->devices[i].type, (long long)p->devices[i].major,
			 (long long)p->devices[i].minor, p->devices[i].file_mode, p->devices[i].uid,
			 p->devices[i].gid);
	for (size_t i = 0; i < p->n_net_devices; i++)
		str_addf(out, "net_device %s%s%s\n", p->net_devices[i].name,
			 p->net_devices[i].new_name ? " as " : "",
			 p->net_devices[i].new_name ? p->net_devices[i].new_name : "");
	if (p->rdt)
		str_addf(out, "intel_rdt %s%s\n",
			 p->rdt->clos_id && *p->rdt->clos_id ? p->rdt->clos_id : p->id,
			 p->rdt->enable_monitoring ? " monitored" : "");
	for (size_t i = 0; i < p->readonly.n; i++)
		str_addf(out, "readonly %s\n", p->readonly.v[i]);
	for (size_t i = 0; i < p->masked.n; i++)
		str_addf(out, "mask %s\n", p->masked.v[i]);
	if (p->hostname)
		str_addf(out, "hostname %s\n", p->hostname);
	if (p->domainname)
		str_addf(out, "domainname %s\n", p->domainname);
	for (size_t i = 0; i < p->sysctl.n; i++)
		str_addf(out, "sysctl %s = %s\n", p->sysctl.v[i].key, p->sysctl.v[i].value);
	if (p->has_process)
		print_process(&p->process, out);
}
