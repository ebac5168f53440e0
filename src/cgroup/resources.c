#include "cgroup/resources.h"

#include "cgroup/private.h"

#include <inttypes.h>
#include <string.h>

enum { SHARES_MIN = 2, SHARES_MAX = 262144, WEIGHT_MIN = 10, WEIGHT_MAX = 1000 };

uint64_t cgroup_cpu_weight(uint64_t shares)
{
	if (!shares)
		return 0;
	if (shares < SHARES_MIN)
		shares = SHARES_MIN;
	if (shares > SHARES_MAX)
		shares = SHARES_MAX;
	return 1 + (shares - SHARES_MIN) * 9999 / (SHARES_MAX - SHARES_MIN);
}

uint64_t cgroup_io_weight(uint64_t weight)
{
	if (!weight)
		return 0;
	if (weight < WEIGHT_MIN)
		weight = WEIGHT_MIN;
	if (weight > WEIGHT_MAX)
		weight = WEIGHT_MAX;
	return 1 + (weight - WEIGHT_MIN) * 9999 / (WEIGHT_MAX - WEIGHT_MIN);
}

struct planner {
	struct arena *a;
	struct cgroup_plan *p;
	unsigned v2;
	struct err *e;
};

/* Room was counted before. */
static struct cgroup_write *add(struct planner *p, unsigned controller, const char *file,
				const char *value)
{
	if (p->p->n == p->p->cap)
		BUG("a cgroup plan is longer than was counted");

	struct cgroup_write *w = &p->p->v[p->p->n++];
	*w = (struct cgroup_write){ .controller = controller, .file = file, .value = value };
	return w;
}

static const char *u64_text(struct planner *p, uint64_t v)
{
	return arena_printf(p->a, "%" PRIu64, v);
}

static const char *i64_text(struct planner *p, int64_t v)
{
	return arena_printf(p->a, "%" PRId64, v);
}

/* -1 is no limit. */
static const char *max_text(struct planner *p, int64_t v)
{
	return v < 0 ? "max" : i64_text(p, v);
}

static bool is_set(struct oci_i64 v)
{
	return v.has && v.v != 0; /* 0 is "not given" to the originals */
}

static int plan_memory_v1(struct planner *p, const struct oci_memory *m)
{
	int64_t swap = is_set(m->swap) ? m->swap.v : 0;

	if (is_set(m->limit))
		add(p, CG_MEMORY, "memory.limit_in_bytes", i64_text(p, m->limit.v));
	if (swap)
		add(p, CG_MEMORY, "memory.memsw.limit_in_bytes", i64_text(p, swap));
	else if (is_set(m->limit) && m->limit.v == -1) /* unlimited memory frees swap too */
		add(p, CG_MEMORY, "memory.memsw.limit_in_bytes", "-1")->may_miss = true;
	if (is_set(m->reservation))
		add(p, CG_MEMORY, "memory.soft_limit_in_bytes", i64_text(p, m->reservation.v));
	if (is_set(m->kernel_tcp))
		add(p, CG_MEMORY, "memory.kmem.tcp.limit_in_bytes", i64_text(p, m->kernel_tcp.v));
	if (m->disable_oom_killer)
		add(p, CG_MEMORY, "memory.oom_control", "1");
	if (m->swappiness.has) {
		if (m->swappiness.v > 100)
			return err_set(p->e, ERR_INVALID_ARGUMENT,
				       "invalid memory swappiness value: %" PRIu64
				       " (valid range is 0-100)",
				       m->swappiness.v);
		add(p, CG_MEMORY, "memory.swappiness", u64_text(p, m->swappiness.v));
	}
	return 0;
}

/* The spec's swap is memory and swap together, v2's is swap alone. */
static int plan_swap_v2(struct planner *p, int64_t limit, int64_t swap)
{
	const char *text;

	if (limit == -1 && !swap)
		swap = -1;
	if (!swap)
		return 0;
	if (swap == -1) {
		text = "max";
	} else {
		if (!limit || limit == -1)
			return err_set(p->e, ERR_INVALID_ARGUMENT,
				       "unable to set swap limit without memory limit");
		if (limit < 0)
			return err_set(p->e, ERR_INVALID_ARGUMENT, "invalid memory value: %" PRId64,
				       limit);
		if (swap < limit)
			return err_set(p->e, ERR_INVALID_ARGUMENT,
				       "memory+swap limit should be >= memory limit");
		text = i64_text(p, swap - limit);
	}
	/* Without swap in the kernel, no swap and all swap are the same. */
	add(p, CG_MEMORY, "memory.swap.max", text)->may_miss = swap == -1 || swap == limit;
	return 0;
}

static int plan_memory_v2(struct planner *p, const struct oci_memory *m)
{
	int64_t limit = is_set(m->limit) ? m->limit.v : 0;

	if (plan_swap_v2(p, limit, is_set(m->swap) ? m->swap.v : 0) < 0)
		return -1;
	if (limit)
		add(p, CG_MEMORY, "memory.max", max_text(p, limit));
	if (is_set(m->reservation))
		add(p, CG_MEMORY, "memory.low", max_text(p, m->reservation.v));
	return 0;
}

static void plan_cpu_v1(struct planner *p, const struct oci_cpu *c)
{
	if (c->shares.has && c->shares.v)
		add(p, CG_CPU, "cpu.shares", u64_text(p, c->shares.v));
	if (c->realtime_period.has && c->realtime_period.v)
		add(p, CG_CPU, "cpu.rt_period_us", u64_text(p, c->realtime_period.v));
	if (is_set(c->realtime_runtime))
		add(p, CG_CPU, "cpu.rt_runtime_us", i64_text(p, c->realtime_runtime.v));
	if (c->period.has && c->period.v)
		add(p, CG_CPU, "cpu.cfs_period_us", u64_text(p, c->period.v));
	if (is_set(c->quota))
		add(p, CG_CPU, "cpu.cfs_quota_us", i64_text(p, c->quota.v));
	if (c->burst.has)
		add(p, CG_CPU, "cpu.cfs_burst_us", u64_text(p, c->burst.v));
	if (c->idle.has)
		add(p, CG_CPU, "cpu.idle", i64_text(p, c->idle.v));
}

static void plan_cpu_v2(struct planner *p, const struct oci_cpu *c)
{
	uint64_t period = c->period.has && c->period.v ? c->period.v : 100000;

	if (c->idle.has)
		add(p, CG_CPU, "cpu.idle", i64_text(p, c->idle.v));
	/* An idle group has no weight. */
	if (c->shares.has && c->shares.v && !(c->idle.has && c->idle.v))
		add(p, CG_CPU, "cpu.weight", u64_text(p, cgroup_cpu_weight(c->shares.v)));
	if (is_set(c->quota) || (c->period.has && c->period.v))
		add(p, CG_CPU, "cpu.max",
		    arena_printf(p->a, "%s %" PRIu64,
				 is_set(c->quota) && c->quota.v > 0 ? i64_text(p, c->quota.v)
								    : "max",
				 period));
	if (c->burst.has)
		add(p, CG_CPU, "cpu.max.burst", u64_text(p, c->burst.v));
}

static int check_weight(struct planner *p, uint64_t weight)
{
	if (weight && (weight < WEIGHT_MIN || weight > WEIGHT_MAX))
		return err_set(p->e, ERR_INVALID_ARGUMENT,
			       "invalid blkio weight %" PRIu64 " (valid range is %d-%d)", weight,
			       WEIGHT_MIN, WEIGHT_MAX);
	return 0;
}

/* value is "WEIGHT" or "MAJOR:MINOR WEIGHT" by the prefix. */
static void add_weight(struct planner *p, const char *prefix, uint64_t weight, const char *v1,
		       const char *v1_other)
{
	struct cgroup_write *w;

	if (p->v2 & CG_BLKIO) {
		w = add(p, CG_BLKIO, "io.bfq.weight",
			arena_printf(p->a, "%s%" PRIu64, prefix, weight));
		w->other_file = "io.weight";
		w->other_value = arena_printf(p->a, "%s%" PRIu64, prefix, cgroup_io_weight(weight));
	} else {
		w = add(p, CG_BLKIO, v1, arena_printf(p->a, "%s%" PRIu64, prefix, weight));
		w->other_file = v1_other;
		w->other_value = w->value;
	}
}

static int plan_weights(struct planner *p, const struct oci_blkio *b)
{
	if (check_weight(p, b->weight.v) < 0 || check_weight(p, b->leaf_weight.v) < 0)
		return -1;
	if (b->weight.has && b->weight.v)
		add_weight(p, "", b->weight.v, "blkio.weight", "blkio.bfq.weight");
	if (b->leaf_weight.has && b->leaf_weight.v && !(p->v2 & CG_BLKIO))
		add(p, CG_BLKIO, "blkio.leaf_weight", u64_text(p, b->leaf_weight.v));
	for (size_t i = 0; i < b->n_weight_devices; i++) {
		const struct oci_weight_device *d = &b->weight_devices[i];
		const char *prefix =
			arena_printf(p->a, "%" PRId64 ":%" PRId64 " ", d->major, d->minor);

		if (check_weight(p, d->weight.v) < 0 || check_weight(p, d->leaf_weight.v) < 0)
			return -1;
		if (d->weight.has && d->weight.v)
			add_weight(p, prefix, d->weight.v, "blkio.weight_device",
				   "blkio.bfq.weight_device");
		if (d->leaf_weight.has && d->leaf_weight.v && !(p->v2 & CG_BLKIO))
			add(p, CG_BLKIO, "blkio.leaf_weight_device",
			    arena_printf(p->a, "%s%" PRIu64, prefix, d->leaf_weight.v));
	}
	return 0;
}

static void plan_throttles(struct planner *p, const struct oci_throttles *t, const char *v1,
			   const char *v2_key)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct oci_throttle *d = &t->v[i];

		if (p->v2 & CG_BLKIO)
			add(p, CG_BLKIO, "io.max",
			    arena_printf(p->a, "%" PRId64 ":%" PRId64 " %s=%" PRIu64, d->major,
					 d->minor, v2_key, d->rate));
		else
			add(p, CG_BLKIO, v1,
			    arena_printf(p->a, "%" PRId64 ":%" PRId64 " %" PRIu64, d->major,
					 d->minor, d->rate));
	}
}

static int plan_blkio(struct planner *p, const struct oci_blkio *b)
{
	if (plan_weights(p, b) < 0)
		return -1;
	plan_throttles(p, &b->read_bps, "blkio.throttle.read_bps_device", "rbps");
	plan_throttles(p, &b->write_bps, "blkio.throttle.write_bps_device", "wbps");
	plan_throttles(p, &b->read_iops, "blkio.throttle.read_iops_device", "riops");
	plan_throttles(p, &b->write_iops, "blkio.throttle.write_iops_device", "wiops");
	return 0;
}

static void plan_hugetlb(struct planner *p, const struct oci_resources *r)
{
	const char *end = p->v2 & CG_HUGETLB ? "max" : "limit_in_bytes";

	for (size_t i = 0; i < r->n_hugepages; i++) {
		const struct oci_hugepage *h = &r->hugepages[i];
		const char *value = u64_text(p, h->limit);

		add(p, CG_HUGETLB, arena_printf(p->a, "hugetlb.%s.%s", h->page_size, end), value);
		/* Reservations count since Linux 5.7. */
		add(p, CG_HUGETLB, arena_printf(p->a, "hugetlb.%s.rsvd.%s", h->page_size, end),
		    value)
			->may_miss = true;
	}
}

static int plan_unified(struct planner *p, const struct oci_resources *r)
{
	if (r->unified.n && !(p->v2 & CG_UNIFIED))
		return err_set(p->e, ERR_INVALID_ARGUMENT,
			       "invalid configuration: cannot use unified on cgroup v1");
	for (size_t i = 0; i < r->unified.n; i++) {
		const char *key = r->unified.v[i].key;

		/* A file of this folder and no other (the parser has said so already). */
		if (strchr(key, '/'))
			return err_set(p->e, ERR_INVALID_ARGUMENT,
				       "unified resource \"%s\" must be a file name (no slashes)",
				       key);
		add(p, CG_UNIFIED, key, r->unified.v[i].value);
	}
	return 0;
}

static size_t count_room(const struct oci_resources *r)
{
	const struct oci_blkio *b = &r->blkio;

	return 32 + 2 * b->n_weight_devices + b->read_bps.n + b->write_bps.n + b->read_iops.n +
	       b->write_iops.n + 2 * r->n_hugepages + r->unified.n;
}

int cgroup_plan_resources(struct arena *a, const struct oci_resources *r, unsigned v2,
			  struct cgroup_plan *ret, struct err *e)
{
	struct planner p = { .a = a, .p = ret, .v2 = v2, .e = e };

	ret->cap = count_room(r);
	ret->v = arena_array(a, ret->cap, sizeof *ret->v);
	ret->n = 0;
	if (r->cpu.cpus && *r->cpu.cpus)
		add(&p, CG_CPUSET, "cpuset.cpus", r->cpu.cpus);
	if (r->cpu.mems && *r->cpu.mems)
		add(&p, CG_CPUSET, "cpuset.mems", r->cpu.mems);
	if (v2 & CG_CPU)
		plan_cpu_v2(&p, &r->cpu);
	else
		plan_cpu_v1(&p, &r->cpu);
	if ((v2 & CG_MEMORY ? plan_memory_v2(&p, &r->memory) : plan_memory_v1(&p, &r->memory)) < 0)
		return -1;
	/* 0 is no freedom to fork, not freedom: init itself is one. */
	if (r->pids_limit.has)
		add(&p, CG_PIDS, "pids.max", r->pids_limit.v ? max_text(&p, r->pids_limit.v) : "1");
	if (plan_blkio(&p, &r->blkio) < 0)
		return -1;
	plan_hugetlb(&p, r);
	return plan_unified(&p, r);
}
