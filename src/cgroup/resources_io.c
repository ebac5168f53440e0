/* linux.resources.blockIO.  Leaf weights are v1's: v2 leaves them out, as runc does. */
#include "cgroup/planner.h"

#include <inttypes.h>

enum { WEIGHT_MIN = 10, WEIGHT_MAX = 1000 };

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

static int check_weight(struct planner *p, uint64_t weight)
{
	if (weight && (weight < WEIGHT_MIN || weight > WEIGHT_MAX))
		return err_set(p->e, ERR_INVALID_ARGUMENT,
			       "invalid blkio weight %" PRIu64 " (valid range is %d-%d)", weight,
			       WEIGHT_MIN, WEIGHT_MAX);
	return 0;
}

/* device is "" or "MAJOR:MINOR ".  The file of the BFQ scheduler is there when it is loaded. */
static void add_weight(struct planner *p, const char *device, uint64_t weight)
{
	const char *text = arena_printf(p->a, "%s%" PRIu64, device, weight);
	struct cgroup_write *w;

	if (p->v2 & CG_BLKIO) {
		w = plan_add(p, CG_BLKIO, "io.bfq.weight", text);
		w->other_file = "io.weight";
		w->other_value = arena_printf(p->a, "%s%" PRIu64, device, cgroup_io_weight(weight));
	} else {
		w = plan_add(p, CG_BLKIO, *device ? "blkio.weight_device" : "blkio.weight", text);
		w->other_file = *device ? "blkio.bfq.weight_device" : "blkio.bfq.weight";
		w->other_value = text;
	}
	w->is_keyed = *device;
}

static int plan_weights(struct planner *p, const struct oci_blkio *b)
{
	bool has_leaves = !(p->v2 & CG_BLKIO);

	if (check_weight(p, b->weight.v) < 0 || check_weight(p, b->leaf_weight.v) < 0)
		return -1;
	if (plan_is_set_u64(b->weight))
		add_weight(p, "", b->weight.v);
	if (plan_is_set_u64(b->leaf_weight) && has_leaves)
		plan_add(p, CG_BLKIO, "blkio.leaf_weight", plan_u64(p, b->leaf_weight.v));
	for (size_t i = 0; i < b->n_weight_devices; i++) {
		const struct oci_weight_device *d = &b->weight_devices[i];
		const char *device =
			arena_printf(p->a, "%" PRId64 ":%" PRId64 " ", d->major, d->minor);

		if (check_weight(p, d->weight.v) < 0 || check_weight(p, d->leaf_weight.v) < 0)
			return -1;
		if (plan_is_set_u64(d->weight))
			add_weight(p, device, d->weight.v);
		if (plan_is_set_u64(d->leaf_weight) && has_leaves)
			plan_add(p, CG_BLKIO, "blkio.leaf_weight_device",
				 arena_printf(p->a, "%s%" PRIu64, device, d->leaf_weight.v))
				->is_keyed = true;
	}
	return 0;
}

static void plan_throttles(struct planner *p, const struct oci_throttles *t, const char *v1,
			   const char *v2_key)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct oci_throttle *d = &t->v[i];
		const char *device = arena_printf(p->a, "%" PRId64 ":%" PRId64, d->major, d->minor);

		if (p->v2 & CG_BLKIO) /* v1's 0 is no throttle; v2 has a word for it */
			plan_add(p, CG_BLKIO, "io.max",
				 arena_printf(p->a, "%s %s=%s", device, v2_key,
					      d->rate ? plan_u64(p, d->rate) : "max"))
				->is_keyed = true;
		else
			plan_add(p, CG_BLKIO, v1,
				 arena_printf(p->a, "%s %" PRIu64, device, d->rate))
				->is_keyed = true;
	}
}

int plan_blkio(struct planner *p, const struct oci_blkio *b)
{
	if (plan_weights(p, b) < 0)
		return -1;
	plan_throttles(p, &b->read_bps, "blkio.throttle.read_bps_device", "rbps");
	plan_throttles(p, &b->write_bps, "blkio.throttle.write_bps_device", "wbps");
	plan_throttles(p, &b->read_iops, "blkio.throttle.read_iops_device", "riops");
	plan_throttles(p, &b->write_iops, "blkio.throttle.write_iops_device", "wiops");
	return 0;
}
