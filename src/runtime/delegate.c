#include "runtime/delegate.h"

#include <string.h>

static bool has_cgroup_namespace(const struct oci_spec *s)
{
	for (size_t i = 0; i < s->linux.n_namespaces; i++)
		if (s->linux.namespaces[i].type == OCI_NS_CGROUP && !s->linux.namespaces[i].path)
			return true;
	return false;
}

static bool is_writable(const struct oci_mount *m)
{
	for (size_t i = 0; i < m->options.n; i++)
		if (strcmp(m->options.v[i], "ro") == 0)
			return false;
	return true;
}

static bool has_writable_cgroup(const struct oci_spec *s)
{
	for (size_t i = 0; i < s->n_mounts; i++) {
		const struct oci_mount *m = &s->mounts[i];

		if (m->type && strcmp(m->type, "cgroup") == 0 &&
		    strcmp(m->destination, "/sys/fs/cgroup") == 0 && is_writable(m))
			return true;
	}
	return false;
}

bool delegate_owner(const struct oci_spec *s, uid_t *ret)
{
	const struct oci_idmappings *maps = &s->linux.uid_mappings;
	uint32_t uid = s->process ? s->process->user.uid : 0;

	if (!has_cgroup_namespace(s) || !has_writable_cgroup(s))
		return false;
	*ret = uid;
	if (!maps->n)
		return true; /* no user namespace: the same ids */
	for (size_t i = 0; i < maps->n; i++) {
		if (uid - maps->v[i].container_id >= maps->v[i].size ||
		    uid < maps->v[i].container_id)
			continue;
		*ret = maps->v[i].host_id + (uid - maps->v[i].container_id);
		return true;
	}
	return false;
}
