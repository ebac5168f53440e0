/* ctr shim: a shim asked directly, for when the daemon is not there or not believed. */
#include "cmd/ctr/shim_client.h"
#include "cmd/ctr/task.h"

#include "base/jsonr.h"
#include "cmd/ctr/json_print.h"
#include "os/fd.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#define V3(n) Containerd__Task__V3__##n
#define V3_INIT(n) CONTAINERD__TASK__V3__##n##__INIT
#define PROCESS_TYPE "types.containerd.io/opencontainers/runtime-spec/1/Process"

enum { SPEC_MAX = 4 << 20, BUFFER = 32 << 10, NEWEST = 3 };

static void shim_closep(struct shim_client **s)
{
	shim_client_close(*s);
}

static int connect_to(struct ctr *ctr, const struct args *args, struct shim_client **ret,
		      struct err *e)
{
	return shim_client_open(ctr, args_string(args->group, "id"),
				args_string(args->group, "shim-address"), ret, e);
}

static int shim_start(struct ctr *ctr, const struct args *args, struct err *e)
{
	struct shim_client *s CLEANUP(shim_closep) = NULL;
	V3(StartRequest) req = V3_INIT(START_REQUEST);

	req.id = PB(args_at(args, 0));
	if (connect_to(ctr, args, &s, e) < 0)
		return -1;
	return shim_client_call(s, NEWEST, "Start", &req, NULL, NULL, e);
}

static int shim_delete(struct ctr *ctr, const struct args *args, struct err *e)
{
	struct shim_client *s CLEANUP(shim_closep) = NULL;
	V3(DeleteRequest) req = V3_INIT(DELETE_REQUEST);
	V3(DeleteResponse) *rsp = NULL;

	req.id = PB(args_at(args, 0));
	if (!*req.id)
		req.id = PB(args_string(args->group, "id"));
	if (connect_to(ctr, args, &s, e) < 0 ||
	    shim_client_call(s, NEWEST, "Delete", &req,
			     &containerd__task__v3__delete_response__descriptor, &rsp, e) < 0)
		return -1;
	printf("container deleted and returned exit status %u\n", rsp->exit_status);
	containerd__task__v3__delete_response__free_unpacked(rsp, NULL);
	return 0;
}

static int take_version(const struct args *args, int *ret, struct err *e)
{
	int64_t version = args_int(args, "api-version");

	if (version != 2 && version != NEWEST)
		return err_set(e, ERR_UNKNOWN, "unsupported shim API version %d", (int)version);
	*ret = (int)version;
	return 0;
}

static int shim_shutdown(struct ctr *ctr, const struct args *args, struct err *e)
{
	struct shim_client *s CLEANUP(shim_closep) = NULL;
	V3(ShutdownRequest) req = V3_INIT(SHUTDOWN_REQUEST);
	int version;

	req.id = PB(args_string(args->group, "id"));
	if (take_version(args, &version, e) < 0 || connect_to(ctr, args, &s, e) < 0)
		return -1;
	return shim_client_call(s, version, "Shutdown", &req, NULL, NULL, e);
}

static int shim_state(struct ctr *ctr, const struct args *args, struct err *e)
{
	struct shim_client *s CLEANUP(shim_closep) = NULL;
	struct str out AUTO_STR = STR_INIT(1 << 20);
	V3(StateRequest) req = V3_INIT(STATE_REQUEST);
	V3(StateResponse) *rsp = NULL;
	struct jsonw w;
	int version;

	if (take_version(args, &version, e) < 0)
		return -1;
	req.id = PB(args_string(args, "task-id"));
	if (!*req.id)
		req.id = PB(args_string(args->group, "id"));
	if (connect_to(ctr, args, &s, e) < 0 ||
	    shim_client_call(s, version, "State", &req,
			     &containerd__task__v3__state_response__descriptor, &rsp, e) < 0)
		return -1;
	jsonw_init(&w, &out, 4);
	json_message(&w, &rsp->base);
	puts(str_c(&out));
	containerd__task__v3__state_response__free_unpacked(rsp, NULL);
	return 0;
}

/* The process of --spec with what the options add. */
static int read_process(struct ctr *ctr, const struct args *args, const char **ret, struct err *e)
{
	const char *path = args_string(args, "spec"), *cwd = args_string(args, "cwd");
	json_object *o AUTO_JSON = NULL, *env = NULL;
	char *text AUTO_FREE = NULL;
	const char *const *words;
	size_t n;
	int r = file_read(AT_FDCWD, path, SPEC_MAX, &text, &n);

	if (r < 0)
		return err_sys(e, -r, "open %s", path);
	if (jsonr_parse(text, n, &o, e) < 0 || jsonr_array(o, "env", &env, e) < 0)
		return err_wrap(e, "process of %s", path);
	words = args_list(args, "env", &n);
	if (n && !env) {
		env = json_object_new_array();
		json_object_object_add(o, "env", env);
	}
	for (size_t i = 0; i < n; i++)
		json_object_array_add(env, json_object_new_string(words[i]));
	if (*cwd)
		json_object_object_add(o, "cwd", json_object_new_string(cwd));
	*ret = arena_strdup(ctr->arena,
			    json_object_to_json_string_ext(
				    o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	return 0;
}

static int open_fifo(const char *path, int flags, int *ret, struct err *e)
{
	if (!*path)
		return 0;
	*ret = open(path, flags | O_NONBLOCK | O_CLOEXEC);
	return *ret < 0 ? err_sys(e, errno, "open %s", path) : 0;
}

/* From one to the other, as much as there is; at the end *from is closed. */
static void copy(int *from, int to)
{
	char buf[BUFFER];
	ssize_t n = read(*from, buf, sizeof buf);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0 && fd_write_all(to, buf, (size_t)n) == 0)
		return;
	close_fd(from);
	*from = -1;
}

/* Our streams and the process' fifos, until its output ends. */
static int attach(const char *in, int out, int err, struct err *e)
{
	int to AUTO_FD = -1, from = STDIN_FILENO;

	if (*in) {
		to = open(in, O_WRONLY | O_CLOEXEC); /* the shim has it open */
		if (to < 0)
			return err_sys(e, errno, "open %s", in);
	}
	while (out >= 0 || err >= 0) {
		struct pollfd p[] = { { out, POLLIN, 0 },
				      { err, POLLIN, 0 },
				      { to >= 0 ? from : -1, POLLIN, 0 } };

		if (poll(p, ARRAY_LEN(p), -1) < 0 && errno != EINTR) {
			close_fd(&out);
			close_fd(&err);
			return err_sys(e, errno, "poll");
		}
		if (p[0].revents)
			copy(&out, STDOUT_FILENO);
		if (p[1].revents)
			copy(&err, STDERR_FILENO);
		if (p[2].revents)
			copy(&from, to);
		if (from < 0 && to >= 0) {
			close_fd(&to);
			to = -1;
		}
	}
	return 0;
}

static int exec_and_start(struct shim_client *s, V3(ExecProcessRequest) * q, struct err *e)
{
	V3(StartRequest) start = V3_INIT(START_REQUEST);
	V3(StartResponse) *rsp = NULL;

	if (shim_client_call(s, NEWEST, "Exec", q, NULL, NULL, e) < 0)
		return -1;
	start.id = q->id;
	start.exec_id = q->exec_id;
	if (shim_client_call(s, NEWEST, "Start", &start,
			     &containerd__task__v3__start_response__descriptor, &rsp, e) < 0)
		return -1;
	printf("exec running with pid %u\n", rsp->pid);
	fflush(stdout);
	containerd__task__v3__start_response__free_unpacked(rsp, NULL);
	return 0;
}

static int shim_exec(struct ctr *ctr, const struct args *args, struct err *e)
{
	struct shim_client *s CLEANUP(shim_closep) = NULL;
	V3(ExecProcessRequest) q = V3_INIT(EXEC_PROCESS_REQUEST);
	Google__Protobuf__Any spec = GOOGLE__PROTOBUF__ANY__INIT;
	int out = -1, err = -1;
	const char *process;

	if (!*args_at(args, 0))
		return err_set(e, ERR_UNKNOWN, "exec id must be provided");
	if (read_process(ctr, args, &process, e) < 0 || connect_to(ctr, args, &s, e) < 0)
		return -1;
	q.id = PB(args_string(args->group, "id"));
	q.exec_id = PB(args_at(args, 0));
	q.stdin = PB(args_string(args, "stdin"));
	q.stdout = PB(args_string(args, "stdout"));
	q.stderr = PB(args_string(args, "stderr"));
	q.terminal = args_bool(args, "tty");
	spec.type_url = PB(PROCESS_TYPE);
	spec.value = (ProtobufCBinaryData){ strlen(process), (uint8_t *)PB(process) };
	q.spec = &spec;
	if (open_fifo(q.stdout, O_RDONLY, &out, e) < 0 ||
	    open_fifo(q.stderr, O_RDONLY, &err, e) < 0 || exec_and_start(s, &q, e) < 0) {
		close_fd(&out);
		close_fd(&err);
		return -1;
	}
	if (args_bool(args, "attach"))
		return attach(q.stdin, out, err, e);
	close_fd(&out);
	close_fd(&err);
	return 0;
}

const struct flag shim_flags[] = {
	{ "id", FLAG_STRING, NULL, "shim ID" },
	{ "shim-address", FLAG_STRING, NULL, "shim address (default: computed from shim ID)" },
	{ NULL },
};

static const struct flag exec_shim_flags[] = {
	{ "stdin", FLAG_STRING, NULL, "specify the path to the stdin fifo" },
	{ "stdout", FLAG_STRING, NULL, "specify the path to the stdout fifo" },
	{ "stderr", FLAG_STRING, NULL, "specify the path to the stderr fifo" },
	{ "tty", FLAG_BOOL, "t", "enable tty support" },
	{ "attach", FLAG_BOOL, "a", "stay attached to the container and open the fifos" },
	{ "env", FLAG_LIST, "e", "add environment vars" },
	{ "cwd", FLAG_STRING, NULL, "current working directory" },
	{ "spec", FLAG_STRING, NULL, "runtime spec" },
	{ NULL },
};

static const struct flag state_flags[] = {
	{ "task-id", FLAG_STRING, "t", "task ID" },
	{ "api-version", FLAG_INT, NULL, "shim API version {2,3}", "3" },
	{ NULL },
};

static const struct flag shutdown_flags[] = {
	{ "api-version", FLAG_INT, NULL, "shim API version {2,3}", "3" },
	{ NULL },
};

const struct command shim_commands[] = {
	{ .name = "delete", .usage = "delete a container with a task", .run = shim_delete },
	{ .name = "exec",
	  .usage = "exec a new process in the task's container",
	  .args_usage = "[flags] EXEC-ID",
	  .flags = { exec_shim_flags },
	  .run = shim_exec },
	{ .name = "start",
	  .usage = "start a container with a task",
	  .args_usage = "[flags] TASK",
	  .run = shim_start },
	{ .name = "state",
	  .usage = "get the state of all main process of the task",
	  .flags = { state_flags },
	  .run = shim_state },
	{ .name = "shutdown",
	  .usage = "shutdown shim if there is no active container",
	  .flags = { shutdown_flags },
	  .run = shim_shutdown },
	{ .name = NULL },
};
