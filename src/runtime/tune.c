#include "runtime/tune.h"

#include "base/num.h"

#include <errno.h>
#include <string.h>

enum { IO_PRIORITY_SHIFT = 13, IO_PRIORITIES = 8 };

struct name_row {
	const char *name;
	uint64_t value;
};

static int find_row(const struct name_row *list, size_t n, const char *name, uint64_t *ret)
{
	for (size_t i = 0; name && i < n; i++)
		if (strcmp(list[i].name, name) == 0) {
			*ret = list[i].value;
			return 0;
		}
	return -ENOENT;
}

static const struct name_row policies[] = {
	{ "SCHED_OTHER", 0 }, { "SCHED_FIFO", 1 }, { "SCHED_RR", 2 },       { "SCHED_BATCH", 3 },
	{ "SCHED_ISO", 4 },   { "SCHED_IDLE", 5 }, { "SCHED_DEADLINE", 6 },
};

static const struct name_row scheduler_flags[] = {
	{ "SCHED_FLAG_RESET_ON_FORK", 0x01 },  { "SCHED_FLAG_RECLAIM", 0x02 },
	{ "SCHED_FLAG_DL_OVERRUN", 0x04 },     { "SCHED_FLAG_KEEP_POLICY", 0x08 },
	{ "SCHED_FLAG_KEEP_PARAMS", 0x10 },    { "SCHED_FLAG_UTIL_CLAMP_MIN", 0x20 },
	{ "SCHED_FLAG_UTIL_CLAMP_MAX", 0x40 },
};

static const struct name_row io_classes[] = {
	{ "IOPRIO_CLASS_RT", 1 },
	{ "IOPRIO_CLASS_BE", 2 },
	{ "IOPRIO_CLASS_IDLE", 3 },
};

static const struct name_row domains[] = { { "LINUX", 0 }, { "LINUX32", 8 } };

static const struct name_row memory_modes[] = {
	{ "MPOL_DEFAULT", 0 },
	{ "MPOL_PREFERRED", 1 },
	{ "MPOL_BIND", 2 },
	{ "MPOL_INTERLEAVE", 3 },
	{ "MPOL_LOCAL", 4 },
	{ "MPOL_PREFERRED_MANY", 5 },
	{ "MPOL_WEIGHTED_INTERLEAVE", 6 },
};

static const struct name_row memory_flags[] = {
	{ "MPOL_F_STATIC_NODES", 1 << 15 },
	{ "MPOL_F_RELATIVE_NODES", 1 << 14 },
	{ "MPOL_F_NUMA_BALANCING", 1 << 13 },
};

#define FIND(list, name, ret) find_row((list), ARRAY_LEN(list), (name), (ret))

/* One number or range, without its spaces. */
static int parse_part(char *part, struct tune_set *ret)
{
	char *dash = strchr(part, '-');
	uint64_t first = 0, last = 0;

	if (dash)
		*dash = 0;
	int r = num_u64(part, &first);
	if (r == 0)
		r = num_u64(dash ? dash + 1 : part, &last);
	if (r < 0)
		return r;
	if (first > last)
		return -EINVAL;
	if (last >= TUNE_SET_BITS)
		return -ERANGE;
	for (uint64_t i = first; i <= last; i++)
		ret->bits[i / (8 * sizeof *ret->bits)] |= 1UL << i % (8 * sizeof *ret->bits);
	return 0;
}

int tune_parse_set(const char *text, struct tune_set *ret)
{
	*ret = (struct tune_set){ 0 };
	if (!text || !*text)
		return 0;
	ret->text = text;
	for (const char *p = text; *p;) {
		size_t n = strcspn(p, ",");
		const char *from = p, *to = p + n;

		while (from < to && *from == ' ')
			from++;
		while (to > from && to[-1] == ' ')
			to--;
		if (to > from) {
			AUTO_FREE char *part = xstrndup(from, (size_t)(to - from));
			int r = parse_part(part, ret);

			if (r < 0)
				return r;
		}
		p += n + (p[n] == ',');
	}
	return 0;
}

static int plan_set(const char *field, const char *text, struct tune_set *ret, struct err *e)
{
	int r = tune_parse_set(text, ret);

	if (r == -ERANGE)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "%s \"%s\": values larger than %d are not supported", field, text,
			       TUNE_SET_BITS - 1);
	if (r < 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "%s \"%s\": invalid syntax", field, text);
	return 0;
}

static int plan_scheduler(const struct oci_scheduler *s, struct tune *ret, struct err *e)
{
	struct tune_scheduler *out = &ret->scheduler;
	uint64_t policy, flag;

	if (!s)
		return 0;
	if (!s->policy || !*s->policy)
		return err_set(e, ERR_INVALID_ARGUMENT, "scheduler policy is required");
	if (FIND(policies, s->policy, &policy) < 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid scheduler policy: %s", s->policy);
	if (s->nice < -20 || s->nice > 19)
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid scheduler.nice: %lld",
			       (long long)s->nice);
	if (s->priority != 0 && policy != 1 && policy != 2)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "scheduler.priority can only be specified for SchedFIFO or SchedRR "
			       "policy");
	if (s->priority < 0 || s->priority > UINT32_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid scheduler.priority: %lld",
			       (long long)s->priority);
	if (policy != 6 && (s->runtime || s->deadline || s->period))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "scheduler runtime/deadline/period can only be specified for "
			       "SchedDeadline policy");
	*out = (struct tune_scheduler){ .policy = (uint32_t)policy,
					.nice = (int32_t)s->nice,
					.priority = (uint32_t)s->priority,
					.runtime = s->runtime,
					.deadline = s->deadline,
					.period = s->period };
	for (size_t i = 0; i < s->flags.n; i++) {
		if (FIND(scheduler_flags, s->flags.v[i], &flag) < 0)
			return err_set(e, ERR_INVALID_ARGUMENT, "invalid scheduler flag: %s",
				       s->flags.v[i]);
		out->flags |= flag;
	}
	ret->has_scheduler = true;
	return 0;
}

static int plan_io_priority(const struct oci_io_priority *p, struct tune *ret, struct err *e)
{
	uint64_t class;

	if (!p)
		return 0;
	if (FIND(io_classes, p->class, &class) < 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid io priority class: %s",
			       p->class ? p->class : "");
	if (p->priority < 0 || p->priority >= IO_PRIORITIES)
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid ioPriority.Priority: %lld",
			       (long long)p->priority);
	ret->io_priority = (int)(class << IO_PRIORITY_SHIFT) | (int)p->priority;
	ret->has_io_priority = true;
	return 0;
}

int tune_plan_process(const struct oci_process *p, struct tune *ret, struct err *e)
{
	const struct oci_cpu_affinity *c = p->exec_cpu_affinity;

	if (plan_scheduler(p->scheduler, ret, e) < 0 ||
	    plan_io_priority(p->io_priority, ret, e) < 0)
		return -1;
	if (!c)
		return 0;
	if (plan_set("bad CPUAffinity.Initial:", c->initial, &ret->initial, e) < 0 ||
	    plan_set("bad CPUAffinity.Final:", c->final, &ret->final, e) < 0)
		return -1;
	return 0;
}

static int plan_memory(const struct oci_memory_policy *m, struct tune *ret, struct err *e)
{
	uint64_t mode, flag;

	if (!m || (!m->mode && !m->nodes && !m->flags.n)) /* {} asks for nothing */
		return 0;
	if (FIND(memory_modes, m->mode, &mode) < 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid memory policy mode \"%s\"",
			       m->mode ? m->mode : "");
	if (plan_set("invalid memory policy nodes", m->nodes, &ret->memory_nodes, e) < 0)
		return -1;
	ret->memory_mode = (int)mode;
	for (size_t i = 0; i < m->flags.n; i++) {
		if (FIND(memory_flags, m->flags.v[i], &flag) < 0)
			return err_set(e, ERR_INVALID_ARGUMENT, "invalid memory policy flag \"%s\"",
				       m->flags.v[i]);
		ret->memory_mode |= (int)flag;
	}
	ret->has_memory_policy = true;
	return 0;
}

int tune_plan_linux(const struct oci_linux *l, struct tune *ret, struct strv *warnings,
		    struct err *e)
{
	const struct oci_personality *p = l->personality;
	uint64_t domain;

	ret->has_cpuset = l->resources && l->resources->cpu.cpus && *l->resources->cpu.cpus;
	if (plan_memory(l->memory_policy, ret, e) < 0)
		return -1;
	if (!p)
		return 0;
	if (FIND(domains, p->domain, &domain) < 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid personality domain %s",
			       p->domain ? p->domain : "");
	if (p->flags.n)
		strv_addf(warnings,
			  "ignoring unsupported personality flags: the spec defines none");
	ret->personality = (unsigned long)domain;
	ret->has_personality = true;
	return 0;
}

void tune_inherit(struct tune *t, const struct tune *container)
{
	struct tune own = *t;

	*t = *container;
	if (own.has_scheduler) {
		t->has_scheduler = true;
		t->scheduler = own.scheduler;
	}
	if (own.has_io_priority) {
		t->has_io_priority = true;
		t->io_priority = own.io_priority;
	}
	if (own.initial.text || own.final.text) { /* one setting of two parts */
		t->initial = own.initial;
		t->final = own.final;
	}
}

static const char *name_of(const struct name_row *list, size_t n, uint64_t value)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].value == value)
			return list[i].name;
	return "?";
}

void tune_print(const struct tune *t, struct str *out)
{
	const struct tune_scheduler *s = &t->scheduler;

	if (t->has_scheduler)
		str_addf(out, "scheduler %s flags %#llx nice %d priority %u %llu/%llu/%llu\n",
			 name_of(policies, ARRAY_LEN(policies), s->policy),
			 (unsigned long long)s->flags, s->nice, s->priority,
			 (unsigned long long)s->runtime, (unsigned long long)s->deadline,
			 (unsigned long long)s->period);
	if (t->has_io_priority)
		str_addf(out, "io_priority %s %d\n",
			 name_of(io_classes, ARRAY_LEN(io_classes),
				 (uint64_t)t->io_priority >> IO_PRIORITY_SHIFT),
			 t->io_priority & (IO_PRIORITIES - 1));
	if (t->has_personality)
		str_addf(out, "personality %s\n",
			 name_of(domains, ARRAY_LEN(domains), t->personality));
	if (t->has_memory_policy)
		str_addf(out, "memory_policy %s %#x nodes %s\n",
			 name_of(memory_modes, ARRAY_LEN(memory_modes), t->memory_mode & 0xff),
			 t->memory_mode & ~0xff,
			 t->memory_nodes.text ? t->memory_nodes.text : "none");
	if (t->initial.text || t->final.text)
		str_addf(out, "exec_cpus %s then %s\n", t->initial.text ? t->initial.text : "any",
			 t->final.text ? t->final.text : "any");
}
