/* runc checkpoint, runc restore. */
#include "runtime/checkpoint.h"
#include "cmd/runc/cli.h"
#include "cmd/runc/notify.h"

#include "base/log.h"
#include "base/num.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define O(field) offsetof(struct options, field)
#define C(field) O(criu.field)
#define ID_TEXT "Where \"<container-id>\" is the name for the instance of the container to be\n"
#define MODES "cgroups mode: soft|full|strict|ignore (default: soft)"

static const struct option checkpoint_options[] = {
	{ "image-path", NULL, OPTION_STRING, C(image_path), "path for saving criu image files" },
	{ "work-path", NULL, OPTION_STRING, C(work_path), "path for saving work files and logs" },
	{ "parent-path", NULL, OPTION_STRING, C(parent_path),
	  "path for previous criu image files in pre-dump" },
	{ "leave-running", NULL, OPTION_BOOL, C(leave_running),
	  "leave the process running after checkpointing" },
	{ "tcp-established", NULL, OPTION_BOOL, C(tcp_established), "allow open tcp connections" },
	{ "tcp-skip-in-flight", NULL, OPTION_BOOL, C(tcp_skip_in_flight),
	  "skip in-flight tcp connections" },
	{ "link-remap", NULL, OPTION_BOOL, C(link_remap),
	  "allow one to link unlinked files back when possible" },
	{ "ext-unix-sk", NULL, OPTION_BOOL, C(ext_unix_sk), "allow external unix sockets" },
	{ "shell-job", NULL, OPTION_BOOL, C(shell_job), "allow shell jobs" },
	{ "lazy-pages", NULL, OPTION_BOOL, C(lazy_pages),
	  "use userfaultfd to lazily restore memory pages" },
	{ "status-fd", NULL, OPTION_INT, C(status_fd),
	  "criu writes \\0 to this FD once lazy-pages is ready (default: -1)" },
	{ "page-server", NULL, OPTION_STRING, C(page_server), "ADDRESS:PORT of the page server" },
	{ "file-locks", NULL, OPTION_BOOL, C(file_locks), "handle file locks, for safety" },
	{ "pre-dump", NULL, OPTION_BOOL, C(pre_dump),
	  "dump container's memory information only, leave the container running after this" },
	{ "manage-cgroups-mode", NULL, OPTION_STRING, C(manage_cgroups), MODES },
	{ "empty-ns", NULL, OPTION_LIST, C(empty_ns),
	  "create a namespace, but don't restore its properties" },
	{ "auto-dedup", NULL, OPTION_BOOL, C(auto_dedup),
	  "enable auto deduplication of memory images" },
	{ NULL },
};

static const struct option restore_options[] = {
	{ "console-socket", NULL, OPTION_STRING, O(console_socket),
	  "path to an AF_UNIX socket which will receive a file descriptor referencing the master "
	  "end of the console's pseudoterminal" },
	{ "image-path", NULL, OPTION_STRING, C(image_path),
	  "path to criu image files for restoring" },
	{ "work-path", NULL, OPTION_STRING, C(work_path), "path for saving work files and logs" },
	{ "tcp-established", NULL, OPTION_BOOL, C(tcp_established), "allow open tcp connections" },
	{ "ext-unix-sk", NULL, OPTION_BOOL, C(ext_unix_sk), "allow external unix sockets" },
	{ "shell-job", NULL, OPTION_BOOL, C(shell_job), "allow shell jobs" },
	{ "file-locks", NULL, OPTION_BOOL, C(file_locks), "handle file locks, for safety" },
	{ "manage-cgroups-mode", NULL, OPTION_STRING, C(manage_cgroups), MODES },
	{ "bundle", "b", OPTION_STRING, O(bundle), "path to the root of the bundle directory" },
	{ "detach", "d", OPTION_BOOL, O(detach), "detach from the container's process" },
	{ "pid-file", NULL, OPTION_STRING, O(pid_file),
	  "specify the file to write the process id to" },
	{ "no-subreaper", NULL, OPTION_BOOL, O(no_subreaper),
	  "disable the use of the subreaper used to reap reparented processes" },
	{ "no-pivot", NULL, OPTION_BOOL, O(no_pivot),
	  "do not use pivot root to jail process inside rootfs.  This should be used whenever the "
	  "rootfs is on top of a ramdisk" },
	{ "empty-ns", NULL, OPTION_LIST, C(empty_ns),
	  "create a namespace, but don't restore its properties" },
	{ "auto-dedup", NULL, OPTION_BOOL, C(auto_dedup),
	  "enable auto deduplication of memory images" },
	{ "lazy-pages", NULL, OPTION_BOOL, C(lazy_pages),
	  "use userfaultfd to lazily restore memory pages" },
	{ "lsm-profile", NULL, OPTION_STRING, C(lsm_profile),
	  "Specify an LSM profile to be used during restore in the form of TYPE:NAME." },
	{ "lsm-mount-context", NULL, OPTION_STRING, C(lsm_mount_context),
	  "Specify an LSM mount context to be used during restore." },
	{ NULL },
};

static int parse_mode(const char *text, enum checkpoint_cgroups *ret, struct err *e)
{
	static const char *const names[] = {
		[CHECKPOINT_CGROUPS_DEFAULT] = "",      [CHECKPOINT_CGROUPS_SOFT] = "soft",
		[CHECKPOINT_CGROUPS_FULL] = "full",     [CHECKPOINT_CGROUPS_STRICT] = "strict",
		[CHECKPOINT_CGROUPS_IGNORE] = "ignore",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(names[i], text ? text : "") == 0) {
			*ret = (enum checkpoint_cgroups)i;
			return 0;
		}
	return err_set(e, ERR_INVALID_ARGUMENT, "Invalid manage-cgroups-mode value");
}

/* "ADDRESS:PORT", "[v6]:PORT" */
static int parse_server(struct arena *a, const char *text, struct checkpoint *c, struct err *e)
{
	const char *colon = text ? strrchr(text, ':') : NULL;
	uint32_t port;

	if (!text || !*text)
		return 0;
	if (!colon || colon == text || !colon[1])
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "Use --page-server ADDRESS:PORT to specify page server");
	if (num_u32(colon + 1, &port) < 0 || port > UINT16_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "Invalid port number");
	size_t n = (size_t)(colon - text);
	bool bracketed = n > 2 && text[0] == '[' && colon[-1] == ']';
	c->page_server = arena_strndup(a, text + bracketed, n - (bracketed ? 2 : 0));
	c->page_port = (int)port;
	return 0;
}

static const char *or_null(const char *text)
{
	return text && *text ? text : NULL;
}

static int fill(const struct invocation *in, struct arena *a, struct checkpoint *ret, struct err *e)
{
	const struct criu_flags *f = &in->o.criu;

	*ret = (struct checkpoint){
		.criu = or_null(in->global->criu) ?: "criu",
		.image_path = or_null(f->image_path) ?: "checkpoint",
		.work_path = or_null(f->work_path),
		.parent_path = or_null(f->parent_path),
		.lsm_profile = or_null(f->lsm_profile),
		.lsm_mount_context = or_null(f->lsm_mount_context),
		.leave_running = f->leave_running,
		.tcp_established = f->tcp_established,
		.tcp_skip_in_flight = f->tcp_skip_in_flight,
		.link_remap = f->link_remap,
		.ext_unix_sk = f->ext_unix_sk,
		.shell_job = f->shell_job,
		.lazy_pages = f->lazy_pages,
		.file_locks = f->file_locks,
		.pre_dump = f->pre_dump,
		.auto_dedup = f->auto_dedup,
		.status_fd = cli_was_given(in, "status-fd") ? f->status_fd : -1,
	};
	for (size_t i = 0; i < f->empty_ns.n; i++) /* the network always is */
		if (strcmp(f->empty_ns.v[i], "network") != 0)
			return err_set(e, ERR_INVALID_ARGUMENT, "namespace \"%s\" is not supported",
				       f->empty_ns.v[i]);
	if (parse_server(a, f->page_server, ret, e) < 0)
		return -1;
	return parse_mode(f->manage_cgroups, &ret->cgroups, e);
}

static int run_checkpoint(struct invocation *in, struct err *e)
{
	const struct runtime *rt = &in->global->runtime;
	AUTO_ARENA struct arena *a = arena_new();
	struct runtime_state s;
	struct checkpoint c;

	if (rt->rootless)
		log_warn(LOG_NONE, "runc checkpoint is untested with rootless containers");
	if (runtime_state(rt, a, in->args[0], &s, e) < 0 || fill(in, a, &c, e) < 0 ||
	    runtime_checkpoint(rt, in->args[0], &c, e) < 0)
		return -1;
	if (c.leave_running || c.pre_dump)
		return 0;
	return runtime_delete(rt, in->args[0], true, e);
}

static int run_restore(struct invocation *in, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	CLEANUP(runtime_process_done) struct runtime_process p = RUNTIME_PROCESS_NONE;
	CLEANUP(notify_done) struct notify n = NOTIFY_NONE; /* it has told its manager long ago */
	AUTO_FD int signals = -1;
	struct runtime_create create;
	struct checkpoint c;

	if (run_prepare(in, a, in->o.detach, &create, &n, e) < 0 || fill(in, a, &c, e) < 0)
		return -1;
	if (in->global->runtime.rootless)
		log_warn(LOG_NONE, "runc restore is untested with rootless containers");
	if (!in->o.detach) {
		signals = foreground_begin(!in->o.no_subreaper, e);
		if (signals < 0)
			return -1;
	}
	if (runtime_restore(&in->global->runtime, &create, &c, &p, e) < 0)
		return -1;
	return in->o.detach ? 0 : run_to_its_end(in, &p, signals, &n, e);
}

const struct command command_checkpoint = {
	.name = "checkpoint",
	.usage = "<container-id>\n\n" ID_TEXT "checkpointed.",
	.summary = "checkpoint a running container",
	.description = "   Saves the state of the container's processes to files, and ends them\n"
		       "unless --leave-running is given. It needs criu(8).",
	.options = checkpoint_options,
	.min_args = 1,
	.max_args = 1,
	.run = run_checkpoint,
};

const struct command command_restore = {
	.name = "restore",
	.usage = "<container-id>\n\n" ID_TEXT "restored.",
	.summary = "restore a container from a previous checkpoint",
	.description =
		"   Makes a container of the bundle whose processes go on where a checkpoint\n"
		"left them. It needs criu(8).",
	.options = restore_options,
	.min_args = 1,
	.max_args = 1,
	.run = run_restore,
};
