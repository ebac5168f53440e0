/* ctr containers */
#include "cmd/ctr/checkpoint.h"
#include "cmd/ctr/container_state.h"

#include "cmd/ctr/json_print.h"
#include "cmd/ctr/list_json.h"
#include "cmd/ctr/table.h"

#include "base/log.h"

static void list_json(struct ctr *ctr, const CONTAINERS(ListContainersResponse) * rsp)
{
	struct str out AUTO_STR = STR_INIT(64 << 20);
	struct jsonw w;

	jsonw_init(&w, &out, 4);
	jsonw_array(&w);
	for (size_t i = 0; i < rsp->n_containers; i++) {
		jsonw_object(&w);
		container_put(ctr, &w, rsp->containers[i]);
		jsonw_end(&w);
	}
	jsonw_end(&w);
	puts(str_c(&out));
}

static int containers_list(struct ctr *ctr, const struct args *args, struct err *e)
{
	bool json;
	CONTAINERS(ListContainersRequest) req = CONTAINERS_INIT(LIST_CONTAINERS_REQUEST);
	CONTAINERS(ListContainersResponse) * rsp;
	struct table t = TABLE_WIDE(ctr->arena);

	if (list_wants_json(args, &json, e) < 0)
		return -1;
	req.filters = (char **)(uintptr_t)args->v;
	req.n_filters = args->n;
	if (CTR_CALL(ctr, "containers.v1.Containers/List", &req,
		     containers__v1__list_containers_response, &rsp, e) < 0)
		return -1;
	if (json && !args_bool(args, "quiet")) {
		list_json(ctr, rsp);
		return 0;
	}
	if (!args_bool(args, "quiet"))
		table_row(&t, "CONTAINER", "IMAGE", "RUNTIME", "", NULL);
	for (size_t i = 0; i < rsp->n_containers; i++) {
		const CONTAINERS(Container) *c = rsp->containers[i];

		if (args_bool(args, "quiet"))
			ctr_puts(ctr, c->id);
		else
			table_row(&t, c->id, *c->image ? c->image : "-",
				  c->runtime ? c->runtime->name : "", "", NULL);
	}
	table_print(&t, stdout);
	return 0;
}

static int containers_create(struct ctr *ctr, const struct args *args, struct err *e)
{
	CONTAINERS(Container) * c;

	return container_create(ctr, args, NULL, &c, NULL, e);
}

/* Only without a task, or with one that has ended: that one goes first. */
static int delete_one(struct ctr *ctr, const char *id, bool keep_snapshot, struct err *e)
{
	Containerd__V1__Types__Process *p;
	CONTAINERS(Container) * c;
	struct err none = { 0 };

	if (container_get(ctr, id, &c, e) < 0)
		return -1;
	if (task_get(ctr, id, "", &p, &none) < 0) {
		if (none.code != ERR_NOT_FOUND)
			return err_copy(e, &none);
		return container_delete(ctr, c, keep_snapshot, e);
	}
	if (p->status != CONTAINERD__V1__TYPES__STATUS__STOPPED &&
	    p->status != CONTAINERD__V1__TYPES__STATUS__CREATED)
		return err_set(
			e, ERR_UNKNOWN,
			"cannot delete a non stopped container: {%s %u 0001-01-01 00:00:00 +0000 "
			"UTC}",
			task_status_word(p->status), p->exit_status);
	if (task_delete(ctr, id, true, NULL, e) < 0)
		return -1;
	return container_delete(ctr, c, keep_snapshot, e);
}

static int containers_delete(struct ctr *ctr, const struct args *args, struct err *e)
{
	struct err first = { 0 };
	char text[1100];

	if (!args->n)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "must specify at least one container to delete");
	for (size_t i = 0; i < args->n; i++) {
		struct err one = { 0 };

		if (delete_one(ctr, args->v[i], args_bool(args, "keep-snapshot"), &one) == 0)
			continue;
		log_error(LOG({ "error", err_text(&one, text, sizeof text) }),
			  "failed to delete container \"%s\"", args->v[i]);
		if (!first.code)
			first = one;
	}
	return first.code ? err_copy(e, &first) : 0;
}

static int containers_label(struct ctr *ctr, const struct args *args, struct err *e)
{
	CONTAINERS(UpdateContainerRequest) req = CONTAINERS_INIT(UPDATE_CONTAINER_REQUEST);
	Google__Protobuf__FieldMask mask = GOOGLE__PROTOBUF__FIELD_MASK__INIT;
	CONTAINERS(Container) c = CONTAINERS_INIT(CONTAINER);
	CONTAINERS(UpdateContainerResponse) * rsp;
	struct labels l = { 0 };

	if (!*args_at(args, 0))
		return err_set(e, ERR_INVALID_ARGUMENT, "container id must be provided");
	labels_parse(ctr->arena, args->v + 1, args->n - 1, &l);
	c.id = PB(args->v[0]);
	c.n_labels = l.n;
	c.labels = (void *)labels_to_pb(
		ctr->arena, &l,
		&containerd__services__containers__v1__container__labels_entry__descriptor);
	mask.paths = labels_mask(ctr->arena, &l);
	mask.n_paths = l.n;
	req.container = &c;
	req.update_mask = &mask;
	if (CTR_CALL(ctr, "containers.v1.Containers/Update", &req,
		     containers__v1__update_container_response, &rsp, e) < 0)
		return -1;
	if (rsp->container) {
		labels_from_pb(ctr->arena, rsp->container->labels, rsp->container->n_labels, &l);
		ctr_puts(ctr, labels_text(ctr->arena, &l));
	}
	return 0;
}

static void put_any(struct jsonw *w, const char *key, const Google__Protobuf__Any *any)
{
	struct str b64 AUTO_STR = STR_INIT(16 << 20);

	jsonw_key(w, key);
	jsonw_object(w);
	if (*any->type_url)
		jsonw_kstring(w, "type_url", any->type_url);
	if (any->value.len) {
		str_add_base64(&b64, any->value.data, any->value.len);
		jsonw_kstring(w, "value", str_c(&b64));
	}
	jsonw_end(w);
}

void container_put(struct ctr *ctr, struct jsonw *w, const CONTAINERS(Container) * c)
{
	struct labels l;

	jsonw_kstring(w, "ID", c->id);
	labels_from_pb(ctr->arena, c->labels, c->n_labels, &l);
	jsonw_key(w, "Labels");
	json_labels(w, &l);
	jsonw_kstring(w, "Image", c->image);
	jsonw_key(w, "Runtime");
	jsonw_object(w);
	jsonw_kstring(w, "Name", c->runtime ? c->runtime->name : "");
	if (c->runtime && c->runtime->options) {
		put_any(w, "Options", c->runtime->options);
	} else {
		jsonw_key(w, "Options");
		jsonw_raw(w, "null");
	}
	jsonw_end(w);
	jsonw_kstring(w, "SnapshotKey", c->snapshot_key);
	jsonw_kstring(w, "Snapshotter", c->snapshotter);
	jsonw_kstring(w, "CreatedAt", time_rfc3339(ctr->arena, c->created_at));
	jsonw_kstring(w, "UpdatedAt", time_rfc3339(ctr->arena, c->updated_at));
	jsonw_key(w, "Extensions");
	if (!c->n_extensions)
		jsonw_raw(w, "null");
	else
		jsonw_object(w);
	for (size_t i = 0; i < c->n_extensions; i++)
		put_any(w, c->extensions[i]->key, c->extensions[i]->value);
	if (c->n_extensions)
		jsonw_end(w);
	if (*c->sandbox)
		jsonw_kstring(w, "SandboxID", c->sandbox);
}

static int containers_info(struct ctr *ctr, const struct args *args, struct err *e)
{
	struct str out AUTO_STR = STR_INIT(32 << 20);
	json_object *spec AUTO_JSON = NULL;
	CONTAINERS(Container) * c;
	struct jsonw w;

	if (!*args_at(args, 0))
		return err_set(e, ERR_INVALID_ARGUMENT, "container id must be provided");
	if (container_get(ctr, args->v[0], &c, e) < 0)
		return -1;
	if (c->spec &&
	    jsonr_parse((const char *)c->spec->value.data, c->spec->value.len, &spec, e) < 0)
		return err_wrap(e, "the spec of container %s", c->id);
	jsonw_init(&w, &out, 4);
	if (args_bool(args, "spec")) {
		json_value(&w, spec);
	} else {
		jsonw_object(&w);
		container_put(ctr, &w, c);
		jsonw_key(&w, "Spec");
		json_value(&w, spec);
		jsonw_end(&w);
	}
	puts(str_c(&out));
	return 0;
}

static const struct flag delete_flags[] = {
	{ "keep-snapshot", FLAG_BOOL, NULL, "do not clean up snapshot with container" },
	{ NULL },
};

static const struct flag info_flags[] = {
	{ "spec", FLAG_BOOL, NULL, "only display the spec" },
	{ NULL },
};

const struct command containers_commands[] = {
	{ .name = "create",
	  .usage = "create container",
	  .args_usage = "[flags] Image|RootFS CONTAINER [COMMAND] [ARG...]",
	  .flags = { platform_flags, snapshotter_flags, container_flags, network_flags },
	  .run = containers_create },
	{ .name = "delete",
	  .aliases = "del remove rm",
	  .usage = "delete one or more existing containers",
	  .args_usage = "[flags] CONTAINER [CONTAINER, ...]",
	  .flags = { delete_flags },
	  .run = containers_delete },
	{ .name = "info",
	  .usage = "get info about a container",
	  .args_usage = "CONTAINER",
	  .flags = { info_flags },
	  .run = containers_info },
	{ .name = "list",
	  .aliases = "ls",
	  .usage = "list containers",
	  .args_usage = "[flags] [<filter>, ...]",
	  .flags = { quiet_flags, list_format_flags },
	  .run = containers_list },
	{ .name = "label",
	  .usage = "set and clear labels for a container",
	  .args_usage = "[flags] CONTAINER [<key>=<value>, ...]",
	  .description = "set and clear labels for a container",
	  .run = containers_label },
	{ .name = "checkpoint",
	  .usage = "checkpoint a container",
	  .args_usage = "CONTAINER REF",
	  .flags = { containers_checkpoint_flags },
	  .run = containers_checkpoint },
	{ .name = "restore",
	  .usage = "restore a container from checkpoint",
	  .args_usage = "CONTAINER REF",
	  .flags = { containers_restore_flags },
	  .run = containers_restore },
	{ .name = NULL },
};
