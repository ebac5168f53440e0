/* ctr sandboxes: run, list, remove */
#include "cmd/ctr/ctr.h"

#include "cmd/ctr/table.h"

#include "base/jsonr.h"
#include "base/log.h"
#include "os/file.h"

#include "containerd/services/sandbox/v1/sandbox.pb-c.h"
#include <fcntl.h>

#define SANDBOX(n) Containerd__Services__Sandbox__V1__##n
#define SANDBOX_INIT(n) CONTAINERD__SERVICES__SANDBOX__V1__##n##__INIT

typedef Containerd__Types__Sandbox sandbox;

enum { SPEC_MAX = 4 << 20 };

/* The controller of what was made without naming one. */
static const char *controller_of(const sandbox *s)
{
	return *s->sandboxer ? s->sandboxer : "shim";
}

static int shut_down(struct ctr *ctr, const sandbox *s, struct err *e)
{
	SANDBOX(ControllerShutdownRequest) req = SANDBOX_INIT(CONTROLLER_SHUTDOWN_REQUEST);
	SANDBOX(StoreDeleteRequest) del = SANDBOX_INIT(STORE_DELETE_REQUEST);

	req.sandbox_id = del.sandbox_id = s->sandbox_id;
	req.sandboxer = PB(controller_of(s));
	if (CTR_CALL(ctr, "sandbox.v1.Controller/Shutdown", &req,
		     sandbox__v1__controller_shutdown_response, NULL, e) < 0) {
		if (e->code != ERR_NOT_FOUND)
			return err_wrap(e, "failed to shutdown sandbox");
		err_clear(e);
	}
	if (CTR_CALL(ctr, "sandbox.v1.Store/Delete", &del, sandbox__v1__store_delete_response, NULL,
		     e) < 0)
		return err_wrap(e, "failed to delete sandbox from store");
	return 0;
}

static int start(struct ctr *ctr, sandbox *s, struct err *e)
{
	SANDBOX(ControllerCreateRequest) create = SANDBOX_INIT(CONTROLLER_CREATE_REQUEST);
	SANDBOX(ControllerStartRequest) req = SANDBOX_INIT(CONTROLLER_START_REQUEST);

	create.sandbox_id = req.sandbox_id = s->sandbox_id;
	create.sandboxer = req.sandboxer = s->sandboxer;
	create.sandbox = s;
	if (CTR_CALL(ctr, "sandbox.v1.Controller/Create", &create,
		     sandbox__v1__controller_create_response, NULL, e) < 0)
		return -1;
	return CTR_CALL(ctr, "sandbox.v1.Controller/Start", &req,
			sandbox__v1__controller_start_response, NULL, e);
}

static int read_spec(const char *path, Google__Protobuf__Any *ret, char **ret_text, struct err *e)
{
	json_object *o AUTO_JSON = NULL;
	size_t n;
	int r = file_read(AT_FDCWD, path, SPEC_MAX, ret_text, &n);

	if (r < 0)
		return err_sys(e, -r, "open %s", path);
	if (jsonr_parse(*ret_text, n, &o, e) < 0)
		return err_wrap(e, "%s", path);
	ret->type_url = PB("types.containerd.io/opencontainers/runtime-spec/1/Spec");
	ret->value = (ProtobufCBinaryData){ n, (uint8_t *)*ret_text };
	return 0;
}

static int sandboxes_run(struct ctr *ctr, const struct args *args, struct err *e)
{
	SANDBOX(StoreCreateRequest) req = SANDBOX_INIT(STORE_CREATE_REQUEST);
	Containerd__Types__Sandbox__Runtime runtime = CONTAINERD__TYPES__SANDBOX__RUNTIME__INIT;
	Google__Protobuf__Any spec = GOOGLE__PROTOBUF__ANY__INIT;
	sandbox s = CONTAINERD__TYPES__SANDBOX__INIT;
	AUTO_FREE char *text = NULL;

	if (args->n != 2)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "pod config and sandbox id must be provided");
	if (read_spec(args->v[0], &spec, &text, e) < 0)
		return -1;
	runtime.name = PB(args_string(args, "runtime"));
	s.sandbox_id = PB(args->v[1]);
	s.sandboxer = PB("shim");
	s.runtime = &runtime;
	s.spec = &spec;
	req.sandbox = &s;
	if (CTR_CALL(ctr, "sandbox.v1.Store/Create", &req, sandbox__v1__store_create_response, NULL,
		     e) < 0)
		return err_wrap(e, "failed to create new sandbox");
	if (start(ctr, &s, e) < 0) {
		struct err ignored = { 0 };

		(void)shut_down(ctr, &s, &ignored); /* what was made goes again */
		return err_wrap(e, "failed to start");
	}
	ctr_puts(ctr, s.sandbox_id);
	return 0;
}

static int sandboxes_list(struct ctr *ctr, const struct args *args, struct err *e)
{
	SANDBOX(StoreListRequest) req = SANDBOX_INIT(STORE_LIST_REQUEST);
	struct table t = TABLE_NARROW(ctr->arena);
	SANDBOX(StoreListResponse) * rsp;

	req.filters = (char **)(uintptr_t)args_list(args, "filters", &req.n_filters);
	if (CTR_CALL(ctr, "sandbox.v1.Store/List", &req, sandbox__v1__store_list_response, &rsp,
		     e) < 0)
		return err_wrap(e, "failed to list sandboxes");
	table_row(&t, "ID", "CREATED", "RUNTIME", "", NULL);
	for (size_t i = 0; i < rsp->n_list; i++) {
		const sandbox *s = rsp->list[i];

		table_row(&t, s->sandbox_id, time_go(ctr->arena, s->created_at),
			  s->runtime ? s->runtime->name : "", "", NULL);
	}
	table_print(&t, stdout);
	return 0;
}

static int remove_one(struct ctr *ctr, const char *id, bool force, struct err *e)
{
	SANDBOX(StoreGetRequest) get = SANDBOX_INIT(STORE_GET_REQUEST);
	SANDBOX(ControllerStopRequest) stop = SANDBOX_INIT(CONTROLLER_STOP_REQUEST);
	SANDBOX(StoreGetResponse) * rsp;

	get.sandbox_id = PB(id);
	if (CTR_CALL(ctr, "sandbox.v1.Store/Get", &get, sandbox__v1__store_get_response, &rsp, e) <
	    0)
		return err_wrap(e, "failed to load sandbox %s", id);
	if (!rsp->sandbox)
		return err_set(e, ERR_INTERNAL, "the daemon answered without a sandbox");
	stop.sandbox_id = PB(id);
	stop.sandboxer = PB(controller_of(rsp->sandbox));
	if (CTR_CALL(ctr, "sandbox.v1.Controller/Stop", &stop,
		     sandbox__v1__controller_stop_response, NULL, e) < 0) {
		if (!force)
			return err_wrap(e, "failed to stop sandbox %s", id);
		ctr_warn("failed to stop sandbox %s: %s", id, e->msg);
		err_clear(e);
	}
	if (shut_down(ctr, rsp->sandbox, e) < 0)
		return err_wrap(e, "failed to shutdown sandbox %s", id);
	log_info(LOG_NONE, "deleted: %s", id);
	return 0;
}

static int sandboxes_remove(struct ctr *ctr, const struct args *args, struct err *e)
{
	struct err first = { 0 };

	if (!args->n)
		return err_set(e, ERR_INVALID_ARGUMENT, "sandbox id must be provided");
	for (size_t i = 0; i < args->n; i++) {
		struct err one = { 0 };

		if (remove_one(ctr, args->v[i], args_bool(args, "force"), &one) == 0)
			continue;
		if (i + 1 < args->n)
			ctr_warn("%s", one.msg);
		if (!first.code)
			first = one;
	}
	return first.code ? err_copy(e, &first) : 0;
}

static const struct flag run_sandbox_flags[] = {
	{ "runtime", FLAG_STRING, NULL, "runtime name", "io.containerd.runc.v2" },
	{ NULL },
};

static const struct flag list_flags[] = {
	{ "filters", FLAG_LIST, NULL,
	  "the list of filters to apply when querying sandboxes from the store" },
	{ NULL },
};

static const struct flag remove_flags[] = {
	{ "force", FLAG_BOOL, "f", "ignore shutdown errors when removing sandbox" },
	{ NULL },
};

const struct command sandboxes_commands[] = {
	{ .name = "run",
	  .aliases = "create c r",
	  .usage = "run a new sandbox",
	  .args_usage = "[flags] <pod-config.json> <sandbox-id>",
	  .flags = { run_sandbox_flags },
	  .run = sandboxes_run },
	{ .name = "list",
	  .aliases = "ls",
	  .usage = "list sandboxes",
	  .flags = { list_flags },
	  .run = sandboxes_list },
	{ .name = "remove",
	  .aliases = "rm",
	  .usage = "remove sandboxes",
	  .args_usage = "<id> [<id>, ...]",
	  .flags = { remove_flags },
	  .run = sandboxes_remove },
	{ .name = NULL },
};
