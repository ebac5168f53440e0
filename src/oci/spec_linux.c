/* linux: namespaces, devices, ids and the rest of the kernel's side. */
#include "oci/spec_tables.h"

const char *const oci_ns_names[OCI_NS_COUNT] = {
	[OCI_NS_PID] = "pid",       [OCI_NS_NETWORK] = "network", [OCI_NS_MOUNT] = "mount",
	[OCI_NS_IPC] = "ipc",       [OCI_NS_UTS] = "uts",         [OCI_NS_USER] = "user",
	[OCI_NS_CGROUP] = "cgroup", [OCI_NS_TIME] = "time",
};

static int idmapping_check(struct decoder *d, void *out)
{
	struct oci_idmapping *m = out;

	if (!m->size)
		return decode_fail(d, "size", "is 0");
	if ((uint64_t)m->container_id + m->size > UINT32_MAX ||
	    (uint64_t)m->host_id + m->size > UINT32_MAX)
		return decode_fail(d, NULL, "goes beyond the last id");
	return 0;
}

const struct decode_table oci_idmapping_table = {
	.size = sizeof(struct oci_idmapping),
	.check = idmapping_check,
	.fields =
		(const struct decode_field[]){
			REQUIRED(DECODE_ID, struct oci_idmapping, container_id, "containerID"),
			REQUIRED(DECODE_ID, struct oci_idmapping, host_id, "hostID"),
			REQUIRED(DECODE_U32, struct oci_idmapping, size, "size"),
			{ 0 },
		},
};

/* Decoded by name first, since the type is a name. */
struct raw_namespace {
	const char *type, *path;
};

static int namespace_check(struct decoder *d, void *out)
{
	struct raw_namespace raw = *(struct raw_namespace *)out;
	struct oci_namespace *ns = out;
	int type = 0;

	if (!raw.path)
		raw.path = "";
	while (type < OCI_NS_COUNT && strcmp(oci_ns_names[type], raw.type) != 0)
		type++;
	if (type == OCI_NS_COUNT)
		return err_set(d->e, ERR_INVALID_ARGUMENT,
			       "namespace {\"%s\" \"%s\"} does not exist", raw.type, raw.path);
	if (*raw.path && *raw.path != '/')
		return decode_fail(d, "path", "is \"%s\", must be absolute", raw.path);
	ns->type = (enum oci_ns)type;
	ns->path = *raw.path ? raw.path : NULL;
	return 0;
}

_Static_assert(sizeof(struct raw_namespace) == sizeof(struct oci_namespace),
	       "a namespace is decoded in place");

static const struct decode_table namespace_table = {
	.size = sizeof(struct raw_namespace),
	.check = namespace_check,
	.fields =
		(const struct decode_field[]){
			REQUIRED(DECODE_STRING, struct raw_namespace, type, "type"),
			FIELD(DECODE_STRING, struct raw_namespace, path, "path"),
			{ 0 },
		},
};

static int device_check(struct decoder *d, void *out)
{
	struct oci_device *v = out;

	if (!v->type || !strchr("cubp", v->type))
		return err_set(d->e, ERR_INVALID_ARGUMENT, "invalid device type \"%.1s\"",
			       &v->type);
	if (*v->path != '/')
		return decode_fail(d, "path", "is \"%s\", must be absolute", v->path);
	if (v->major < 0 || v->major > UINT32_MAX)
		return decode_fail(d, "major", "is out of range");
	if (v->minor < 0 || v->minor > UINT32_MAX)
		return decode_fail(d, "minor", "is out of range");
	return 0;
}

#define D struct oci_device
static const struct decode_table device_table = {
	.size = sizeof(D),
	.check = device_check,
	.fields =
		(const struct decode_field[]){
			REQUIRED(DECODE_STRING, D, path, "path"),
			REQUIRED(DECODE_CHAR, D, type, "type"),
			FIELD(DECODE_I64, D, major, "major"),
			FIELD(DECODE_I64, D, minor, "minor"),
			FIELD_HAS(DECODE_U32, D, file_mode, has_file_mode, "fileMode"),
			FIELD(DECODE_ID, D, uid, "uid"),
			FIELD(DECODE_ID, D, gid, "gid"),
			{ 0 },
		},
};
#undef D

static int linux_check(struct decoder *d, void *out)
{
	struct oci_linux *l = out;
	bool seen[OCI_NS_COUNT] = { 0 };

	for (size_t i = 0; i < l->n_namespaces; i++) {
		const struct oci_namespace *ns = &l->namespaces[i];

		if (seen[ns->type])
			return err_set(d->e, ERR_INVALID_ARGUMENT,
				       "malformed spec file: duplicated ns {\"%s\" \"%s\"}",
				       oci_ns_names[ns->type], ns->path ? ns->path : "");
		seen[ns->type] = true;
	}
	return 0;
}

static const struct decode_table personality_table = {
	.size = sizeof(struct oci_personality),
	.fields =
		(const struct decode_field[]){
			FIELD(DECODE_STRING, struct oci_personality, domain, "domain"),
			FIELD(DECODE_STRINGS, struct oci_personality, flags, "flags"),
			{ 0 },
		},
};

static const struct decode_table memory_policy_table = {
	.size = sizeof(struct oci_memory_policy),
	.fields =
		(const struct decode_field[]){
			FIELD(DECODE_STRING, struct oci_memory_policy, mode, "mode"),
			FIELD(DECODE_STRING, struct oci_memory_policy, nodes, "nodes"),
			FIELD(DECODE_STRINGS, struct oci_memory_policy, flags, "flags"),
			{ 0 },
		},
};

static const struct decode_table intel_rdt_table = {
	.size = sizeof(struct oci_intel_rdt),
	.fields =
		(const struct decode_field[]){
			FIELD(DECODE_STRING, struct oci_intel_rdt, clos_id, "closID"),
			FIELD(DECODE_STRINGS, struct oci_intel_rdt, schemata, "schemata"),
			FIELD(DECODE_STRING, struct oci_intel_rdt, l3_cache_schema,
			      "l3CacheSchema"),
			FIELD(DECODE_STRING, struct oci_intel_rdt, mem_bw_schema, "memBwSchema"),
			FIELD(DECODE_BOOL, struct oci_intel_rdt, enable_monitoring,
			      "enableMonitoring"),
			{ 0 },
		},
};

static const struct decode_table time_offset_table = {
	.size = sizeof(struct oci_time_offset),
	.fields =
		(const struct decode_field[]){
			FIELD(DECODE_I64, struct oci_time_offset, secs, "secs"),
			FIELD(DECODE_U32, struct oci_time_offset, nanosecs, "nanosecs"),
			{ 0 },
		},
};

static const struct decode_table net_device_table = {
	.size = sizeof(struct oci_net_device),
	.fields =
		(const struct decode_field[]){
			FIELD(DECODE_STRING, struct oci_net_device, new_name, "name"),
			{ 0 },
		},
};

#define L struct oci_linux
const struct decode_table oci_linux_table = {
	.size = sizeof(L),
	.check = linux_check,
	.fields =
		(const struct decode_field[]){
			LIST(L, uid_mappings.v, uid_mappings.n, "uidMappings",
			     &oci_idmapping_table),
			LIST(L, gid_mappings.v, gid_mappings.n, "gidMappings",
			     &oci_idmapping_table),
			FIELD(DECODE_PAIRS, L, sysctl, "sysctl"),
			NESTED(DECODE_STRUCT_PTR, L, resources, "resources", &oci_resources_table),
			FIELD(DECODE_STRING, L, cgroups_path, "cgroupsPath"),
			LIST(L, namespaces, n_namespaces, "namespaces", &namespace_table),
			LIST(L, devices, n_devices, "devices", &device_table),
			NESTED(DECODE_STRUCT_PTR, L, seccomp, "seccomp", &oci_seccomp_table),
			FIELD(DECODE_STRING, L, rootfs_propagation, "rootfsPropagation"),
			FIELD(DECODE_STRINGS, L, masked_paths, "maskedPaths"),
			FIELD(DECODE_STRINGS, L, readonly_paths, "readonlyPaths"),
			FIELD(DECODE_STRING, L, mount_label, "mountLabel"),
			NESTED(DECODE_STRUCT_PTR, L, intel_rdt, "intelRdt", &intel_rdt_table),
			NESTED(DECODE_STRUCT_PTR, L, personality, "personality",
			       &personality_table),
			NESTED(DECODE_STRUCT_PTR, L, memory_policy, "memoryPolicy",
			       &memory_policy_table),
			MAP(L, time_offsets, n_time_offsets, "timeOffsets", &time_offset_table),
			MAP(L, net_devices, n_net_devices, "netDevices", &net_device_table),
			{ 0 },
		},
};
#undef L
