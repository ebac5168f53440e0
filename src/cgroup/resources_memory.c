/* linux.resources.memory.  kernel and kernelTCP ask for nothing since the kernel took the limits
 * away; swappiness and disableOOMKiller are v1's, and no limits: v2 leaves them out, as runc does.
 */
#include "cgroup/planner.h"

#include <inttypes.h>

enum { SWAPPINESS_MAX = 100 };

static int plan_memory_v1(struct planner *p, const struct oci_memory *m)
{
	if (plan_is_set(m->limit))
		plan_add(p, CG_MEMORY, "memory.limit_in_bytes", plan_i64(p, m->limit.v));
	if (plan_is_set(m->swap))
		plan_add(p, CG_MEMORY, "memory.memsw.limit_in_bytes", plan_i64(p, m->swap.v));
	else if (m->limit.has && m->limit.v == -1) /* unlimited memory frees swap too */
		plan_add(p, CG_MEMORY, "memory.memsw.limit_in_bytes", "-1")->may_miss = true;
	if (plan_is_set(m->reservation))
		plan_add(p, CG_MEMORY, "memory.soft_limit_in_bytes", plan_i64(p, m->reservation.v));
	if (m->disable_oom_killer)
		plan_add(p, CG_MEMORY, "memory.oom_control", "1")->is_keyed = true;
	if (!m->swappiness.has || m->swappiness.v == UINT64_MAX) /* some write -1 for "none" */
		return 0;
	if (m->swappiness.v > SWAPPINESS_MAX)
		return err_set(p->e, ERR_INVALID_ARGUMENT,
			       "invalid memory swappiness value: %" PRIu64 " (valid range is 0-%d)",
			       m->swappiness.v, SWAPPINESS_MAX);
	plan_add(p, CG_MEMORY, "memory.swappiness", plan_u64(p, m->swappiness.v));
	return 0;
}

/* The spec's swap is memory and swap together, v2's is swap alone.  *ret: NULL for none to set. */
static int swap_v2(struct planner *p, int64_t limit, int64_t swap, const char **ret)
{
	*ret = NULL;
	if (limit == -1 && !swap)
		swap = -1; /* as on v1: unlimited memory frees swap too */
	if (!swap)
		return 0;
	if (swap == -1 || limit == -1) {
		*ret = plan_max(p, swap);
		return 0;
	}
	if (!limit)
		return err_set(p->e, ERR_INVALID_ARGUMENT,
			       "unable to set swap limit without memory limit");
	if (limit < 0)
		return err_set(p->e, ERR_INVALID_ARGUMENT, "invalid memory value: %" PRId64, limit);
	if (swap < limit)
		return err_set(p->e, ERR_INVALID_ARGUMENT,
			       "memory+swap limit should be >= memory limit");
	*ret = plan_i64(p, swap - limit);
	return 0;
}

static int plan_memory_v2(struct planner *p, const struct oci_memory *m)
{
	int64_t limit = m->limit.has ? m->limit.v : 0, swap = m->swap.has ? m->swap.v : 0;
	const char *text;

	if (swap_v2(p, limit, swap, &text) < 0)
		return -1;
	if (m->check_before_update) {
		p->p->check_limit = limit > 0 ? (uint64_t)limit : 0;
		p->p->check_swap = swap > 0 ? (uint64_t)swap : 0;
	}
	if (text) /* without swap in the kernel, no swap and all swap are the same */
		plan_add(p, CG_MEMORY, "memory.swap.max", text)->may_miss =
			swap <= 0 || swap == limit;
	if (limit)
		plan_add(p, CG_MEMORY, "memory.max", plan_max(p, limit));
	if (plan_is_set(m->reservation))
		plan_add(p, CG_MEMORY, "memory.low", plan_max(p, m->reservation.v));
	return 0;
}

int plan_memory(struct planner *p, const struct oci_memory *m)
{
	return p->v2 & CG_MEMORY ? plan_memory_v2(p, m) : plan_memory_v1(p, m);
}
