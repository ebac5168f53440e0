/* `start`: run by the daemon in the bundle, prints where the shim listens, and ends. */
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/process_record.h"
#include "os/socket.h"
#include "os/spawn.h"
#include "shim/actions_priv.h"
#include "shim/address.h"
#include "shim/options.h"
#include "shim/server_fork.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

extern char **environ;

enum { STDIN_MAX = 4 << 20, OOM_SCORE_MAX = 1000 };

int shim_fail(const struct err *e)
{
	char text[1100];

	fprintf(stderr, "containerd-shim-runc-v2: %s\n", err_text(e, text, sizeof text));
	return 1;
}

char *shim_own_runc(const char *self)
{
	const char *slash = strrchr(self, '/');
	AUTO_FREE char *path = NULL;

	if (!slash)
		return xstrdup("");
	path = xasprintf("%.*s/runc", (int)(slash - self), self);
	return access(path, X_OK) == 0 ? TAKE_PTR(path) : xstrdup("");
}

/* The score of the one who started us, one worse: the daemon goes last. */
static void adjust_oom_score(pid_t pid)
{
	AUTO_FREE char *path = xasprintf("/proc/%d/oom_score_adj", getppid());
	AUTO_FREE char *target = xasprintf("/proc/%d/oom_score_adj", pid);
	AUTO_FREE char *text = NULL;
	char value[16];
	int score;

	if (file_read(AT_FDCWD, path, 32, &text, NULL) < 0)
		return;
	text[strcspn(text, "\n")] = 0;
	if (num_i32(text, &score) < 0)
		return;
	snprintf(value, sizeof value, "%d", score < OOM_SCORE_MAX ? score + 1 : OOM_SCORE_MAX);
	(void)file_poke(AT_FDCWD, target, value); /* without it the shim runs as well */
}

/* options.shim_cgroup: a path in every hierarchy. */
static int move_to_cgroup(const char *cgroup, pid_t pid, struct err *e)
{
	static const char *const roots[] = { "",         "/cpu",    "/cpuacct",
					     "/cpuset",  "/memory", "/devices",
					     "/freezer", "/blkio",  "/pids" };
	char text[16];
	bool is_in_one = false;

	snprintf(text, sizeof text, "%d", pid);
	for (size_t i = 0; i < ARRAY_LEN(roots); i++) {
		AUTO_FREE char *root = xasprintf("/sys/fs/cgroup%s/cgroup.procs", roots[i]);
		AUTO_FREE char *dir = xasprintf("/sys/fs/cgroup%s/%s", roots[i], cgroup);
		AUTO_FREE char *procs = xasprintf("%s/cgroup.procs", dir);

		if (access(root, F_OK) < 0)
			continue;
		int r = file_mkdirs(dir, 0755);
		if (r == 0)
			r = file_poke(AT_FDCWD, procs, text);
		if (r < 0)
			return err_sys(e, -r, "failed to add shim to cgroup %s", dir);
		is_in_one = true;
	}
	return is_in_one ? 0 : err_set(e, ERR_NOT_FOUND, "failed to load cgroup %s", cgroup);
}

/* *ret_fd is -1 when the group has a shim already. */
static int listen_or_join(const char *path, int *ret_fd, struct err *e)
{
	*ret_fd = socket_listen(path, 0600, 128);
	if (*ret_fd >= 0)
		return 0;
	if (*ret_fd != -EADDRINUSE)
		return err_sys(e, -*ret_fd, "create new shim socket %s", path);

	AUTO_FD int peer = socket_connect_now(path);

	if (peer >= 0 || peer == -EAGAIN) {
		*ret_fd = -1;
		return 0;
	}
	/* Its shim is dead. */
	if (unlink(path) < 0 && errno != ENOENT)
		return err_sys(e, errno, "remove dead socket %s", path);
	*ret_fd = socket_listen(path, 0600, 128);
	return *ret_fd < 0 ? err_sys(e, -*ret_fd, "create new shim socket %s", path) : 0;
}

static int execute_server(const struct shim_args *args, const char *self, int fd, pid_t *ret,
			  struct err *e)
{
	const int fds[4] = { -1, -1, -1, fd };
	AUTO_FD int pidfd = -1;
	AUTO_STRV struct strv argv = { 0 };

	strv_add(&argv, self);
	strv_add(&argv, "-namespace");
	strv_add(&argv, args->ns);
	strv_add(&argv, "-id");
	strv_add(&argv, args->id);
	strv_add(&argv, "-address");
	strv_add(&argv, args->address);
	if (args->debug)
		strv_add(&argv, "-debug");

	struct spawn s = { .path = self,
			   .argv = argv.v,
			   .envp = environ,
			   .cwd_fd = -1,
			   .fds = fds,
			   .n_fds = 4,
			   .new_group = true };
	int r = spawn_start(&s, &pidfd, ret);

	return r < 0 ? err_sys(e, -r, "start %s", self) : 0;
}

/* The copy of ours that waits for fd, if there is one, else the program anew. */
static int start_server(const struct shim_args *args, const char *self, int fd,
			const struct shim_options *o, struct server_fork *copy, struct err *e)
{
	pid_t pid = copy->pid;

	if (!pid && execute_server(args, self, fd, &pid, e) < 0)
		return -1;
	if (*o->shim_cgroup && move_to_cgroup(o->shim_cgroup, pid, e) < 0) {
		(void)kill(pid, SIGKILL); /* our child */
		return -1;
	}
	adjust_oom_score(pid);
	(void)process_record_write(AT_FDCWD, "shim.pid", pid); /* for the day it hangs */
	int r = copy->pid ? server_fork_send(copy, fd) : 0;

	return r < 0 ? err_sys(e, -r, "give the shim its socket") : 0;
}

/* From 2.3 on the socket's folder can be found from the bundle. */
static int link_socket_dir(const struct shim_boot *boot, struct err *e)
{
	if (!boot->has_params || !*boot->socket_dir)
		return 0;
	if (symlink(boot->socket_dir, "s") < 0 && errno != EEXIST)
		return err_sys(e, errno, "link to socket folder %s", boot->socket_dir);
	return 0;
}

/* Three generations of daemons (ttrpc task API 3 since 2.0; JSON since 1.7). */
static int print_address(const struct shim_args *args, const struct shim_boot *boot,
			 const char *path, struct err *e)
{
	AUTO_STR struct str out = STR_INIT(1 << 16);

	if (!boot->has_params && !args->has_max_version && !args->has_grpc_address) {
		AUTO_FREE char *address = xasprintf("unix://%s", path);
		int r = file_replace(AT_FDCWD, "address", address, strlen(address), 0600, false);

		if (r < 0)
			return err_sys(e, -r, "write address");
		str_add(&out, address);
	} else {
		/* 1.7 to 2.2 all say MAX_SHIM_VERSION=2 and take 2; 1.7 takes nothing else. */
		bool is_new = boot->has_params || (args->has_max_version && args->max_version > 2);

		str_addf(&out, "{\"version\":%d,\"address\":\"unix://%s\",\"protocol\":\"ttrpc\"}",
			 is_new ? 3 : 2, path);
	}

	int r = fd_write_all(STDOUT_FILENO, str_c(&out), out.len);

	return r < 0 ? err_sys(e, -r, "write to stdout") : 0;
}

int shim_read_stdin(char **ret, size_t *ret_n, struct err *e)
{
	*ret = NULL;
	*ret_n = 0;
	if (isatty(STDIN_FILENO))
		return 0;

	int r = file_read_fd(STDIN_FILENO, STDIN_MAX, ret, ret_n);

	if (r == -EFBIG)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "stdin holds more than %d bytes",
			       STDIN_MAX);
	return r < 0 ? err_sys(e, -r, "read stdin") : 0;
}

static int start(struct arena *a, const struct shim_args *args, const char *self,
		 struct server_fork *copy, struct err *e)
{
	struct shim_boot boot;
	struct shim_options o;
	const char *group, *path;
	AUTO_FD int fd = -1;
	AUTO_FREE char *bytes = NULL;
	size_t n;

	if (!*args->id)
		return err_set(e, ERR_INVALID_ARGUMENT, "shim id cannot be empty");
	if (!*args->ns)
		return err_set(e, ERR_INVALID_ARGUMENT, "shim namespace cannot be empty");
	if (shim_read_stdin(&bytes, &n, e) < 0 ||
	    shim_boot_decode(a, args->id, (uint8_t *)bytes, n, &boot, e) < 0 ||
	    shim_options_decode(a, boot.options_type, boot.options_value, boot.options_len, &o, e) <
		    0 ||
	    shim_group_read(a, AT_FDCWD, args->id, &group, e) < 0)
		return -1;

	const char *dir = *boot.socket_dir ? boot.socket_dir : SHIM_SOCKET_DIR;
	int r = file_mkdirs(dir, 0700);

	if (r < 0)
		return err_sys(e, -r, "mkdir %s", dir);
	path = shim_socket_path(a, dir, args->address, args->ns, group);
	if (listen_or_join(path, &fd, e) < 0)
		return -1;
	if (link_socket_dir(&boot, e) < 0 ||
	    (fd >= 0 && start_server(args, self, fd, &o, copy, e) < 0)) {
		if (fd >= 0)
			(void)unlink(path); /* just made */
		return -1;
	}
	return print_address(args, &boot, path, e);
}

int shim_start(const struct shim_args *args, char **argv, const char *self)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct server_fork copy;
	struct err e = { 0 };

	server_fork(args, argv, self, &copy);
	int r = start(a, args, self, &copy, &e) < 0 ? shim_fail(&e) : 0;

	server_fork_end(&copy); /* after a failure, or where the group has its shim */
	return r;
}
