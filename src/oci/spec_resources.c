/* linux.resources: what it may use. */
#include "oci/spec_tables.h"

/* Letters that mean nothing are left out, as runc does (one of its tests has "rwa"); NULL when
 * nothing is left. */
static const char *known_access(const char *text)
{
	static const char *const sets[] = { NULL, "r", "w", "rw", "m", "rm", "wm", "rwm" };
	unsigned bits = 0;

	for (; *text; text++)
		bits |= *text == 'r' ? 1 : *text == 'w' ? 2 : *text == 'm' ? 4 : 0;
	return sets[bits];
}

static int device_rule_check(struct decoder *d, void *out)
{
	struct oci_device_rule *r = out;

	if (!r->type)
		r->type = 'a';
	if (!strchr("abc", r->type))
		return err_set(d->e, ERR_INVALID_ARGUMENT, "invalid cgroup device type \"%c\"",
			       r->type);
	if (!r->access || !*r->access)
		return err_set(d->e, ERR_INVALID_ARGUMENT,
			       "device access at %zu field cannot be empty", d->at->index);
	const char *access = known_access(r->access);
	if (!access)
		return decode_fail(d, "access", "is \"%s\", must be of \"rwm\"", r->access);
	r->access = access;
	if (r->major.v < -1 || r->major.v > UINT32_MAX)
		return decode_fail(d, "major", "is out of range");
	if (r->minor.v < -1 || r->minor.v > UINT32_MAX)
		return decode_fail(d, "minor", "is out of range");
	return 0;
}

#define R struct oci_device_rule
static const struct decode_table device_rule_table = {
	.size = sizeof(R),
	.check = device_rule_check,
	.fields =
		(const struct decode_field[]){
			FIELD(DECODE_BOOL, R, allow, "allow"),
			FIELD(DECODE_CHAR, R, type, "type"),
			FIELD(DECODE_HAS_I64, R, major, "major"),
			FIELD(DECODE_HAS_I64, R, minor, "minor"),
			FIELD(DECODE_STRING, R, access, "access"),
			{ 0 },
		},
};
#undef R

#define M struct oci_memory
static const struct decode_table memory_table = {
	.size = sizeof(M),
	.fields =
		(const struct decode_field[]){
			FIELD(DECODE_HAS_I64, M, limit, "limit"),
			FIELD(DECODE_HAS_I64, M, reservation, "reservation"),
			FIELD(DECODE_HAS_I64, M, swap, "swap"),
			FIELD(DECODE_HAS_I64, M, kernel, "kernel"),
			FIELD(DECODE_HAS_I64, M, kernel_tcp, "kernelTCP"),
			FIELD(DECODE_HAS_U64, M, swappiness, "swappiness"),
			FIELD(DECODE_BOOL, M, disable_oom_killer, "disableOOMKiller"),
			FIELD(DECODE_BOOL, M, use_hierarchy, "useHierarchy"),
			FIELD(DECODE_BOOL, M, check_before_update, "checkBeforeUpdate"),
			{ 0 },
		},
};
#undef M

#define C struct oci_cpu
static const struct decode_table cpu_table = {
	.size = sizeof(C),
	.fields =
		(const struct decode_field[]){
			FIELD(DECODE_HAS_U64, C, shares, "shares"),
			FIELD(DECODE_HAS_I64, C, quota, "quota"),
			FIELD(DECODE_HAS_U64, C, burst, "burst"),
			FIELD(DECODE_HAS_U64, C, period, "period"),
			FIELD(DECODE_HAS_I64, C, realtime_runtime, "realtimeRuntime"),
			FIELD(DECODE_HAS_U64, C, realtime_period, "realtimePeriod"),
			FIELD(DECODE_HAS_I64, C, idle, "idle"),
			FIELD(DECODE_STRING, C, cpus, "cpus"),
			FIELD(DECODE_STRING, C, mems, "mems"),
			{ 0 },
		},
};
#undef C

static int device_number_check(struct decoder *d, int64_t major, int64_t minor)
{
	if (major < 0 || major > UINT32_MAX)
		return decode_fail(d, "major", "is out of range");
	if (minor < 0 || minor > UINT32_MAX)
		return decode_fail(d, "minor", "is out of range");
	return 0;
}

static int weight_device_check(struct decoder *d, void *out)
{
	struct oci_weight_device *w = out;

	return device_number_check(d, w->major, w->minor);
}

static int throttle_check(struct decoder *d, void *out)
{
	struct oci_throttle *t = out;

	return device_number_check(d, t->major, t->minor);
}

#define W struct oci_weight_device
static const struct decode_table weight_device_table = {
	.size = sizeof(W),
	.check = weight_device_check,
	.fields =
		(const struct decode_field[]){
			REQUIRED(DECODE_I64, W, major, "major"),
			REQUIRED(DECODE_I64, W, minor, "minor"),
			FIELD(DECODE_HAS_U64, W, weight, "weight"),
			FIELD(DECODE_HAS_U64, W, leaf_weight, "leafWeight"),
			{ 0 },
		},
};
#undef W

static const struct decode_table throttle_table = {
	.size = sizeof(struct oci_throttle),
	.check = throttle_check,
	.fields =
		(const struct decode_field[]){
			REQUIRED(DECODE_I64, struct oci_throttle, major, "major"),
			REQUIRED(DECODE_I64, struct oci_throttle, minor, "minor"),
			REQUIRED(DECODE_U64, struct oci_throttle, rate, "rate"),
			{ 0 },
		},
};

#define B struct oci_blkio
#define THROTTLES(member, text) LIST(B, member.v, member.n, text, &throttle_table)
static const struct decode_table blkio_table = {
	.size = sizeof(B),
	.fields =
		(const struct decode_field[]){
			FIELD(DECODE_HAS_U64, B, weight, "weight"),
			FIELD(DECODE_HAS_U64, B, leaf_weight, "leafWeight"),
			LIST(B, weight_devices, n_weight_devices, "weightDevice",
			     &weight_device_table),
			THROTTLES(read_bps, "throttleReadBpsDevice"),
			THROTTLES(write_bps, "throttleWriteBpsDevice"),
			THROTTLES(read_iops, "throttleReadIOPSDevice"),
			THROTTLES(write_iops, "throttleWriteIOPSDevice"),
			{ 0 },
		},
};
#undef B

/* The size becomes a part of a file name. */
static int hugepage_check(struct decoder *d, void *out)
{
	struct oci_hugepage *h = out;
	size_t digits = strspn(h->page_size, "0123456789");

	if (!digits || digits > 9 || strlen(h->page_size) != digits + 2 ||
	    !strchr("KMG", h->page_size[digits]) || h->page_size[digits + 1] != 'B')
		return decode_fail(d, "pageSize", "is \"%s\", must be as \"2MB\"", h->page_size);
	return 0;
}

static const struct decode_table hugepage_table = {
	.size = sizeof(struct oci_hugepage),
	.check = hugepage_check,
	.fields =
		(const struct decode_field[]){
			REQUIRED(DECODE_STRING, struct oci_hugepage, page_size, "pageSize"),
			REQUIRED(DECODE_U64, struct oci_hugepage, limit, "limit"),
			{ 0 },
		},
};

/* Names that become words of a line that the kernel splits. */
static bool is_word(const char *s)
{
	for (const char *p = s; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return false;
	return *s;
}

static int rdma_check(struct decoder *d, void *out)
{
	struct oci_rdma *r = out;

	if (!is_word(r->device))
		return decode_fail(d, NULL, "has the device \"%s\", which is no name", r->device);
	if (r->hca_handles.v > UINT32_MAX)
		return decode_fail(d, "hcaHandles", "is out of range");
	if (r->hca_objects.v > UINT32_MAX)
		return decode_fail(d, "hcaObjects", "is out of range");
	return 0;
}

static const struct decode_table rdma_table = {
	.size = sizeof(struct oci_rdma),
	.check = rdma_check,
	.fields =
		(const struct decode_field[]){
			FIELD(DECODE_HAS_U64, struct oci_rdma, hca_handles, "hcaHandles"),
			FIELD(DECODE_HAS_U64, struct oci_rdma, hca_objects, "hcaObjects"),
			{ 0 },
		},
};

static int priority_check(struct decoder *d, void *out)
{
	struct oci_if_priority *p = out;

	if (!is_word(p->name))
		return decode_fail(d, "name", "is \"%s\", which is no name of an interface",
				   p->name);
	if (p->priority > UINT32_MAX)
		return decode_fail(d, "priority", "is out of range");
	return 0;
}

static const struct decode_table priority_table = {
	.size = sizeof(struct oci_if_priority),
	.check = priority_check,
	.fields =
		(const struct decode_field[]){
			REQUIRED(DECODE_STRING, struct oci_if_priority, name, "name"),
			REQUIRED(DECODE_U64, struct oci_if_priority, priority, "priority"),
			{ 0 },
		},
};

static int network_check(struct decoder *d, void *out)
{
	struct oci_network *n = out;

	if (n->class_id.v > UINT32_MAX)
		return decode_fail(d, "classID", "is out of range");
	return 0;
}

static const struct decode_table network_table = {
	.size = sizeof(struct oci_network),
	.check = network_check,
	.fields =
		(const struct decode_field[]){
			FIELD(DECODE_HAS_U64, struct oci_network, class_id, "classID"),
			LIST(struct oci_network, priorities, n_priorities, "priorities",
			     &priority_table),
			{ 0 },
		},
};

struct pids {
	struct oci_i64 limit;
};

static const struct decode_table pids_table = {
	.size = sizeof(struct pids),
	.fields =
		(const struct decode_field[]){
			FIELD(DECODE_HAS_I64, struct pids, limit, "limit"),
			{ 0 },
		},
};

/* A key is a file's name in the cgroup's own folder and nothing else. */
static int resources_check(struct decoder *d, void *out)
{
	struct oci_resources *r = out;

	for (size_t i = 0; i < r->unified.n; i++) {
		const char *key = r->unified.v[i].key;

		if (strchr(key, '/'))
			return err_set(d->e, ERR_INVALID_ARGUMENT,
				       "unified resource \"%s\" must be a file name (no slashes)",
				       key);
		if (!strchr(key, '.') || *key == '.')
			return err_set(d->e, ERR_INVALID_ARGUMENT,
				       "unified resource \"%s\" must be in the form "
				       "CONTROLLER.PARAMETER",
				       key);
	}
	return 0;
}

#define R struct oci_resources
const struct decode_table oci_resources_table = {
	.size = sizeof(R),
	.check = resources_check,
	.fields =
		(const struct decode_field[]){
			LIST(R, devices, n_devices, "devices", &device_rule_table),
			NESTED(DECODE_STRUCT, R, memory, "memory", &memory_table),
			NESTED(DECODE_STRUCT, R, cpu, "cpu", &cpu_table),
			NESTED(DECODE_STRUCT, R, pids_limit, "pids", &pids_table),
			NESTED(DECODE_STRUCT, R, blkio, "blockIO", &blkio_table),
			LIST(R, hugepages, n_hugepages, "hugepageLimits", &hugepage_table),
			FIELD(DECODE_PAIRS, R, unified, "unified"),
			MAP(R, rdma, n_rdma, "rdma", &rdma_table),
			NESTED(DECODE_STRUCT, R, network, "network", &network_table),
			{ 0 },
		},
};
#undef R
