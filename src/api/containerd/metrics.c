#include "api/containerd/metrics.h"

#include "api/containerd/listing.h"
#include "base/jsonw.h"
#include "base/log.h"
#include "store/namespace.h"

#include "cgroups/v1/metrics.pb-c.h"
#include "cgroups/v2/metrics.pb-c.h"

#include <inttypes.h>
#include <string.h>

/* Where the name of a field is not "container_" MESSAGE "_" FIELD "_" UNIT of its message. */
static const struct rename {
	const char *from, *to;
} renames[] = {
	{ "cpu_usage_total", "cpu_total_nanoseconds" },
	{ "cpu_usage_kernel", "cpu_kernel_nanoseconds" },
	{ "cpu_usage_user", "cpu_user_nanoseconds" },
	{ "cpu_throttling_periods", "cpu_throttle_periods_total" },
	{ "cpu_throttling_throttled_periods", "cpu_throttled_periods_total" },
	{ "cpu_throttling_throttled_time", "cpu_throttled_time_nanoseconds" },
	{ "memory_pg_pg_in", "memory_pgpgin_bytes" },
	{ "memory_pg_pg_out", "memory_pgpgout_bytes" },
	{ "memory_pg_fault", "memory_pgfault_bytes" },
	{ "memory_pg_maj_fault", "memory_pgmajfault_bytes" },
	{ "memory_total_pg_pg_in", "memory_total_pgpgin_bytes" },
	{ "memory_total_pg_pg_out", "memory_total_pgpgout_bytes" },
	{ "memory_total_pg_fault", "memory_total_pgfault_bytes" },
	{ "memory_total_pg_maj_fault", "memory_total_pgmajfault_bytes" },
	{ "memory_hierarchical_swap_limit", "memory_hierarchical_memsw_limit_bytes" },
	{ "memory_kernel_tcp_limit", "memory_kerneltcp_limit_bytes" },
	{ "memory_kernel_tcp_usage", "memory_kerneltcp_usage_bytes" },
	{ "memory_kernel_tcp_max", "memory_kerneltcp_max_bytes" },
	{ "memory_kernel_tcp_failcnt", "memory_kerneltcp_failcnt_total" },
	{ "memory_events_oom", "memory_oom_total" },
	{ "pids_current", "pids_current" },
	{ "pids_limit", "pids_limit" },
};

/* The rest goes by the ends and beginnings of names. NULL: containerd has no such figure. */
static const char *metric_name(struct arena *a, const char *path)
{
	for (size_t i = 0; i < ARRAY_LEN(renames); i++)
		if (!strcmp(renames[i].from, path))
			return arena_printf(a, "container_%s", renames[i].to);
	if (str_starts(path, "memory_events_") || strstr(path, "psi_") ||
	    str_starts(path, "memory_oom_control_") || str_starts(path, "cgroup_stats_"))
		return NULL;
	if (str_ends(path, "_failcnt") || str_starts(path, "cpu_nr_"))
		return arena_printf(a, "container_%s_total", path);
	if (str_starts(path, "cpu_") && str_ends(path, "_usec"))
		return arena_printf(a, "container_%s_microseconds", path);
	if (str_starts(path, "memory_"))
		return arena_printf(a, "container_%s_bytes", path);
	return NULL;
}

static void add(struct api_metric_list *l, const char *name, const char *labels, uint64_t value)
{
	GROW(l->v, l->n, l->cap);
	l->v[l->n++] = (struct api_metric){ name, labels, value };
}

static void add_per_cpu(struct api_metric_list *l, const uint64_t *v, size_t n, const char *labels)
{
	for (size_t i = 0; i < n; i++)
		add(l, "container_per_cpu_nanoseconds",
		    arena_printf(l->arena, "%s,cpu=\"%zu\"", labels, i), v[i]);
}

static void walk(struct api_metric_list *l, const ProtobufCMessage *m, const char *prefix,
		 const char *labels)
{
	for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
		const char *at = (const char *)m + f->offset;
		const char *path =
			*prefix ? arena_printf(l->arena, "%s_%s", prefix, f->name) : f->name;

		if (f->label == PROTOBUF_C_LABEL_REPEATED) {
			if (!strcmp(path, "cpu_usage_per_cpu"))
				add_per_cpu(
					l, *(uint64_t *const *)(const void *)at,
					*(const size_t *)((const char *)m + f->quantifier_offset),
					labels);
		} else if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
			const ProtobufCMessage *below =
				*(ProtobufCMessage *const *)(const void *)at;

			if (below)
				walk(l, below, path, labels);
		} else if (f->type == PROTOBUF_C_TYPE_UINT64) {
			const char *name = metric_name(l->arena, path);

			if (name)
				add(l, name, labels, *(const uint64_t *)(const void *)at);
		}
	}
}

void api_metrics_add(struct api_metric_list *l, const ProtobufCMessage *m, const char *labels)
{
	walk(l, m, "", labels);
}

static int by_name(const void *a, const void *b)
{
	const struct api_metric *x = a, *y = b;
	int r = strcmp(x->name, y->name);

	return r ? r : strcmp(x->labels, y->labels);
}

void api_metrics_print(struct api_metric_list *l, struct str *out)
{
	if (l->n)
		qsort(l->v, l->n, sizeof *l->v, by_name);
	for (size_t i = 0; i < l->n; i++) {
		if (!i || strcmp(l->v[i].name, l->v[i - 1].name) != 0)
			str_addf(out, "# TYPE %s gauge\n", l->v[i].name);
		str_addf(out, "%s{%s} %" PRIu64 "\n", l->v[i].name, l->v[i].labels, l->v[i].value);
	}
	free(TAKE_PTR(l->v));
	l->n = l->cap = 0;
}

static void add_task(struct engine *en, struct api_metric_list *l, const char *ns, const char *id)
{
	static const struct {
		const char *url;
		const ProtobufCMessageDescriptor *type;
	} kinds[] = {
		{ "io.containerd.cgroups.v1.Metrics",
		  &io__containerd__cgroups__v1__metrics__descriptor },
		{ "io.containerd.cgroups.v2.Metrics",
		  &io__containerd__cgroups__v2__metrics__descriptor },
	};
	AUTO_TASK struct task *t = NULL;
	struct err e = { 0 };
	struct any data;

	if (task_get(en->tasks, ns, id, &t, &e) < 0 || task_stats(t, l->arena, &data, &e) < 0) {
		log_debug(LOG({ "id", id }, { "error", e.msg }), "no metrics of a task");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (!data.type_url || !str_ends(data.type_url, kinds[i].url))
			continue;
		ProtobufCMessage *m =
			protobuf_c_message_unpack(kinds[i].type, NULL, data.n, data.value);
		if (m)
			api_metrics_add(l, m,
					arena_printf(l->arena,
						     "container_id=\"%s\",namespace=\"%s\"", id,
						     ns));
		protobuf_c_message_free_unpacked(m, NULL);
	}
}

static int add_name(const char *name, UNUSED const struct labels *labels, void *arg,
		    UNUSED struct err *e)
{
	strv_add(arg, name);
	return 0;
}

void api_metrics(struct engine *en, struct str *out)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct api_metric_list l = { .arena = a };
	AUTO_STRV struct strv names = { 0 };
	struct err e = { 0 };

	if (namespace_list(en->store, add_name, &names, &e) < 0)
		log_warn(LOG({ "error", e.msg }), "metrics without the containers'");
	for (size_t i = 0; i < names.n; i++) {
		struct err failed = { 0 };
		struct task_state *v;
		size_t n = 0;

		if (task_list(en->tasks, names.v[i], a, &v, &n, &failed) < 0)
			continue;
		for (size_t k = 0; k < n; k++)
			add_task(en, &l, names.v[i], v[k].container_id);
	}
	api_metrics_print(&l, out);
}
