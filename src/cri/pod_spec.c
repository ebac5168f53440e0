/* What the first process of a pod is: the holder of its namespaces. */
#include "cri/private.h"
#include "cri/security.h"

#include "containerd/types/runc/options/oci.pb-c.h"
#include "oci/generate.h"

#include <string.h>

enum { PAUSE_OOM_SCORE = -998, MAPPING_MAX = 1 };

static const CRI(NamespaceOption) * namespaces_of(const struct pod *pod)
{
	const CRI(LinuxPodSandboxConfig) *l = pod->config->linux;

	return l && l->security_context ? l->security_context->namespace_options : NULL;
}

bool pod_has_host(const struct pod *pod, enum oci_ns type)
{
	const CRI(NamespaceOption) *o = namespaces_of(pod);
	const CRI(NamespaceMode) node = RUNTIME__V1__NAMESPACE_MODE__NODE;

	if (!o)
		return false;
	switch (type) {
	case OCI_NS_NETWORK:
	case OCI_NS_UTS: /* the host's name goes with its network */
		return o->network == node;
	case OCI_NS_PID:
		return o->pid == node;
	case OCI_NS_IPC:
		return o->ipc == node;
	default:
		return false;
	}
}

bool pod_shares_pid(const struct pod *pod)
{
	const CRI(NamespaceOption) *o = namespaces_of(pod);

	return !o || o->pid == RUNTIME__V1__NAMESPACE_MODE__POD;
}

const CRI(UserNamespace) * pod_userns(const struct pod *pod)
{
	const CRI(NamespaceOption) *o = namespaces_of(pod);
	const CRI(UserNamespace) *u = o ? o->userns_options : NULL;

	return u && u->mode == RUNTIME__V1__NAMESPACE_MODE__POD && u->n_uids && u->n_gids ? u
											  : NULL;
}

/* --- the runtime --- */

int cri_runtime(struct cri *cri, const char *handler, const struct config_runtime **ret,
		struct err *e)
{
	const struct config *cfg = cri->en->cfg;
	const char *name = handler && *handler ? handler : cfg->cri.default_runtime;

	*ret = NULL;
	for (size_t i = 0; i < cfg->n_runtimes; i++)
		if (!strcmp(cfg->runtimes[i].name, name)) {
			*ret = &cfg->runtimes[i];
			return 0;
		}
	if (!strcmp(name, CRI_RUNTIME))
		return 0;
	return err_set(e, ERR_INVALID_ARGUMENT,
		       "failed to get sandbox runtime: no runtime for \"%s\" is configured", name);
}

int cri_set_runtime(struct cri *cri, const char *handler, struct arena *a,
		    struct container_record *r, struct err *e)
{
	Containerd__Runc__V1__Options o = CONTAINERD__RUNC__V1__OPTIONS__INIT;
	const struct config_runtime *rt;

	if (cri_runtime(cri, handler, &rt, e) < 0)
		return -1;
	r->runtime_name = rt && rt->path   ? rt->path
			  : rt && rt->type ? rt->type
					   : "io.containerd.runc.v2";
	if (!rt || !(rt->binary_name || rt->shim_root || rt->systemd_cgroup || rt->no_pivot_root))
		return 0;
	o.binary_name = (char *)(rt->binary_name ?: "");
	o.root = (char *)(rt->shim_root ?: "");
	o.systemd_cgroup = rt->systemd_cgroup;
	o.no_pivot_root = rt->no_pivot_root;
	r->runtime_options = message_pack(a, &o.base);
	return 0;
}

const char *cri_cgroups_path(const struct pod *pod, const char *id, struct arena *a)
{
	const CRI(LinuxPodSandboxConfig) *l = pod->config->linux;
	const char *parent = l ? l->cgroup_parent : "", *slash = strrchr(parent, '/');
	const char *base = slash ? slash + 1 : parent;

	if (!*parent)
		return arena_printf(a, "/" CRI_NAMESPACE "/%s", id);
	/* systemd's way is told by the parent's name, as kubelet gives it */
	if (str_ends(base, ".slice"))
		return arena_printf(a, "%s:cri-containerd:%s", base, id);
	return arena_printf(a, "%s/%s", parent, id);
}

/* --- the spec --- */

static void add_pair(struct arena *a, struct oci_pairs *p, const char *key, const char *value)
{
	struct oci_pair *v = arena_array(a, p->n + 1, sizeof *v);

	if (p->n)
		memcpy(v, p->v, p->n * sizeof *v);
	v[p->n++] = (struct oci_pair){ key, value };
	p->v = v;
}

static void add_limits(struct arena *a, struct oci_pairs *p, const CRI(LinuxContainerResources) * r)
{
#define NUMBER(v) arena_printf(a, "%lld", (long long)(v))
	add_pair(a, p, "io.kubernetes.cri.sandbox-cpu-period", NUMBER(r->cpu_period));
	add_pair(a, p, "io.kubernetes.cri.sandbox-cpu-quota", NUMBER(r->cpu_quota));
	add_pair(a, p, "io.kubernetes.cri.sandbox-cpu-shares", NUMBER(r->cpu_shares));
	add_pair(a, p, "io.kubernetes.cri.sandbox-memory", NUMBER(r->memory_limit_in_bytes));
#undef NUMBER
}

static struct oci_pairs annotations_of(const struct pod *pod, struct arena *a)
{
	const CRI(PodSandboxMetadata) *m = pod->config->metadata;
	const CRI(LinuxPodSandboxConfig) *l = pod->config->linux;
	struct oci_pairs p = { 0 };

	add_pair(a, &p, "io.kubernetes.cri.container-type", "sandbox");
	add_pair(a, &p, "io.kubernetes.cri.podsandbox.image-name", CRI_PAUSE_IMAGE);
	if (l && l->resources)
		add_limits(a, &p, l->resources);
	add_pair(a, &p, "io.kubernetes.cri.sandbox-id", pod->id);
	add_pair(a, &p, "io.kubernetes.cri.sandbox-log-directory", pod->config->log_directory);
	add_pair(a, &p, "io.kubernetes.cri.sandbox-name", m->name);
	add_pair(a, &p, "io.kubernetes.cri.sandbox-namespace", m->namespace_);
	add_pair(a, &p, "io.kubernetes.cri.sandbox-uid", m->uid);
	return p;
}

static struct oci_pairs sysctls_of(const struct pod *pod, struct arena *a)
{
	const struct config *cfg = pod->cri->en->cfg;
	const CRI(LinuxPodSandboxConfig) *l = pod->config->linux;
	struct labels given =
		l ? message_map_labels(a, MESSAGE_MAP(l, sysctls)) : (struct labels){ 0 };
	bool has_net = !pod_has_host(pod, OCI_NS_NETWORK);
	struct oci_pairs p = { 0 };

	for (size_t i = 0; i < given.n; i++)
		add_pair(a, &p, given.v[i].key, given.v[i].value);
	if (has_net && cfg->cri.unprivileged_ports &&
	    !labels_get(&given, "net.ipv4.ip_unprivileged_port_start"))
		add_pair(a, &p, "net.ipv4.ip_unprivileged_port_start", "0");
	if (has_net && cfg->cri.unprivileged_icmp && !pod_userns(pod) &&
	    !labels_get(&given, "net.ipv4.ping_group_range"))
		add_pair(a, &p, "net.ipv4.ping_group_range", "0 2147483647");
	return p;
}

struct oci_idmappings cri_idmappings(struct arena *a, size_t n, CRI(IDMapping) *const *v)
{
	struct oci_idmapping *m = arena_array(a, n + 1, sizeof *m);

	for (size_t i = 0; i < n; i++)
		m[i] = (struct oci_idmapping){ v[i]->container_id, v[i]->host_id, v[i]->length };
	return (struct oci_idmappings){ m, n };
}

static struct oci_user user_of(const struct pod *pod, struct arena *a)
{
	const CRI(LinuxPodSandboxConfig) *l = pod->config->linux;
	const CRI(LinuxSandboxSecurityContext) *s = l ? l->security_context : NULL;
	struct oci_user u = { 0 };

	if (!s)
		return u;
	u.uid = s->run_as_user ? (uint32_t)s->run_as_user->value : 0;
	u.gid = s->run_as_group ? (uint32_t)s->run_as_group->value : 0;
	u.additional_gids = arena_array(a, s->n_supplemental_groups + 1, sizeof(uint32_t));
	for (size_t i = 0; i < s->n_supplemental_groups; i++)
		u.additional_gids[u.n_additional_gids++] = (uint32_t)s->supplemental_groups[i];
	return u;
}

static int check(const struct pod *pod, struct err *e)
{
	const CRI(LinuxPodSandboxConfig) *l = pod->config->linux;
	const CRI(LinuxSandboxSecurityContext) *s = l ? l->security_context : NULL;
	const CRI(NamespaceOption) *o = namespaces_of(pod);
	const CRI(UserNamespace) *u = o ? o->userns_options : NULL;

	if (s && s->run_as_group && !s->run_as_user)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "runAsGroup is specified without runAsUser");
	if (s && ((s->run_as_user && security_check_id(s->run_as_user->value, e) < 0) ||
		  (s->run_as_group && security_check_id(s->run_as_group->value, e) < 0)))
		return -1;
	for (size_t i = 0; s && i < s->n_supplemental_groups; i++)
		if (security_check_id(s->supplemental_groups[i], e) < 0)
			return -1;
	if (!u || u->mode == RUNTIME__V1__NAMESPACE_MODE__NODE)
		return 0;
	if (u->mode != RUNTIME__V1__NAMESPACE_MODE__POD)
		return err_set(e, ERR_INVALID_ARGUMENT, "user namespace mode: %d not supported",
			       (int)u->mode);
	if (u->n_uids != MAPPING_MAX || u->n_gids != MAPPING_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "invalid IDs mapping: only one uid and one gid mapping is "
			       "supported");
	if (u->uids[0]->container_id || u->gids[0]->container_id || !u->uids[0]->length ||
	    u->uids[0]->length != u->gids[0]->length || u->uids[0]->host_id != u->gids[0]->host_id)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "invalid IDs mapping: uids and gids must be mapped alike, from 0");
	return 0;
}

static const char *const dev_options[] = { "nosuid", "strictatime", "mode=755", "size=65536k" };
static const char *const proc_options[] = { "nosuid", "noexec", "nodev" };
#define OPTIONS(v)                                          \
	{                                                   \
		(const char **)(uintptr_t)(v), ARRAY_LEN(v) \
	}
static const struct oci_mount pause_mounts[] = {
	{ "/proc", "proc", "proc", OPTIONS(proc_options), { 0 }, { 0 } },
	{ "/dev", "tmpfs", "tmpfs", OPTIONS(dev_options), { 0 }, { 0 } },
};

int pod_spec(const struct pod *pod, struct arena *a, struct any *ret, struct err *e)
{
	static const char *const args[] = { "/pause", NULL }, *const none[] = { NULL };
	static const enum oci_ns shared[] = { OCI_NS_NETWORK, OCI_NS_UTS, OCI_NS_PID, OCI_NS_IPC };
	const CRI(LinuxPodSandboxConfig) *l = pod->config->linux;
	const CRI(LinuxSandboxSecurityContext) *s = l ? l->security_context : NULL;
	const CRI(UserNamespace) *u = pod_userns(pod);
	struct gen_namespace hosts[ARRAY_LEN(shared)];
	struct generate g = {
		.args = args,
		.user = user_of(pod, a),
		.no_rlimits = true,
		.oom_score_adj = { security_oom_score(pod->cri, PAUSE_OOM_SCORE), true },
		.no_default_capabilities = true,
		.bare_mounts = true,
		.mounts = pause_mounts,
		.n_mounts = ARRAY_LEN(pause_mounts),
		.root_readonly = true,
		.masked_paths = none,
		.readonly_paths = none,
		.namespaces = hosts,
		.cgroups_path = cri_cgroups_path(pod, pod->id, a),
		.sysctl = sysctls_of(pod, a),
		.annotations = annotations_of(pod, a),
	};
	char *text;

	if (check(pod, e) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(shared); i++)
		if (pod_has_host(pod, shared[i]))
			hosts[g.n_namespaces++] = (struct gen_namespace){ shared[i], NULL };
	if (!pod_has_host(pod, OCI_NS_UTS))
		g.hostname = pod_hostname(pod, a);
	if (u) {
		g.uid_mappings = cri_idmappings(a, u->n_uids, u->uids);
		g.gid_mappings = cri_idmappings(a, u->n_gids, u->gids);
	}
	if (pod->cri->has_selinux && !(s && s->privileged)) {
		const struct selinux_labels label =
			selinux_labels(a, s ? s->selinux_options : NULL, pod->level);

		g.selinux_label = label.process;
		g.mount_label = label.mount;
	}
	if (s && security_seccomp(pod->cri, a, s->seccomp, s->seccomp_profile_path, s->privileged,
				  &g, e) < 0)
		return -1;
	if (generate_spec(&g, &text, e) < 0)
		return -1;
	*ret = (struct any){ "types.containerd.io/opencontainers/runtime-spec/1/Spec",
			     arena_strdup(a, text), strlen(text) };
	free(text);
	return 0;
}
