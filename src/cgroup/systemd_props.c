/* Limits and the rest as properties of a unit. */
#include "base/log.h"
#include "base/num.h"
#include "cgroup/private.h"
#include "cgroup/systemd.h"

#include <errno.h>
#include <string.h>

enum {
	VERSION_QUOTA_PERIOD = 242,
	VERSION_CPUSET = 244,
	DEFAULT_PERIOD = 100000, /* the kernel's, µs */
	CPUS_MAX = 8192,
};
#define USEC_PER_SEC UINT64_C(1000000)
#define PERCENT UINT64_C(10000) /* of a second, in µs */

void systemd_properties_done(struct systemd_properties *p)
{
	free(p->v);
	*p = (struct systemd_properties){ 0 };
}

void systemd_add(struct systemd_properties *p, const char *name, struct dbus_value value)
{
	GROW(p->v, p->n, p->cap);
	p->v[p->n++] = (struct systemd_property){ name, value };
}

void systemd_unit_properties(struct arena *a, const struct systemd_unit *u, bool v2, pid_t pid,
			     struct systemd_properties *ret)
{
	struct dbus_value one = dbus_u32((uint32_t)pid);
	struct dbus_value slice = dbus_string(u->slice);

	systemd_add(ret, "Description",
		    dbus_string(arena_printf(a, "libcontainer container %s", u->container)));
	if (u->is_slice) {
		systemd_add(ret, "Wants", dbus_array(a, "s", &slice, 1));
	} else {
		systemd_add(ret, "Slice", slice);
		systemd_add(ret, "Delegate", dbus_bool(true));
	}
	systemd_add(ret, "PIDs", dbus_array(a, "u", &one, 1));
	systemd_add(ret, "MemoryAccounting", dbus_bool(true));
	systemd_add(ret, "CPUAccounting", dbus_bool(true));
	systemd_add(ret, v2 ? "IOAccounting" : "BlockIOAccounting", dbus_bool(true));
	systemd_add(ret, "TasksAccounting", dbus_bool(true));
	systemd_add(ret, "DefaultDependencies", dbus_bool(false));
}

int systemd_cpu_bits(struct arena *a, const char *list, struct dbus_value *ret, struct err *e)
{
	unsigned char bits[CPUS_MAX / 8] = { 0 };
	uint64_t last = 0;
	bool any = false;

	for (const char *p = list; *p;) {
		size_t n = strcspn(p, ",");
		char part[32] = "";
		uint32_t from, to;

		if (n && n < sizeof part) {
			memcpy(part, p, n);
			char *dash = strchr(part, '-');
			if (dash)
				*dash = 0;
			if (num_u32(part, &from) < 0 || num_u32(dash ? dash + 1 : part, &to) < 0 ||
			    to < from || to >= CPUS_MAX)
				return err_set(e, ERR_INVALID_ARGUMENT, "invalid range: %s", list);
			for (uint32_t i = from; i <= to; i++)
				bits[i / 8] |= (unsigned char)(1 << i % 8);
			last = to > last ? to : last;
			any = true;
		} else if (n) {
			return err_set(e, ERR_INVALID_ARGUMENT, "invalid range: %s", list);
		}
		p += n + (p[n] == ',');
	}
	if (!any)
		return err_set(e, ERR_INVALID_ARGUMENT, "empty value");
	*ret = dbus_bytes(a, bits, last / 8 + 1);
	return 0;
}

enum kind { KIND_LIMIT, KIND_NUMBER, KIND_CPUS, KIND_MEMS, KIND_WEIGHT };

/* "max" and -1 are no limit: systemd's infinity is all ones. */
static const struct {
	const char *file, *property;
	enum kind kind;
	bool v2;
} table[] = {
	{ "memory.max", "MemoryMax", KIND_LIMIT, true },
	{ "memory.low", "MemoryLow", KIND_LIMIT, true },
	{ "memory.min", "MemoryMin", KIND_LIMIT, true },
	{ "memory.high", "MemoryHigh", KIND_LIMIT, true },
	{ "memory.swap.max", "MemorySwapMax", KIND_LIMIT, true },
	{ "cpu.weight", "CPUWeight", KIND_WEIGHT, true },
	{ "io.weight", "IOWeight", KIND_NUMBER, true },
	{ "pids.max", "TasksMax", KIND_LIMIT, true },
	{ "cpuset.cpus", "AllowedCPUs", KIND_CPUS, true },
	{ "cpuset.mems", "AllowedMemoryNodes", KIND_MEMS, true },
	{ "memory.limit_in_bytes", "MemoryLimit", KIND_LIMIT, false },
	{ "cpu.shares", "CPUShares", KIND_NUMBER, false },
	{ "blkio.weight", "BlockIOWeight", KIND_NUMBER, false },
	{ "pids.max", "TasksMax", KIND_LIMIT, false },
	{ "cpuset.cpus", "AllowedCPUs", KIND_CPUS, false },
	{ "cpuset.mems", "AllowedMemoryNodes", KIND_MEMS, false },
};

struct maker {
	struct arena *a;
	struct cgroup_plan *plan;
	struct systemd_properties *out;
	struct err *e;
	int version;
	bool v2, is_idle;
};

static struct cgroup_write *find_write(struct cgroup_plan *p, const char *file)
{
	for (size_t i = p->n; i-- > 0;) /* the last one is the one that stays */
		if (strcmp(p->v[i].file, file) == 0)
			return &p->v[i];
	return NULL;
}

static int add_cpuset(struct maker *m, const char *property, bool is_cpus, const char *list)
{
	struct dbus_value bits;

	if (m->version < VERSION_CPUSET)
		return 0; /* the file has it */
	if (systemd_cpu_bits(m->a, list, &bits, m->e) < 0)
		return err_wrap(m->e, "resources.CPU.%s=\"%s\" conversion error",
				is_cpus ? "Cpus" : "Mems", list);
	systemd_add(m->out, property, bits);
	return 0;
}

static int add_number(struct maker *m, const char *file, const char *property, const char *text)
{
	uint64_t v = UINT64_MAX;

	if (strcmp(text, "max") != 0 && strcmp(text, "-1") != 0 && num_u64(text, &v) < 0)
		return err_set(m->e, ERR_INVALID_ARGUMENT,
			       "unified resource \"%s\" value conversion error: invalid syntax: %s",
			       file, text);
	systemd_add(m->out, property, dbus_u64(v));
	return 0;
}

/* Blanks around a value are fine with the kernel. */
static const char *trim(struct arena *a, const char *text)
{
	size_t n;

	text += strspn(text, " \t\n");
	n = strlen(text);
	while (n && strchr(" \t\n", text[n - 1]))
		n--;
	return arena_strndup(a, text, n);
}

static int add_one(struct maker *m, const struct cgroup_write *w)
{
	const char *file = w->file, *value = w->value;

	if (m->v2 && w->other_file && strcmp(w->other_file, "io.weight") == 0) {
		file = w->other_file; /* systemd makes bfq's of it */
		value = w->other_value;
	}
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		const char *property = table[i].property;

		if (table[i].v2 != m->v2 || strcmp(table[i].file, file) != 0)
			continue;
		value = trim(m->a, value);
		switch (table[i].kind) {
		case KIND_CPUS:
		case KIND_MEMS:
			return add_cpuset(m, property, table[i].kind == KIND_CPUS, value);
		case KIND_WEIGHT:
			if (!m->is_idle)
				return add_number(m, file, property, value);
			log_warn(LOG_NONE, "unable to apply both cpu.weight and cpu.idle to "
					   "systemd, ignoring cpu.weight");
			return 0;
		case KIND_NUMBER:
			if (strchr(value, ' ')) /* of one device */
				return 0;
			return add_number(m, file, property, value);
		case KIND_LIMIT:
			return add_number(m, file, property, value);
		}
	}
	return 0; /* no property has it: the file alone does */
}

/* Rounded up to whole percents of a processor, which is what systemd keeps; quota too, so that it
 * agrees.  0 or less is no limit. */
static uint64_t per_second(int64_t *quota, uint64_t period)
{
	uint64_t usec;

	if (*quota <= 0)
		return UINT64_MAX;
	/* more than any machine has processors */
	if ((uint64_t)*quota > UINT64_MAX / USEC_PER_SEC / 2)
		return UINT64_MAX;
	usec = (uint64_t)*quota * USEC_PER_SEC / period;
	if (usec % PERCENT == 0)
		return usec;
	usec = (usec / PERCENT + 1) * PERCENT;
	*quota = (int64_t)(usec * period / USEC_PER_SEC);
	return usec;
}

/* Fills what was given; -1 for a text that is no number. */
static int parse_max(struct maker *m, const char *text, int64_t *quota, uint64_t *period)
{
	const char *clean = trim(m->a, text);
	size_t n = strcspn(clean, " \t");
	const char *first = arena_strndup(m->a, clean, n);
	const char *second = trim(m->a, clean + n);

	if ((strcmp(first, "max") != 0 && num_i64(first, quota) < 0) ||
	    (*second && num_u64(second, period) < 0) || !*period)
		return err_set(m->e, ERR_INVALID_ARGUMENT,
			       "unified resource \"cpu.max\" value invalid: \"%s\"", text);
	return 0;
}

static int add_quota(struct maker *m)
{
	struct cgroup_write *max = find_write(m->plan, "cpu.max");
	struct cgroup_write *q = find_write(m->plan, "cpu.cfs_quota_us");
	struct cgroup_write *p = find_write(m->plan, "cpu.cfs_period_us");
	uint64_t period = DEFAULT_PERIOD;
	int64_t quota = 0, before;

	if (m->v2 ? !max : !q && !p)
		return 0;
	if (m->v2 && parse_max(m, max->value, &quota, &period) < 0)
		return -1;
	if (!m->v2 && ((q && num_i64(q->value, &quota) < 0) ||
		       (p && num_u64(p->value, &period) < 0) || !period))
		return err_set(m->e, ERR_INVALID_ARGUMENT, "invalid CPU quota or period");
	if (m->version >= VERSION_QUOTA_PERIOD && (m->v2 || p))
		systemd_add(m->out, "CPUQuotaPeriodUSec", dbus_u64(period));
	before = quota;
	systemd_add(m->out, "CPUQuotaPerSecUSec", dbus_u64(per_second(&quota, period)));
	if (quota == before)
		return 0;
	if (m->v2)
		max->value = arena_printf(m->a, "%lld %llu", (long long)quota,
					  (unsigned long long)period);
	else
		q->value = arena_printf(m->a, "%lld", (long long)quota);
	return 0;
}

int systemd_resource_properties(struct arena *a, struct cgroup_plan *plan, bool v2, int version,
				struct systemd_properties *ret, struct err *e)
{
	struct maker m = { .a = a, .plan = plan, .out = ret, .e = e, .v2 = v2, .version = version };
	const struct cgroup_write *idle = v2 ? find_write(plan, "cpu.idle") : NULL;

	/* Weight 0 is how systemd says idle; 0 it can't say, and the file has it anyway. */
	if (idle && strcmp(trim(a, idle->value), "1") == 0 && version >= SYSTEMD_CPU_IDLE) {
		systemd_add(ret, "CPUWeight", dbus_u64(0));
		m.is_idle = true;
	}
	for (size_t i = 0; i < plan->n; i++)
		if (add_one(&m, &plan->v[i]) < 0)
			return -1;
	return add_quota(&m);
}

void systemd_start_properties(const struct cgroup_plan *plan, struct systemd_properties *ret)
{
	for (size_t i = 0; i < plan->n; i++) {
		const struct cgroup_write *w = &plan->v[i];
		uint64_t v;

		if (strcmp(w->file, "memory.oom.group") != 0 || num_u64(w->value, &v) < 0 || v > 1)
			continue;
		systemd_add(ret, "OOMPolicy", dbus_string(v ? "kill" : "continue"));
	}
}

/* The driver's name for a major number, "" when there is none.  The text has two lists. */
static const char *driver_of(struct arena *a, const char *text, char type, int64_t major)
{
	const char *p = strstr(text, type == 'c' ? "Character devices:" : "Block devices:");

	for (p = p ? strchr(p, '\n') : NULL; p && p[1] && p[1] != '\n'; p = strchr(p + 1, '\n')) {
		const char *line = p + 1;
		const char *number = line + strspn(line, " ");
		size_t digits = strspn(number, "0123456789");
		char buf[16] = "";
		int64_t v;

		if (!digits || digits >= sizeof buf || number[digits] != ' ')
			continue;
		memcpy(buf, number, digits);
		if (num_i64(buf, &v) == 0 && v == major)
			return arena_strndup(a, number + digits + 1,
					     strcspn(number + digits + 1, "\n"));
	}
	return "";
}

static const char *device_path(struct arena *a, const struct device_exception *x,
			       const char *proc_devices)
{
	const char *kind = x->type == 'c' ? "char" : "block", *driver;

	if (x->major == DEVICE_ANY)
		return x->minor == DEVICE_ANY ? arena_printf(a, "%s-*", kind) : NULL;
	if (x->minor != DEVICE_ANY)
		return arena_printf(a, "/dev/%s/%lld:%lld", kind, (long long)x->major,
				    (long long)x->minor);
	driver = driver_of(a, proc_devices, x->type, x->major);
	return *driver ? arena_printf(a, "%s-%s", kind, driver) : NULL;
}

void systemd_device_properties(struct arena *a, const struct device_set *set,
			       const char *proc_devices, struct systemd_properties *ret)
{
	struct dbus_value *list = arena_array(a, set->n, sizeof *list);
	size_t n = 0;

	/* A list of what is denied is beyond systemd: nothing, then, until our filter stands. */
	for (size_t i = 0; i < set->n && !set->default_allow; i++) {
		const struct device_exception *x = &set->v[i];
		const char *path = device_path(a, x, proc_devices);

		if (!path)
			continue;
		struct dbus_value pair[] = {
			dbus_string(path),
			dbus_string(arena_printf(a, "%s%s%s", x->access & DEVICE_READ ? "r" : "",
						 x->access & DEVICE_WRITE ? "w" : "",
						 x->access & DEVICE_MKNOD ? "m" : "")),
		};
		list[n++] = dbus_struct(a, pair, ARRAY_LEN(pair));
	}
	systemd_add(ret, "DevicePolicy",
		    dbus_string(set->default_allow && !set->n ? "auto" : "strict"));
	systemd_add(ret, "DeviceAllow", dbus_array(a, "(ss)", list, n));
}
