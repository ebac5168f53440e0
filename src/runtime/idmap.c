#include "runtime/idmap.h"

#include "base/str.h"

static bool wraps(uint32_t first, uint32_t size)
{
	return first + (uint64_t)size > UINT32_MAX; /* the last id, -1, is no id */
}

static bool overlap(uint32_t a, uint32_t a_size, uint32_t b, uint32_t b_size)
{
	return a < (uint64_t)b + b_size && b < (uint64_t)a + a_size;
}

int idmap_text(struct arena *a, const struct oci_idmappings *m, const char **ret, struct err *e)
{
	AUTO_STR struct str text = STR_INIT(4095); /* the kernel refuses a page or more */

	if (m->n == 0 || m->n > IDMAP_MAX_RANGES)
		return err_set(e, ERR_INVALID_ARGUMENT, "%zu id ranges, must be 1 to %d", m->n,
			       IDMAP_MAX_RANGES);
	for (size_t i = 0; i < m->n; i++) {
		const struct oci_idmapping *r = &m->v[i];

		if (r->size == 0 || wraps(r->container_id, r->size) || wraps(r->host_id, r->size))
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "id range %zu is empty or too long: %u %u %u", i,
				       r->container_id, r->host_id, r->size);
		for (size_t k = 0; k < i; k++) {
			const struct oci_idmapping *o = &m->v[k];

			if (overlap(r->container_id, r->size, o->container_id, o->size) ||
			    overlap(r->host_id, r->size, o->host_id, o->size))
				return err_set(e, ERR_INVALID_ARGUMENT,
					       "id ranges %zu and %zu overlap", k, i);
		}
		str_addf(&text, "%u %u %u\n", r->container_id, r->host_id, r->size);
	}
	if (text.over)
		return err_set(e, ERR_INVALID_ARGUMENT, "%zu id ranges take over a page", m->n);
	*ret = arena_strdup(a, str_c(&text));
	return 0;
}
