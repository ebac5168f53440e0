/* linux.resources.cpu. */
#include "cgroup/planner.h"

#include <inttypes.h>
#include <math.h>

enum { SHARES_MIN = 2, SHARES_MAX = 262144, WEIGHT_MAX = 10000, PERIOD_DEFAULT = 100000 };

uint64_t cgroup_cpu_weight(uint64_t shares)
{
	if (!shares)
		return 0;
	if (shares <= SHARES_MIN)
		return 1;
	if (shares >= SHARES_MAX)
		return WEIGHT_MAX;
	double l = log2((double)shares);
	return (uint64_t)ceil(pow(10, (l * l + 125 * l) / 612.0 - 7.0 / 34.0));
}

/* An idle group has no shares: the kernel refuses them, and resets what was set before. */
static bool wants_shares(const struct oci_cpu *c)
{
	return plan_is_set_u64(c->shares) && !plan_is_set(c->idle);
}

static void plan_cpu_v1(struct planner *p, const struct oci_cpu *c)
{
	if (c->idle.has)
		plan_add(p, CG_CPU, "cpu.idle", plan_i64(p, c->idle.v));
	if (wants_shares(c))
		plan_add(p, CG_CPU, "cpu.shares", plan_u64(p, c->shares.v))->kind =
			CGROUP_WRITE_SHARES;
	if (plan_is_set_u64(c->realtime_period))
		plan_add(p, CG_CPU, "cpu.rt_period_us", plan_u64(p, c->realtime_period.v));
	if (plan_is_set(c->realtime_runtime))
		plan_add(p, CG_CPU, "cpu.rt_runtime_us", plan_i64(p, c->realtime_runtime.v));
	if (plan_is_set_u64(c->period))
		plan_add(p, CG_CPU, "cpu.cfs_period_us", plan_u64(p, c->period.v));
	if (plan_is_set(c->quota))
		plan_add(p, CG_CPU, "cpu.cfs_quota_us", plan_i64(p, c->quota.v));
	if (c->burst.has)
		plan_add(p, CG_CPU, "cpu.cfs_burst_us", plan_u64(p, c->burst.v));
}

static int plan_cpu_v2(struct planner *p, const struct oci_cpu *c)
{
	uint64_t period = plan_is_set_u64(c->period) ? c->period.v : PERIOD_DEFAULT;

	if (plan_is_set_u64(c->realtime_period) || plan_is_set(c->realtime_runtime))
		return err_set(p->e, ERR_INVALID_ARGUMENT,
			       "linux.resources.cpu.%s is not supported on cgroup v2",
			       plan_is_set(c->realtime_runtime) ? "realtimeRuntime"
								: "realtimePeriod");
	if (c->idle.has)
		plan_add(p, CG_CPU, "cpu.idle", plan_i64(p, c->idle.v));
	if (wants_shares(c))
		plan_add(p, CG_CPU, "cpu.weight", plan_u64(p, cgroup_cpu_weight(c->shares.v)));
	if (plan_is_set(c->quota) || plan_is_set_u64(c->period))
		plan_add(p, CG_CPU, "cpu.max",
			 arena_printf(p->a, "%s %" PRIu64,
				      plan_is_set(c->quota) && c->quota.v > 0
					      ? plan_i64(p, c->quota.v)
					      : "max",
				      period));
	if (c->burst.has)
		plan_add(p, CG_CPU, "cpu.max.burst", plan_u64(p, c->burst.v));
	return 0;
}

int plan_cpu(struct planner *p, const struct oci_cpu *c)
{
	if (c->cpus && *c->cpus)
		plan_add(p, CG_CPUSET, "cpuset.cpus", c->cpus);
	if (c->mems && *c->mems)
		plan_add(p, CG_CPUSET, "cpuset.mems", c->mems);
	if (p->v2 & CG_CPU)
		return plan_cpu_v2(p, c);
	plan_cpu_v1(p, c);
	return 0;
}
