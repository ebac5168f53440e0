/* What an update of linux.resources makes of what was there. */
#include "base/jsonw.h"
#include "oci/encode.h"
#include "oci/spec_tables.h"

#include <string.h>

void oci_resources_print(const struct oci_resources *r, struct jsonw *w)
{
	struct oci_resources copy = *r;

	copy.n_devices = 0;
	encode_struct(&oci_resources_table, &copy, w);
}

static void take_u64(struct oci_u64 *to, struct oci_u64 from)
{
	if (from.has)
		*to = from;
}

static void take_i64(struct oci_i64 *to, struct oci_i64 from)
{
	if (from.has)
		*to = from;
}

/* 0 is "as it was" in the originals' documents, where it is no value anybody may want. */
static void take_nonzero_i64(struct oci_i64 *to, struct oci_i64 from)
{
	if (from.has && from.v)
		*to = from;
}

static void take_nonzero_u64(struct oci_u64 *to, struct oci_u64 from)
{
	if (from.has && from.v)
		*to = from;
}

static void take_text(const char **to, const char *from)
{
	if (from && *from)
		*to = from;
}

static void merge_memory(struct oci_memory *to, const struct oci_memory *from)
{
	/* No limit of memory frees swap as well, whatever it was. */
	if (from->limit.has && from->limit.v == -1 && !from->swap.has)
		to->swap = (struct oci_i64){ 0 };
	take_nonzero_i64(&to->limit, from->limit);
	take_nonzero_i64(&to->swap, from->swap);
	take_nonzero_i64(&to->reservation, from->reservation);
	take_u64(&to->swappiness, from->swappiness);
	to->disable_oom_killer |= from->disable_oom_killer;
	to->check_before_update = from->check_before_update; /* of this update alone */
}

static void merge_cpu(struct oci_cpu *to, const struct oci_cpu *from)
{
	take_nonzero_u64(&to->shares, from->shares);
	take_nonzero_u64(&to->period, from->period);
	take_nonzero_i64(&to->quota, from->quota);
	take_nonzero_u64(&to->realtime_period, from->realtime_period);
	take_nonzero_i64(&to->realtime_runtime, from->realtime_runtime);
	take_u64(&to->burst, from->burst);
	take_i64(&to->idle, from->idle);
	take_text(&to->cpus, from->cpus);
	take_text(&to->mems, from->mems);
}

/* Entries with a key: a new one comes in the old one's place, or behind.  Of doubles the last
 * counts, as it does to the kernel. */
static void *merge_list(struct arena *a, const void *old, size_t n_old, const void *given,
			size_t n_given, size_t size, bool (*same)(const void *x, const void *y),
			size_t *ret_n)
{
	char *out = arena_array(a, n_old + n_given + 1, size);
	const char *lists[] = { old, given };
	size_t counts[] = { n_old, n_given }, n = 0;

	for (size_t l = 0; l < ARRAY_LEN(lists); l++)
		for (size_t i = 0; i < counts[l]; i++) {
			const char *item = lists[l] + i * size;
			size_t at = 0;

			while (at < n && !same(out + at * size, item))
				at++;
			memcpy(out + at * size, item, size);
			n += at == n;
		}
	*ret_n = n;
	return out;
}

static bool same_throttle(const void *x, const void *y)
{
	const struct oci_throttle *a = x, *b = y;

	return a->major == b->major && a->minor == b->minor;
}

static bool same_weight(const void *x, const void *y)
{
	const struct oci_weight_device *a = x, *b = y;

	return a->major == b->major && a->minor == b->minor;
}

static bool same_page(const void *x, const void *y)
{
	const struct oci_hugepage *a = x, *b = y;

	return strcmp(a->page_size, b->page_size) == 0;
}

/* An rdma entry, a priority, a pair: the key is the first member. */
static bool same_name(const void *x, const void *y)
{
	return strcmp(*(const char *const *)x, *(const char *const *)y) == 0;
}

#define MERGE(to, from, v, n, same)                                                            \
	(to)->v = merge_list(a, (to)->v, (to)->n, (from)->v, (from)->n, sizeof *(to)->v, same, \
			     &(to)->n)

static void merge_blkio(struct arena *a, struct oci_blkio *to, const struct oci_blkio *from)
{
	take_nonzero_u64(&to->weight, from->weight);
	take_nonzero_u64(&to->leaf_weight, from->leaf_weight);
	MERGE(to, from, weight_devices, n_weight_devices, same_weight);
	MERGE(&to->read_bps, &from->read_bps, v, n, same_throttle);
	MERGE(&to->write_bps, &from->write_bps, v, n, same_throttle);
	MERGE(&to->read_iops, &from->read_iops, v, n, same_throttle);
	MERGE(&to->write_iops, &from->write_iops, v, n, same_throttle);
}

static void add_companions(const struct oci_resources *all, struct oci_resources *w)
{
	struct oci_memory *m = &w->memory;
	struct oci_cpu *c = &w->cpu;

	if ((m->limit.has && m->limit.v) || (m->swap.has && m->swap.v)) {
		m->limit = all->memory.limit;
		m->swap = all->memory.swap;
	}
	if ((c->quota.has && c->quota.v) || (c->period.has && c->period.v)) {
		c->quota = all->cpu.quota;
		c->period = all->cpu.period;
	}
	if (c->idle.has) /* the kernel forgot the shares of a group that was idle */
		c->shares = all->cpu.shares;
}

void oci_resources_merge(struct arena *a, const struct oci_resources *old,
			 const struct oci_resources *given, struct oci_resources *ret_all,
			 struct oci_resources *ret_write)
{
	struct oci_resources *to = ret_all;

	*to = old ? *old : (struct oci_resources){ 0 };
	to->devices = NULL;
	to->n_devices = 0;
	merge_memory(&to->memory, &given->memory);
	merge_cpu(&to->cpu, &given->cpu);
	merge_blkio(a, &to->blkio, &given->blkio);
	take_i64(&to->pids_limit, given->pids_limit);
	MERGE(to, given, hugepages, n_hugepages, same_page);
	MERGE(to, given, rdma, n_rdma, same_name);
	take_nonzero_u64(&to->network.class_id, given->network.class_id);
	MERGE(&to->network, &given->network, priorities, n_priorities, same_name);
	MERGE(&to->unified, &given->unified, v, n, same_name);

	*ret_write = *given;
	ret_write->devices = NULL;
	ret_write->n_devices = 0;
	add_companions(to, ret_write);
}
