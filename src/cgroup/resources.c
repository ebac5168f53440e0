#include "cgroup/planner.h"

#include <inttypes.h>
#include <string.h>

/* Room was counted before. */
struct cgroup_write *plan_add(struct planner *p, unsigned controller, const char *file,
			      const char *value)
{
	if (p->p->n == p->p->cap)
		BUG("a cgroup plan is longer than was counted");

	struct cgroup_write *w = &p->p->v[p->p->n++];
	*w = (struct cgroup_write){ .controller = controller, .file = file, .value = value };
	return w;
}

const char *plan_u64(struct planner *p, uint64_t v)
{
	return arena_printf(p->a, "%" PRIu64, v);
}

const char *plan_i64(struct planner *p, int64_t v)
{
	return arena_printf(p->a, "%" PRId64, v);
}

const char *plan_max(struct planner *p, int64_t v)
{
	return v < 0 ? "max" : plan_i64(p, v);
}

static void plan_hugetlb(struct planner *p, const struct oci_resources *r)
{
	const char *end = p->v2 & CG_HUGETLB ? "max" : "limit_in_bytes";

	for (size_t i = 0; i < r->n_hugepages; i++) {
		const struct oci_hugepage *h = &r->hugepages[i];
		const char *value = plan_u64(p, h->limit);

		plan_add(p, CG_HUGETLB, arena_printf(p->a, "hugetlb.%s.%s", h->page_size, end),
			 value);
		/* Reservations count since Linux 5.7. */
		plan_add(p, CG_HUGETLB, arena_printf(p->a, "hugetlb.%s.rsvd.%s", h->page_size, end),
			 value)
			->may_miss = true;
	}
}

static void plan_rdma(struct planner *p, const struct oci_resources *r)
{
	for (size_t i = 0; i < r->n_rdma; i++) {
		const struct oci_rdma *d = &r->rdma[i];
		const char *line = d->device;

		if (d->hca_handles.has)
			line = arena_printf(p->a, "%s hca_handle=%" PRIu64, line, d->hca_handles.v);
		if (d->hca_objects.has)
			line = arena_printf(p->a, "%s hca_object=%" PRIu64, line, d->hca_objects.v);
		if (line != d->device)
			plan_add(p, CG_RDMA, "rdma.max", line)->is_keyed = true;
	}
}

static int plan_network(struct planner *p, const struct oci_network *n)
{
	const char *asked = plan_is_set_u64(n->class_id) ? "classID"
			    : n->n_priorities            ? "priorities"
							 : NULL;

	if (!asked)
		return 0;
	if (p->v2 & CG_NET_CLS)
		return err_set(p->e, ERR_INVALID_ARGUMENT,
			       "linux.resources.network.%s is not supported on cgroup v2", asked);
	if (plan_is_set_u64(n->class_id))
		plan_add(p, CG_NET_CLS, "net_cls.classid", plan_u64(p, n->class_id.v));
	for (size_t i = 0; i < n->n_priorities; i++)
		plan_add(p, CG_NET_PRIO, "net_prio.ifpriomap",
			 arena_printf(p->a, "%s %" PRIu64, n->priorities[i].name,
				      n->priorities[i].priority))
			->is_keyed = true;
	return 0;
}

static int plan_unified(struct planner *p, const struct oci_resources *r)
{
	/* Hybrid counts as v1 here: what is under unified/ has no controller worth a name. */
	if (r->unified.n && (p->v2 & CG_V2_ALL) != CG_V2_ALL)
		return err_set(p->e, ERR_INVALID_ARGUMENT,
			       "invalid configuration: cannot use unified on cgroup v1");
	for (size_t i = 0; i < r->unified.n; i++) {
		const char *key = r->unified.v[i].key;

		/* A file of this folder and no other (the parser has said so already). */
		if (strchr(key, '/'))
			return err_set(p->e, ERR_INVALID_ARGUMENT,
				       "unified resource \"%s\" must be a file name (no slashes)",
				       key);
		plan_add(p, CG_UNIFIED, key, r->unified.v[i].value)->kind = CGROUP_WRITE_UNIFIED;
	}
	return 0;
}

static size_t count_room(const struct oci_resources *r)
{
	const struct oci_blkio *b = &r->blkio;

	return 32 + 2 * b->n_weight_devices + b->read_bps.n + b->write_bps.n + b->read_iops.n +
	       b->write_iops.n + 2 * r->n_hugepages + r->n_rdma + r->network.n_priorities +
	       r->unified.n;
}

int cgroup_plan_resources(struct arena *a, const struct oci_resources *r, unsigned v2,
			  struct cgroup_plan *ret, struct err *e)
{
	struct planner p = { .a = a, .p = ret, .v2 = v2, .e = e };

	*ret = (struct cgroup_plan){ .cap = count_room(r) };
	ret->v = arena_array(a, ret->cap, sizeof *ret->v);
	if (plan_cpu(&p, &r->cpu) < 0 || plan_memory(&p, &r->memory) < 0)
		return -1;
	/* 0 is no freedom to fork, not freedom: init itself is one. */
	if (r->pids_limit.has)
		plan_add(&p, CG_PIDS, "pids.max",
			 r->pids_limit.v ? plan_max(&p, r->pids_limit.v) : "1");
	if (plan_blkio(&p, &r->blkio) < 0)
		return -1;
	plan_hugetlb(&p, r);
	plan_rdma(&p, r);
	if (plan_network(&p, &r->network) < 0)
		return -1;
	return plan_unified(&p, r); /* last: what it says overrides */
}
