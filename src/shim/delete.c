/* `delete`: run by the daemon in the bundle after every task, and when a shim has died. */
#include "base/log.h"
#include "base/mem.h"
#include "containerd/runtime/task/v3/shim.pb-c.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/socket.h"
#include "shim/actions_priv.h"
#include "shim/address.h"
#include "shim/exit_file.h"
#include "shim/logger_record.h"
#include "shim/oci.h"
#include "shim/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

static pid_t read_pid(int bundlefd)
{
	AUTO_FREE char *text = NULL;
	unsigned v = 0;

	if (file_read(bundlefd, "init.pid", 32, &text, NULL) < 0)
		return 0;
	for (const char *p = text; *p >= '0' && *p <= '9' && v < 1u << 22; p++)
		v = v * 10 + (unsigned)(*p - '0');
	return (pid_t)v;
}

/* A socket whose shim was killed; a group's living shim keeps its own. */
static void remove_dead_socket(struct arena *a, int bundlefd, const struct shim_args *args)
{
	const char *group, *dir = "";
	char link[512];
	ssize_t n = readlinkat(bundlefd, "s", link, sizeof link - 1);
	struct err ignored = { 0 };

	if (n > 0) {
		link[n] = 0;
		dir = link;
	}
	if (shim_group_read(a, bundlefd, args->id, &group, &ignored) < 0)
		return; /* no config.json: no name */

	const char *path = shim_socket_path(a, dir, args->address, args->ns, group);
	(void)socket_remove_dead(path); /* mostly gone */
}

static int print_result(const struct exit_record *x, struct err *e)
{
	Containerd__Task__V3__DeleteResponse r = CONTAINERD__TASK__V3__DELETE_RESPONSE__INIT;
	Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	uint8_t buf[128];

	at.seconds = x->at.tv_sec;
	at.nanos = (int32_t)x->at.tv_nsec;
	r.pid = (uint32_t)x->pid;
	r.exit_status = x->status;
	r.exited_at = &at;

	int w = fd_write_all(STDOUT_FILENO, buf,
			     containerd__task__v3__delete_response__pack(&r, buf));

	return w < 0 ? err_sys(e, -w, "write to stdout") : 0;
}

/* The folder of the bundle: the flag, else where we stand. */
static int open_bundle(struct arena *a, const struct shim_args *args, const char **ret,
		       struct err *e)
{
	char *cwd = NULL;

	if (!*args->bundle) {
		cwd = file_real_path(".");
		if (!cwd)
			return err_sys(e, errno, "getwd");
	}
	*ret = arena_strdup(a, cwd ? cwd : args->bundle);
	free(cwd);

	int fd = open(*ret, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? err_sys(e, errno, "open bundle %s", *ret) : fd;
}

static int delete (struct arena *a, const struct shim_args *args, const char *self, struct err *e)
{
	AUTO_FREE char *own_runc = shim_own_runc(self);
	const char *bundle;
	AUTO_FD int fd = open_bundle(a, args, &bundle, e);
	struct exit_record x = { .status = 128 + 9 };
	struct shim_options o;
	struct oci_runtime rt = { 0 };
	struct err error = { 0 };

	if (fd < 0)
		return -1;
	if (!*args->id)
		return err_set(e, ERR_INVALID_ARGUMENT, "shim id cannot be empty");
	if (shim_options_load(a, fd, &o, &error) < 0)
		log_warn(LOG({ "id", args->id }, { "error", error.msg }),
			 "options.json is not readable, taking the defaults");

	struct oci_request q = {
		.verb = OCI_DELETE, .id = args->id, .bundle = bundle, .force = true
	};

	oci_runtime_init(&rt, &o, args->ns, bundle, own_runc);
	err_clear(&error);
	struct err first = { 0 };
	bool is_deleted = oci_call_wait(&rt, &q, &first) == 0;

	if (!is_deleted)
		log_warn(LOG({ "id", args->id }, { "error", first.msg }),
			 "failed to remove the container, going on");
	oci_runtime_done(&rt);
	if (rootfs_unmount(arena_printf(a, "%s/rootfs", bundle), &error) < 0)
		log_warn(LOG({ "id", args->id }, { "error", error.msg }),
			 "failed to cleanup rootfs mount");
	err_clear(&error);
	logger_record_end_all(fd);
	if (exit_file_read(fd, &x, &error) < 0) {
		x = (struct exit_record){ .pid = read_pid(fd), .status = 128 + 9 };
		clock_gettime(CLOCK_REALTIME, &x.at);
	}
	remove_dead_socket(a, fd, args);
	if (print_result(&x, e) < 0)
		return -1;
	/* How it ended is told in any case; that it is still there, too. */
	return is_deleted ? 0 : err_copy(e, &first);
}

int shim_delete(const struct shim_args *args, const char *self)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct err e = { 0 };

	log_setup(STDERR_FILENO, LOG_TEXT, args->debug ? LOG_DEBUG : LOG_INFO);
	return delete (a, args, self, &e) < 0 ? shim_fail(&e) : 0;
}
