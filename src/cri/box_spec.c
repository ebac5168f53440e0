/* What a container is, as a runtime spec: image, wishes, pod. */
#include "cri/box_make.h"
#include "cri/security.h"

#include "cgroup/host_devices.h"
#include "engine/network.h"

#include <linux/magic.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define SPEC_URL "types.containerd.io/opencontainers/runtime-spec/1/Spec"

static const CRI(LinuxContainerSecurityContext) * security_of(const struct box *box)
{
	static const CRI(LinuxContainerSecurityContext) none =
		RUNTIME__V1__LINUX_CONTAINER_SECURITY_CONTEXT__INIT;
	const CRI(LinuxContainerConfig) *l = box->config->linux;

	return l && l->security_context ? l->security_context : &none;
}

/* --- process --- */

static const char *const *args_of(const struct box *box, const struct image_facts *image,
				  struct arena *a)
{
	const CRI(ContainerConfig) *c = box->config;
	const char **entrypoint = image->config.entrypoint, **cmd = image->config.cmd;
	size_t n = c->n_command + c->n_args, k = 0;
	const char **v;

	for (const char **p = entrypoint; p && *p; p++)
		n++;
	for (const char **p = cmd; p && *p; p++)
		n++;
	v = arena_array(a, n + 1, sizeof *v);
	for (size_t i = 0; i < c->n_command; i++)
		v[k++] = c->command[i];
	for (; !c->n_command && entrypoint && *entrypoint; entrypoint++)
		v[k++] = *entrypoint;
	for (size_t i = 0; i < c->n_args; i++)
		v[k++] = c->args[i];
	for (; !c->n_command && !c->n_args && cmd && *cmd; cmd++)
		v[k++] = *cmd;
	return v;
}

/* A value is bytes: up to its first NUL it is what a process can be given. */
static const char *const *env_of(const struct box *box, struct arena *a)
{
	const CRI(ContainerConfig) *c = box->config;
	const char **v = arena_array(a, c->n_envs + 2, sizeof *v);
	size_t k = 0;

	v[k++] = arena_printf(a, "HOSTNAME=%s", pod_hostname(box->pod, a));
	for (size_t i = 0; i < c->n_envs; i++)
		v[k++] = arena_printf(a, "%s=%.*s", c->envs[i]->key, (int)c->envs[i]->value.len,
				      (const char *)c->envs[i]->value.data);
	return v;
}

/* --- isolation --- */

static bool is_unified(void)
{
	struct statfs fs;

	return statfs("/sys/fs/cgroup", &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

const char *box_target(const struct box *box)
{
	const CRI(NamespaceOption) *o = security_of(box)->namespace_options;

	return o && o->pid == RUNTIME__V1__NAMESPACE_MODE__TARGET &&
			       !pod_has_host(box->pod, OCI_NS_PID)
		       ? o->target_id
		       : NULL;
}

/* Of another container of the pod. */
int box_target_process(const struct box *box, const char *target, struct process *ret,
		       struct err *e)
{
	AUTO_BOX struct box *other = box_find(box->pod->cri, target, e);

	if (!other)
		return err_wrap(e, "failed to get target container");
	pthread_mutex_lock(&box->pod->cri->lock);
	*ret = (struct process){ 0 };
	if (other->state == RUNTIME__V1__CONTAINER_STATE__CONTAINER_RUNNING)
		*ret = other->process;
	pthread_mutex_unlock(&box->pod->cri->lock);
	if (other->pod != box->pod)
		return err_set(e, ERR_INVALID_ARGUMENT, "target container \"%s\" is not in the pod",
			       target);
	return ret->pid ? 0
			: err_set(e, ERR_FAILED_PRECONDITION,
				  "target container \"%s\" is not running", target);
}

static void join(struct generate *g, struct gen_namespace *v, enum oci_ns type, const char *path)
{
	v[g->n_namespaces++] = (struct gen_namespace){ type, path };
	g->namespaces = v;
}

static int pid_namespace(const struct box *box, uint32_t pod_pid, struct arena *a,
			 struct generate *g, struct gen_namespace *v, struct err *e)
{
	const CRI(NamespaceOption) *o = security_of(box)->namespace_options;
	CRI(NamespaceMode)
	mode = o                          ? o->pid
	       : pod_shares_pid(box->pod) ? RUNTIME__V1__NAMESPACE_MODE__POD
					  : RUNTIME__V1__NAMESPACE_MODE__CONTAINER;
	struct process p = { .pid = pod_pid };

	if (pod_has_host(box->pod, OCI_NS_PID) || mode == RUNTIME__V1__NAMESPACE_MODE__NODE) {
		join(g, v, OCI_NS_PID, NULL);
		return 0;
	}
	if (mode == RUNTIME__V1__NAMESPACE_MODE__CONTAINER)
		return 0; /* one of its own */
	if (mode == RUNTIME__V1__NAMESPACE_MODE__TARGET &&
	    box_target_process(box, o->target_id, &p, e) < 0)
		return -1;
	join(g, v, OCI_NS_PID, arena_printf(a, "/proc/%u/ns/pid", p.pid));
	return 0;
}

/* The pod's network is a mount, which stays what it is. */
static const char *namespace_path(const struct box *box, struct arena *a, enum oci_ns type,
				  uint32_t pid, const char *file)
{
	if (pod_has_host(box->pod, type))
		return NULL;
	return type == OCI_NS_NETWORK
		       ? network_netns(box->pod->cri->en->network, CRI_NAMESPACE, box->pod->id, a)
		       : arena_printf(a, "/proc/%u/ns/%s", pid, file);
}

static int add_namespaces(const struct box *box, struct arena *a, struct generate *g, struct err *e)
{
	static const struct {
		enum oci_ns type;
		const char *file;
	} shared[] = { { OCI_NS_NETWORK, "net" }, { OCI_NS_UTS, "uts" }, { OCI_NS_IPC, "ipc" } };
	struct gen_namespace *v = arena_array(a, OCI_NS_COUNT, sizeof *v);
	const CRI(UserNamespace) *u = pod_userns(box->pod);

	struct process p;

	if (pod_process(box->pod, a, &p, e) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(shared); i++)
		join(g, v, shared[i].type,
		     namespace_path(box, a, shared[i].type, p.pid, shared[i].file));
	if (pid_namespace(box, p.pid, a, g, v, e) < 0)
		return -1;
	if (is_unified() && !security_of(box)->privileged)
		v[g->n_namespaces++] = (struct gen_namespace){ OCI_NS_CGROUP, "" };
	if (!u)
		return 0;
	join(g, v, OCI_NS_USER, arena_printf(a, "/proc/%u/ns/user", p.pid));
	g->uid_mappings = cri_idmappings(a, u->n_uids, u->uids);
	g->gid_mappings = cri_idmappings(a, u->n_gids, u->gids);
	return 0;
}

/* --- devices --- */

static int add_devices(const struct box *box, const struct oci_user *user, struct arena *a,
		       struct generate *g, struct err *e)
{
	const CRI(ContainerConfig) *c = box->config;
	struct device_list l = { .arena = a };
	int r = 0;

	if (security_of(box)->privileged) {
		g->all_devices = true;
		r = host_devices_all(&l, e);
	}
	for (size_t i = 0; r == 0 && i < c->n_devices; i++) {
		const CRI(Device) *d = c->devices[i];
		size_t first = l.n, n = strlen(d->host_path);

		r = host_devices_add(&l, d->host_path, e);
		for (size_t k = first; k < l.n; k++) {
			if (*d->container_path)
				l.v[k].path =
					arena_printf(a, "%s%s", d->container_path, l.v[k].path + n);
			if (*d->permissions)
				l.v[k].access = d->permissions;
			if (box->pod->cri->en->cfg->cri.device_ownership) {
				l.v[k].uid = user->uid;
				l.v[k].gid = user->gid;
			}
		}
	}
	if (l.n)
		g->devices = arena_memdup(a, l.v, l.n * sizeof *l.v);
	g->n_devices = l.n;
	free(l.v);
	return r < 0 ? err_wrap(e, "failed to add devices") : 0;
}

/* --- resources --- */

void box_resources(const struct box *box, const CRI(LinuxContainerResources) * r, struct arena *a,
		   struct generate *g)
{
	struct oci_hugepage *pages;
	struct labels unified;
	struct oci_pair *pairs;

	if (!r)
		return;
	g->cpu_period = (struct oci_u64){ (uint64_t)r->cpu_period, r->cpu_period > 0 };
	g->cpu_quota = (struct oci_i64){ r->cpu_quota, r->cpu_quota != 0 };
	g->cpu_shares = (struct oci_u64){ (uint64_t)r->cpu_shares, r->cpu_shares > 0 };
	g->memory_limit =
		(struct oci_i64){ r->memory_limit_in_bytes, r->memory_limit_in_bytes != 0 };
	/* without a wish there is no swap beyond the memory */
	g->memory_swap = r->memory_swap_limit_in_bytes
				 ? (struct oci_i64){ r->memory_swap_limit_in_bytes, true }
				 : g->memory_limit;
	g->cpuset_cpus = *r->cpuset_cpus ? r->cpuset_cpus : NULL;
	g->cpuset_mems = *r->cpuset_mems ? r->cpuset_mems : NULL;
	pages = arena_array(a, r->n_hugepage_limits + 1, sizeof *pages);
	for (size_t i = 0; i < r->n_hugepage_limits; i++)
		pages[i] = (struct oci_hugepage){ r->hugepage_limits[i]->page_size,
						  r->hugepage_limits[i]->limit };
	g->hugepages = pages;
	g->n_hugepages = r->n_hugepage_limits;
	unified = message_map_labels(a, MESSAGE_MAP(r, unified));
	pairs = arena_array(a, unified.n + 1, sizeof *pairs);
	for (size_t i = 0; i < unified.n; i++)
		pairs[i] = (struct oci_pair){ unified.v[i].key, unified.v[i].value };
	g->unified = (struct oci_pairs){ pairs, unified.n };
	g->oom_score_adj =
		(struct oci_i64){ security_oom_score(box->pod->cri, r->oom_score_adj), true };
}

/* --- all of it --- */

static struct oci_pairs annotations_of(const struct box *box, struct arena *a)
{
	const CRI(PodSandboxMetadata) *m = box->pod->config->metadata;
	const struct oci_pair all[] = {
		{ "io.kubernetes.cri.container-name", box->config->metadata->name },
		{ "io.kubernetes.cri.container-type", "container" },
		{ "io.kubernetes.cri.image-name",
		  box->config->image ? box->config->image->image : "" },
		{ "io.kubernetes.cri.sandbox-id", box->pod->id },
		{ "io.kubernetes.cri.sandbox-name", m->name },
		{ "io.kubernetes.cri.sandbox-namespace", m->namespace_ },
		{ "io.kubernetes.cri.sandbox-uid", m->uid },
	};

	return (struct oci_pairs){ arena_memdup(a, all, sizeof all), ARRAY_LEN(all) };
}

static const char *const *list_of(struct arena *a, size_t n, char *const *v)
{
	const char **out = arena_array(a, n + 1, sizeof *out);

	memcpy(out, v, n * sizeof *out);
	return out;
}

static int add_security(const struct box *box, struct arena *a, struct generate *g, struct err *e)
{
	const CRI(LinuxContainerSecurityContext) *s = security_of(box);
	struct cri *cri = box->pod->cri;

	g->privileged = s->privileged;
	g->allow_new_privileges = !s->no_new_privs;
	g->root_readonly = s->readonly_rootfs;
	if (!s->privileged && s->n_masked_paths)
		g->masked_paths = list_of(a, s->n_masked_paths, s->masked_paths);
	if (!s->privileged && s->n_readonly_paths)
		g->readonly_paths = list_of(a, s->n_readonly_paths, s->readonly_paths);
	if (cri->has_selinux && !s->privileged) {
		const struct selinux_labels label =
			selinux_labels(a, s->selinux_options, box->pod->level);

		g->selinux_label = label.process;
		g->mount_label = label.mount;
	}
	if (security_capabilities(a, s->privileged ? NULL : s->capabilities, g, e) < 0)
		return err_wrap(e, "failed to generate capabilities");
	if (security_seccomp(cri, a, s->seccomp, s->seccomp_profile_path, s->privileged, g, e) <
		    0 ||
	    (!cri->en->cfg->cri.disable_apparmor &&
	     security_apparmor(a, s->apparmor, s->apparmor_profile, s->privileged, g, e) < 0))
		return -1;
	return 0;
}

int box_spec(const struct box *box, const struct image_facts *image, const struct oci_user *user,
	     struct arena *a, struct any *ret, struct err *e)
{
	const CRI(ContainerConfig) *c = box->config;
	struct generate g = {
		.args = args_of(box, image, a),
		.image_env = image->config.env,
		.env = env_of(box, a),
		.cwd = *c->working_dir ? c->working_dir : image->config.working_dir,
		.user = *user,
		.terminal = c->tty,
		.no_rlimits = true,
		.cgroups_path = cri_cgroups_path(box->pod, box->id, a),
		.annotations = annotations_of(box, a),
	};
	char *text;

	if (box_mounts(box, a, &g, e) < 0 || add_namespaces(box, a, &g, e) < 0 ||
	    add_security(box, a, &g, e) < 0 || add_devices(box, user, a, &g, e) < 0)
		return -1;
	box_resources(box, box->resources, a, &g);
	if (generate_spec(&g, &text, e) < 0)
		return -1;
	*ret = (struct any){ SPEC_URL, arena_strdup(a, text), strlen(text) };
	free(text);
	return 0;
}
