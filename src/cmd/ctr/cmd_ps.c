/* ctr ps: containers and what has become of them, at a glance. */
#include "cmd/ctr/container_state.h"

#include "base/jsonr.h"
#include "cmd/ctr/list_json.h"
#include "cmd/ctr/network.h"
#include "cmd/ctr/table.h"

#include <inttypes.h>
#include <unistd.h>

enum { COMMAND_WIDTH = 24, HEX_ID = 64, SHORT_ID = 12 };

struct entry_of {
	const CONTAINERS(Container) * c;
	const Containerd__V1__Types__Process *task; /* or NULL */
	struct past past;
	const char *command, *name, *ports;
};

static const char *command_of(struct arena *a, const CONTAINERS(Container) * c)
{
	struct str s AUTO_STR = STR_INIT(64 << 10);
	json_object *o AUTO_JSON = NULL, *p = NULL, *words = NULL;
	struct err bad = { 0 };

	if (!c->spec ||
	    jsonr_parse((const char *)c->spec->value.data, c->spec->value.len, &o, &bad) < 0 ||
	    jsonr_object(o, "process", &p, &bad) < 0 || !p ||
	    jsonr_array(p, "args", &words, &bad) < 0 || !words)
		return "";
	for (size_t i = 0; i < json_object_array_length(words); i++)
		str_addf(&s, "%s%s", i ? " " : "",
			 json_object_get_string(json_object_array_get_idx(words, i)));
	return arena_strdup(a, str_c(&s));
}

/* The label that clients which publish ports write:
 * [{"HostPort":80,"ContainerPort":8080,"Protocol":"tcp","HostIP":"0.0.0.0"}] */
static const char *ports_of(struct arena *a, const char *label)
{
	struct str s AUTO_STR = STR_INIT(16 << 10);
	json_object *o AUTO_JSON = NULL;
	struct err bad = { 0 };

	if (!label || jsonr_parse(label, strlen(label), &o, &bad) < 0 ||
	    !json_object_is_type(o, json_type_array))
		return "";
	for (size_t i = 0; i < json_object_array_length(o); i++) {
		json_object *p = json_object_array_get_idx(o, i);
		const char *ip = "", *protocol = "tcp";
		int64_t host = 0, inside = 0;

		if (!json_object_is_type(p, json_type_object) ||
		    jsonr_string(p, "HostIP", &ip, &bad) < 0 ||
		    jsonr_string(p, "Protocol", &protocol, &bad) < 0 ||
		    jsonr_i64(p, "HostPort", &host, &bad) < 0 ||
		    jsonr_i64(p, "ContainerPort", &inside, &bad) < 0)
			return "";
		str_addf(&s, "%s%s:%" PRId64 "->%" PRId64 "/%s", i ? ", " : "", ip, host, inside,
			 protocol);
	}
	return arena_strdup(a, str_c(&s));
}

static const char *seconds_text(struct arena *a, int64_t seconds)
{
	Google__Protobuf__Timestamp t = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	t.seconds = now.tv_sec - seconds;
	return age_text(a, &t);
}

static bool is_up(const struct entry_of *x)
{
	return x->task && x->task->status != CONTAINERD__V1__TYPES__STATUS__STOPPED &&
	       x->task->status != CONTAINERD__V1__TYPES__STATUS__CREATED;
}

static const char *status_text(struct arena *a, const struct entry_of *x)
{
	int64_t age;

	if (is_up(x)) {
		age = process_age(x->task->pid);
		return arena_printf(a, "Up %s%s", age < 0 ? "" : seconds_text(a, age),
				    x->task->status == CONTAINERD__V1__TYPES__STATUS__RUNNING
					    ? ""
					    : " (paused)");
	}
	if (x->past.has_exit)
		return arena_printf(a, "Exited (%u%s) %s ago", x->past.status,
				    x->past.is_oom ? ", out of memory" : "",
				    age_of(a, x->past.exited_at));
	return x->past.error ? "Failed" : "Created";
}

static bool is_hex(const char *id)
{
	return strlen(id) == HEX_ID && strspn(id, "0123456789abcdef") == HEX_ID;
}

static void add_row(struct ctr *ctr, struct table *t, const struct entry_of *x, bool whole)
{
	struct arena *a = ctr->arena;
	const char *id = x->c->id, *command = x->command;
	const char *status = status_text(a, x);

	if (!whole && is_hex(id))
		id = arena_printf(a, "%.*s", SHORT_ID, id);
	if (!whole && strlen(command) > COMMAND_WIDTH)
		command = arena_printf(a, "%.*s...", COMMAND_WIDTH - 3, command);
	table_row(t, id, *x->c->image ? x->c->image : "-", command,
		  arena_printf(a, "%s ago", age_text(a, x->c->created_at)), status, x->ports,
		  x->name, "", NULL);
}

static void put_row(struct ctr *ctr, struct jsonw *w, const struct entry_of *x)
{
	jsonw_object(w);
	jsonw_kstring(w, "ID", x->c->id);
	jsonw_kstring(w, "Name", x->name);
	jsonw_kstring(w, "Image", x->c->image);
	jsonw_kstring(w, "Command", x->command);
	jsonw_kstring(w, "CreatedAt", time_rfc3339(ctr->arena, x->c->created_at));
	jsonw_kstring(w, "Status", status_text(ctr->arena, x));
	jsonw_kstring(w, "Ports", x->ports);
	task_put(ctr, w, x->task);
	jsonw_end(w);
}

static const Containerd__V1__Types__Process *find_task(const TASKS(ListTasksResponse) * l,
						       const char *id)
{
	for (size_t i = 0; i < l->n_tasks; i++)
		if (!strcmp(l->tasks[i]->id, id))
			return l->tasks[i];
	return NULL;
}

static void load(struct ctr *ctr, const struct kept *kept, const CONTAINERS(Container) * c,
		 const TASKS(ListTasksResponse) * tasks, struct entry_of *ret)
{
	struct labels l;

	labels_from_pb(ctr->arena, c->labels, c->n_labels, &l);
	*ret = (struct entry_of){ .c = c, .task = find_task(tasks, c->id) };
	past_read(ctr, kept->history, c->id, ret->task, &ret->past);
	ret->command = command_of(ctr->arena, c);
	ret->name = labels_get(&l, "nerdctl/name");
	if (!ret->name)
		ret->name = c->id;
	ret->ports = network_ports(ctr, c);
	if (!*ret->ports)
		ret->ports = ports_of(ctr->arena, labels_get(&l, "nerdctl/ports"));
}

static int ask(struct ctr *ctr, const struct args *args, CONTAINERS(ListContainersResponse) * *ret,
	       TASKS(ListTasksResponse) * *ret_tasks, struct err *e)
{
	CONTAINERS(ListContainersRequest) req = CONTAINERS_INIT(LIST_CONTAINERS_REQUEST);
	TASKS(ListTasksRequest) tasks = TASKS_INIT(LIST_TASKS_REQUEST);

	req.filters = (char **)(uintptr_t)args->v;
	req.n_filters = args->n;
	if (CTR_CALL(ctr, "containers.v1.Containers/List", &req,
		     containers__v1__list_containers_response, ret, e) < 0)
		return -1;
	return CTR_CALL(ctr, "tasks.v1.Tasks/List", &tasks, tasks__v1__list_tasks_response,
			ret_tasks, e);
}

int ps_run(struct ctr *ctr, const struct args *args, struct err *e)
{
	bool all = args_bool(args, "all"), quiet = args_bool(args, "quiet"), json;
	struct table t = TABLE_WIDE(ctr->arena);
	struct str out AUTO_STR = STR_INIT(64 << 20);
	CONTAINERS(ListContainersResponse) * rsp;
	TASKS(ListTasksResponse) * tasks;
	struct kept kept;
	struct jsonw w;

	if (list_wants_json(args, &json, e) < 0 || kept_find(ctr, &kept, e) < 0 ||
	    ask(ctr, args, &rsp, &tasks, e) < 0)
		return -1;
	jsonw_init(&w, &out, 4);
	jsonw_array(&w);
	table_row(&t, "CONTAINER", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAME", "",
		  NULL);
	for (size_t i = 0; i < rsp->n_containers; i++) {
		struct entry_of x;

		load(ctr, &kept, rsp->containers[i], tasks, &x);
		if (!all && !is_up(&x))
			continue;
		if (quiet)
			ctr_puts(ctr, x.c->id);
		else if (json)
			put_row(ctr, &w, &x);
		else
			add_row(ctr, &t, &x, args_bool(args, "no-trunc"));
	}
	jsonw_end(&w);
	if (!quiet && json)
		puts(str_c(&out));
	else if (!quiet)
		table_print(&t, stdout);
	return 0;
}

const struct flag ps_flags[] = {
	{ "all", FLAG_BOOL, "a", "also those that do not run" },
	{ "quiet", FLAG_BOOL, "q", "print only the container id" },
	{ "no-trunc", FLAG_BOOL, NULL, "ids and commands in full" },
	{ NULL },
};
