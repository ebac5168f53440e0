/* ctr tasks metrics */
#include "cmd/ctr/task.h"

#include "cmd/ctr/json_print.h"
#include "cmd/ctr/table.h"

#include <inttypes.h>

static const char *number(struct arena *a, uint64_t v)
{
	return arena_printf(a, "%" PRIu64, v);
}

static void row(struct table *t, const char *name, const char *value)
{
	table_row(t, name, value, "", NULL);
}

static void show_v1(struct arena *a, struct table *t, const Io__Containerd__Cgroups__V1__Metrics *m)
{
	struct str per AUTO_STR = STR_INIT(64 << 10);

	if (m->memory) {
		if (m->memory->usage) {
			row(t, "memory.usage_in_bytes", number(a, m->memory->usage->usage));
			row(t, "memory.limit_in_bytes", number(a, m->memory->usage->limit));
		}
		row(t, "memory.stat.cache", number(a, m->memory->total_cache));
	}
	if (m->cpu && m->cpu->usage) {
		row(t, "cpuacct.usage", number(a, m->cpu->usage->total));
		str_addc(&per, '[');
		for (size_t i = 0; i < m->cpu->usage->n_per_cpu; i++)
			str_addf(&per, "%s%" PRIu64, i ? " " : "", m->cpu->usage->per_cpu[i]);
		str_addc(&per, ']');
		row(t, "cpuacct.usage_percpu", str_c(&per));
	}
	if (m->pids) {
		row(t, "pids.current", number(a, m->pids->current));
		row(t, "pids.limit", number(a, m->pids->limit));
	}
}

static void show_v2(struct arena *a, struct table *t, const Io__Containerd__Cgroups__V2__Metrics *m)
{
	if (m->pids) {
		row(t, "pids.current", number(a, m->pids->current));
		row(t, "pids.limit", number(a, m->pids->limit));
	}
	if (m->cpu) {
		row(t, "cpu.usage_usec", number(a, m->cpu->usage_usec));
		row(t, "cpu.user_usec", number(a, m->cpu->user_usec));
		row(t, "cpu.system_usec", number(a, m->cpu->system_usec));
		row(t, "cpu.nr_periods", number(a, m->cpu->nr_periods));
		row(t, "cpu.nr_throttled", number(a, m->cpu->nr_throttled));
		row(t, "cpu.throttled_usec", number(a, m->cpu->throttled_usec));
	}
	if (m->memory) {
		row(t, "memory.usage", number(a, m->memory->usage));
		row(t, "memory.usage_limit", number(a, m->memory->usage_limit));
		row(t, "memory.swap_usage", number(a, m->memory->swap_usage));
		row(t, "memory.swap_limit", number(a, m->memory->swap_limit));
	}
}

static int show(struct ctr *ctr, const Containerd__Types__Metric *m, const char *format,
		struct err *e)
{
	const ProtobufCMessageDescriptor *type = &io__containerd__cgroups__v1__metrics__descriptor;
	struct table head = TABLE_WIDE(ctr->arena), t = TABLE_WIDE(ctr->arena);
	struct str json AUTO_STR = STR_INIT(1 << 20);
	ProtobufCMessage *data;
	struct jsonw w;

	if (strstr(m->data->type_url, ".v2."))
		type = &io__containerd__cgroups__v2__metrics__descriptor;
	data = protobuf_c_message_unpack(type, NULL, m->data->value.len, m->data->value.data);
	if (!data)
		return err_set(e, ERR_UNKNOWN, "cannot convert metric data to %s: it is %s",
			       type->name, m->data->type_url);
	if (!strcmp(format, "json")) {
		jsonw_init(&w, &json, 0);
		json_message(&w, data);
		puts(str_c(&json));
	} else {
		table_row(&head, "ID", "TIMESTAMP", "", NULL);
		table_row(&head, m->id, time_go(ctr->arena, m->timestamp), "", NULL);
		table_print(&head, stdout);
		putchar('\n');
		row(&t, "METRIC", "VALUE");
		if (type == &io__containerd__cgroups__v1__metrics__descriptor)
			show_v1(ctr->arena, &t, (void *)data);
		else
			show_v2(ctr->arena, &t, (void *)data);
		table_print(&t, stdout);
	}
	protobuf_c_message_free_unpacked(data, NULL);
	return 0;
}

int tasks_metrics(struct ctr *ctr, const struct args *args, struct err *e)
{
	TASKS(MetricsRequest) req = TASKS_INIT(METRICS_REQUEST);
	const char *format = args_string(args, "format");
	TASKS(MetricsResponse) * rsp;
	CONTAINERS(Container) * c;
	char *filter;

	if (strcmp(format, "table") != 0 && strcmp(format, "json") != 0)
		return err_set(e, ERR_UNKNOWN, "format must be table or json");
	if (!*args_at(args, 0))
		return err_set(e, ERR_UNKNOWN, "container id must be provided");
	if (container_get(ctr, args->v[0], &c, e) < 0)
		return -1;
	filter = arena_printf(ctr->arena, "id==%s", c->id);
	req.filters = &filter;
	req.n_filters = 1;
	if (CTR_CALL(ctr, "tasks.v1.Tasks/Metrics", &req, tasks__v1__metrics_response, &rsp, e) < 0)
		return -1;
	if (!rsp->n_metrics || !rsp->metrics[0]->data)
		return err_set(e, ERR_UNKNOWN, "no metrics received");
	return show(ctr, rsp->metrics[0], format, e);
}
