/* ctr tasks exec */
#include "cmd/ctr/task.h"
#include "cmd/ctr/trace_file.h"

#include "base/jsonr.h"

#define PROCESS_TYPE "types.containerd.io/opencontainers/runtime-spec/1/Process"

const struct flag exec_flags[] = {
	TRACE_FLAG,
	{ "cwd", FLAG_STRING, NULL, "working directory of the new process" },
	{ "tty", FLAG_BOOL, "t", "allocate a TTY for the container" },
	{ "detach", FLAG_BOOL, "d", "detach from the task after it has started execution" },
	{ "exec-id", FLAG_STRING, NULL, "exec specific id for the process" },
	{ "fifo-dir", FLAG_STRING, NULL, "directory used for storing IO FIFOs" },
	{ "log-uri", FLAG_STRING, NULL, "log uri for custom shim logging" },
	{ "user", FLAG_STRING, NULL, "user id or name" },
	{ NULL },
};

static void set_user(json_object *process, const struct oci_user *u)
{
	json_object *user = json_object_new_object(), *gids = json_object_new_array();

	json_object_object_add(user, "uid", json_object_new_int64(u->uid));
	json_object_object_add(user, "gid", json_object_new_int64(u->gid));
	for (size_t i = 0; i < u->n_additional_gids; i++)
		json_object_array_add(gids, json_object_new_int64(u->additional_gids[i]));
	json_object_object_add(user, "additionalGids", gids);
	json_object_object_add(process, "user", user);
}

/* The user by the rootfs that the container's snapshot makes. */
static int find_user(struct ctr *ctr, const CONTAINERS(Container) * c, json_object *spec,
		     const char *user, struct oci_user *ret, struct err *e)
{
	SNAPSHOTS(MountsResponse) *root = NULL;
	json_object *o = NULL;
	const char *path = "/";

	if (*c->snapshot_key && container_mounts(ctr, c, &root, e) < 0)
		return -1;
	if (!root &&
	    (jsonr_object(spec, "root", &o, e) < 0 || (o && jsonr_string(o, "path", &path, e) < 0)))
		return -1;
	return rootfs_user(ctr, root ? root->mounts : NULL, root ? root->n_mounts : 0, path, user,
			   ret, e);
}

/* The container's own process with what args change. */
static int build_process(struct ctr *ctr, const CONTAINERS(Container) * c, const struct args *args,
			 const char **ret, struct err *e)
{
	json_object *spec AUTO_JSON = NULL, *p = NULL, *words;
	const char *user = args_string(args, "user"), *cwd = args_string(args, "cwd");
	struct oci_user u = { 0 };

	if (!c->spec)
		return err_set(e, ERR_FAILED_PRECONDITION, "container %s has no spec", c->id);
	if (jsonr_parse((const char *)c->spec->value.data, c->spec->value.len, &spec, e) < 0 ||
	    jsonr_object(spec, "process", &p, e) < 0)
		return err_wrap(e, "the spec of container %s", c->id);
	if (!p)
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "the spec of container %s has no process", c->id);
	if (*user) {
		if (find_user(ctr, c, spec, user, &u, e) < 0)
			return -1;
		set_user(p, &u);
	}
	words = json_object_new_array();
	for (size_t i = 1; i < args->n; i++)
		json_object_array_add(words, json_object_new_string(args->v[i]));
	json_object_object_add(p, "args", words);
	json_object_object_add(p, "terminal", json_object_new_boolean(args_bool(args, "tty")));
	if (*cwd)
		json_object_object_add(p, "cwd", json_object_new_string(cwd));
	*ret = arena_strdup(ctr->arena,
			    json_object_to_json_string_ext(
				    p, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	return 0;
}

static int create_exec(const struct task_io *io, const char *process, struct err *e)
{
	TASKS(ExecProcessRequest) req = TASKS_INIT(EXEC_PROCESS_REQUEST);
	Google__Protobuf__Any spec = GOOGLE__PROTOBUF__ANY__INIT;

	spec.type_url = PB(PROCESS_TYPE);
	spec.value = (ProtobufCBinaryData){ strlen(process), (uint8_t *)PB(process) };
	req.container_id = PB(io->id);
	req.exec_id = PB(io->exec_id);
	req.stdin = PB(io->in);
	req.stdout = PB(io->out);
	req.stderr = PB(io->err);
	req.terminal = io->terminal;
	req.spec = &spec;
	return CTR_CALL_EMPTY(io->ctr, "tasks.v1.Tasks/Exec", &req, e);
}

static int delete_exec(const struct task_io *io, struct err *e)
{
	TASKS(DeleteProcessRequest) req = TASKS_INIT(DELETE_PROCESS_REQUEST);

	req.container_id = PB(io->id);
	req.exec_id = PB(io->exec_id);
	return CTR_CALL(io->ctr, "tasks.v1.Tasks/DeleteProcess", &req, tasks__v1__delete_response,
			NULL, e);
}

static int carry(struct task_io *io, bool detach, struct err *e)
{
	struct grpc_stream *wait AUTO_GRPC_STREAM = NULL;
	TASKS(StartRequest) req = TASKS_INIT(START_REQUEST);

	if (!detach && task_wait_open(io, &wait, e) < 0)
		return -1;
	req.container_id = PB(io->id);
	req.exec_id = PB(io->exec_id);
	if (CTR_CALL(io->ctr, "tasks.v1.Tasks/Start", &req, tasks__v1__start_response, NULL, e) < 0)
		return -1;
	terminal_resize(io);
	return detach ? 0 : task_follow(io, wait, e);
}

static int make_io(struct ctr *ctr, const struct args *args, const char *id, struct task_io *ret,
		   struct err *e)
{
	const char *log_uri = args_string(args, "log-uri"), *exec_id = args_string(args, "exec-id");

	if (*log_uri) {
		task_io_null(ctr, id, log_uri, ret);
		ret->exec_id = exec_id;
		return 0;
	}
	return task_io_create(ctr, args_string(args, "fifo-dir"), id, exec_id,
			      args_bool(args, "tty"), ret, e);
}

static int run_exec(struct task_io *io, const char *process, bool detach, struct err *e)
{
	struct err undo = { 0 };
	int r;

	if (!detach && terminal_begin(io, e) < 0)
		return -1;
	if (task_io_open(io, e) < 0 || create_exec(io, process, e) < 0) {
		terminal_end();
		return -1;
	}
	r = carry(io, detach, e);
	terminal_end();
	if (r == 0)
		return detach ? 0 : delete_exec(io, e);
	if (e->code != ERR_CANCELLED)
		(void)delete_exec(io, &undo); /* e says what went wrong */
	return r;
}

static int execute(struct ctr *ctr, const struct args *args, struct err *e)
{
	bool detach = args_bool(args, "detach");
	Containerd__V1__Types__Process *p;
	CONTAINERS(Container) * c;
	const char *process;
	struct task_io io;
	int r;

	if (!args_is_set(args, "exec-id"))
		return err_set(e, ERR_UNKNOWN, "Required flag \"exec-id\" not set");
	if (!*args_at(args, 0))
		return err_set(e, ERR_UNKNOWN, "container id must be provided");
	if (!*args_at(args, 1))
		return err_set(e, ERR_UNKNOWN, "command to run must be provided");
	if (container_get(ctr, args->v[0], &c, e) < 0 || task_get(ctr, c->id, "", &p, e) < 0 ||
	    build_process(ctr, c, args, &process, e) < 0 || make_io(ctr, args, c->id, &io, e) < 0)
		return -1;
	r = run_exec(&io, process, detach, e);
	if (!detach || r < 0)
		task_io_remove(&io);
	else
		task_io_close(&io);
	if (r < 0 && e->code == ERR_CANCELLED) {
		err_clear(e);
		return 0;
	}
	return r;
}

int tasks_exec(struct ctr *ctr, const struct args *args, struct err *e)
{
	return traced(ctr, args, "ctr tasks exec", execute, e);
}
