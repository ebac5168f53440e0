#include "runtime/process.h"

#include "os/fd.h"
#include "os/path.h"
#include "os/syscall.h"
#include "runtime/caps.h"
#include "runtime/exec_error.h"
#include "runtime/passwd.h"
#include "runtime/procfs.h"
#include "runtime/rootless.h"
#include "runtime/stage.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/keyctl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#ifndef PIPEFS_MAGIC
#define PIPEFS_MAGIC 0x50495045
#endif

int process_join_keyring(const char *id, struct err *e)
{
	AUTO_FREE char *name = xasprintf("_ses.%s", id);
	long key = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name, 0, 0, 0);

	if (key < 0 && errno == ENOSYS)
		return 0; /* a kernel without keyrings has none to leak */
	if (key < 0)
		return err_sys(e, errno, "unable to join session keyring");
	/* Every process of the container may search it, whoever it runs as: exec joins by name. */
	if (syscall(SYS_keyctl, KEYCTL_SETPERM, key, 0x3f3f0000 | 0x00080000, 0, 0) < 0)
		return err_sys(e, errno, "unable to set the session keyring's permissions");
	return 0;
}

int process_set_rlimits(pid_t pid, const struct plan_process *p, struct err *e)
{
	for (size_t i = 0; i < p->n_rlimits; i++) {
		struct rlimit is;
		int resource = p->rlimits[i].resource;

		if (prlimit(pid, resource, &p->rlimits[i].limit, NULL) == 0)
			continue;
		int errnum = errno;

		err_sys(e, errnum,
			"error setting rlimits for ready process: error setting rlimit type %d "
			"(%s)",
			resource, p->rlimits[i].name);
		if (errnum == EPERM && prlimit(pid, resource, NULL, &is) == 0)
			err_add(e,
				"the hard limit is %" PRIu64
				" here, and CAP_SYS_RESOURCE is missing",
				(uint64_t)is.rlim_max);
		return -1;
	}
	return 0;
}

int process_set_oom_score(int procfd, pid_t pid, const struct plan_process *p, struct err *e)
{
	char path[64], value[16];

	if (!p->has_oom_score_adj)
		return 0;
	snprintf(path, sizeof path, "%d/oom_score_adj", (int)pid);
	snprintf(value, sizeof value, "%d", p->oom_score_adj);
	if (procfs_write(procfd, path, value, e) < 0) {
		if (e->errnum == EACCES)
			err_add(e, "lower than what we were started with needs CAP_SYS_RESOURCE");
		return err_wrap(e, "failed to set oom_score_adj");
	}
	return 0;
}

int process_begin(const struct launch_end *l, struct err *e)
{
	/* a daemon blocks and ignores what its children should not, and a shell lets what it starts
	 * in the background ignore the keys of a terminal */
	static const int ignored[] = { SIGHUP,  SIGINT,  SIGQUIT, SIGPIPE,
				       SIGCHLD, SIGTSTP, SIGTTIN, SIGTTOU };
	sigset_t none;

	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
		return err_sys(e, errno, "reset signals");
	for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
		if (signal(ignored[i], SIG_DFL) == SIG_ERR)
			return err_sys(e, errno, "reset signals");
	if (setsid() < 0)
		return err_sys(e, errno, "setsid");
	if (l->rlimits == LAUNCH_RLIMITS_FIRST && process_set_rlimits(0, l->process, e) < 0)
		return -1;
	/* a caller that is confined to some processors does not confine the container */
	if (!l->keep_processors)
		(void)tune_set_processors(0, NULL); /* as well as the cgroup lets it */
	return 0;
}

static int connect_stdio(const struct runtime_io *io, struct err *e)
{
	for (int i = 0; i < 3; i++) {
		int fd = io->stdio[i];

		if (fd < 0 || fd == i)
			continue;
		if (dup3(fd, i, 0) < 0)
			return err_sys(e, errno, "connect stdio %d", i);
	}
	return 0;
}

static bool is_null_device(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
}

/* The host's /dev/null becomes the container's, so that nothing of the host's mounts stays open:
 * a checkpoint could not name it.  A container without one keeps the host's. */
static void reopen_null(int rootfd)
{
	AUTO_FD int fd = -1;

	for (int i = 0; i < 3; i++) {
		if (!is_null_device(i))
			continue;
		if (fd < 0) {
			/* looked at before it is opened: opening a device can do things */
			AUTO_FD int path = path_open(rootfd, "/dev/null", O_PATH | O_NOFOLLOW, 0);

			if (path < 0 || !is_null_device(path))
				return;
			fd = path_open(rootfd, "/dev/null", O_RDWR | O_NOFOLLOW, 0);
			if (fd < 0 || !is_null_device(fd))
				return;
		}
		(void)dup3(fd, i, 0); /* the old one serves too */
	}
}

int process_connect(const struct launch_end *l, int rootfd, bool bind, struct err *e)
{
	AUTO_CONSOLE struct console c = CONSOLE_NONE;
	const struct plan_process *p = l->process;

	if (!p->terminal) {
		if (connect_stdio(l->io, e) < 0)
			return -1;
		reopen_null(rootfd);
		return 0;
	}
	if (console_open(rootfd, l->host_ptmx, &c, e) < 0)
		return -1;
	/* A terminal of the host's devpts has no mount in here that could be bound. */
	if (bind && c.is_inside && console_bind(&c, rootfd, e) < 0)
		return -1;
	if (stage_send(l->sync, STAGE_CONSOLE, c.master, e) < 0)
		return -1;
	return console_become(&c, p->rows, p->columns, e);
}

/* A terminal that we made and pipes, which have no name on the host, go to the user, so that
 * /dev/stdout can be opened again; nothing else on 0, 1 or 2 is ours to give. */
static void give_stdio(const struct launch_end *l)
{
	for (int fd = 0; fd < 3; fd++) {
		struct statfs fs;
		struct stat st;

		if (fstatfs(fd, &fs) < 0 || fstat(fd, &st) < 0)
			continue;
		if (st.st_uid == l->process->uid)
			continue;
		if (fs.f_type == PIPEFS_MAGIC)
			(void)!fchown(fd, l->process->uid, l->process->gid); /* a convenience */
		else if (l->process->terminal && fs.f_type == DEVPTS_SUPER_MAGIC)
			(void)!fchown(fd, l->process->uid, (gid_t)-1);
	}
}

static int switch_user(const struct plan_process *p, bool keeps_groups, struct err *e)
{
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return err_sys(e, errno, "unable to set keep caps");
	if (keeps_groups && p->n_groups > 1)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "cannot set any additional groups in a rootless container");
	if (!keeps_groups && setgroups(p->n_groups, p->groups) < 0)
		return err_sys(e, errno, "unable to set additional groups");
	if (setresgid(p->gid, p->gid, p->gid) < 0)
		return err_sys(e, errno, "unable to set gid %u", p->gid);
	if (setresuid(p->uid, p->uid, p->uid) < 0)
		return err_sys(e, errno, "unable to set uid %u", p->uid);
	if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0)
		return err_sys(e, errno, "unable to clear keep caps");
	return 0;
}

/* A working directory may be a link into /proc/self/fd, out of the container: then the kernel
 * calls it unreachable, and that must never run. */
static int check_cwd(const char *cwd, struct err *e)
{
	char buf[PATH_MAX + 1];
	long n = syscall(SYS_getcwd, buf, sizeof buf);

	if (n < 0 && errno == ENOENT)
		return err_set(e, ERR_PERMISSION_DENIED,
			       "current working directory \"%s\" is outside of container mount "
			       "namespace root -- possible container breakout detected",
			       cwd);
	if (n < 0)
		return err_sys(e, errno, "read the working directory");
	if (buf[0] != '/')
		return err_set(e, ERR_PERMISSION_DENIED,
			       "current working directory \"%s\" is outside of container mount "
			       "namespace root -- possible container breakout detected",
			       cwd);
	return 0;
}

static int enter_cwd(const struct plan_process *p, struct err *e)
{
	if (chdir(p->cwd) < 0)
		return err_sys(e, errno, "chdir to cwd (\"%s\") set in config.json failed", p->cwd);
	return check_cwd(p->cwd, e);
}

static const char *get_env(const struct plan_process *p, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; p->env[i]; i++)
		if (strncmp(p->env[i], name, n) == 0 && p->env[i][n] == '=')
			return p->env[i] + n + 1;
	return NULL;
}

static void add_home(const struct plan_process *p, int rootfd)
{
	const char *home = get_env(p, "HOME");
	size_t n = 0;

	if (home && *home)
		return;
	AUTO_FREE char *found = passwd_home(rootfd, p->uid);
	while (p->env[n] && !str_starts(p->env[n], "HOME="))
		n++;
	p->env[n] = xasprintf("HOME=%s", found ? found : "/"); /* the plan has room for one more */
}

/* -errno, or 0 when it is a file that we may execute. */
static int check_program(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 ? -EACCES : 0;
}

/* Go's exec.LookPath, in the process's own PATH. */
static int find_program(const struct plan_process *p, char **ret, struct err *e)
{
	const char *name = p->args[0], *path = get_env(p, "PATH");
	int r;

	if (strchr(name, '/')) {
		r = check_program(name);
		if (r == -EISDIR)
			return err_set(e, ERR_INVALID_ARGUMENT, "exec: \"%s\": is a directory",
				       name);
		if (r < 0) {
			err_set(e, r == -ENOENT ? ERR_NOT_FOUND : ERR_PERMISSION_DENIED,
				"exec: \"%s\": stat %s: %s", name, name, err_errno_text(-r));
			if (r == -EACCES)
				exec_error_explain(name, EACCES, false, e);
			return -1;
		}
		*ret = xstrdup(name);
		return 0;
	}
	for (const char *d = path ? path : ""; *name && *d;) {
		size_t n = strcspn(d, ":");
		AUTO_FREE char *full = xasprintf("%.*s/%s", n ? (int)n : 1, n ? d : ".", name);

		if (check_program(full) == 0) {
			*ret = TAKE_PTR(full);
			return 0;
		}
		d += n + (d[n] == ':');
	}
	return err_set(e, ERR_NOT_FOUND, "exec: \"%s\": executable file not found in $PATH", name);
}

static int set_labels(const struct launch_end *l, struct err *e)
{
	const struct plan_process *p = l->process;
	char self[64];

	if (!p->apparmor && !p->selinux)
		return 0;
	/* our name in the host's procfs: "PID/task/TID" */
	ssize_t n = readlinkat(l->procfd, "thread-self", self, sizeof self - 1);
	if (n < 0)
		return err_sys(e, errno, "read /proc/thread-self");
	self[n] = 0;
	if (p->apparmor) {
		AUTO_FREE char *value = xasprintf("exec %s", p->apparmor);
		AUTO_FREE char *own = xasprintf("%s/attr/apparmor/exec", self);
		AUTO_FREE char *shared = xasprintf("%s/attr/exec", self); /* before 5.1 */
		bool has_own = faccessat(l->procfd, own, F_OK, 0) == 0;

		if (procfs_write(l->procfd, has_own ? own : shared, value, e) < 0)
			return err_wrap(e, "unable to apply apparmor profile");
	}
	if (p->selinux) {
		AUTO_FREE char *file = xasprintf("%s/attr/exec", self);

		if (procfs_write(l->procfd, file, p->selinux, e) < 0)
			return err_wrap(e, "can't set process label");
	}
	return 0;
}

/* What stays open: 0, 1, 2 and what was asked for.  The others are closed, not only marked: a
 * working directory, a program or its interpreter may be a link of the image's into /proc/self/fd,
 * and the kernel follows it before it closes what is close-on-exec.  The two that the stages still
 * need are a socket and a fifo, through which no path leads. */
static int close_rest(const struct launch_end *l, struct err *e)
{
	const int keep[] = { l->sync < l->fifo ? l->sync : l->fifo,
			     l->sync < l->fifo ? l->fifo : l->sync };
	unsigned first = 3 + l->io->preserve_fds;
	int r = fd_close_from(first, keep, ARRAY_LEN(keep), l->procfd);

	if (r < 0)
		return err_sys(e, -r, "close inherited descriptors");
	for (unsigned fd = 3; fd < first; fd++)
		if (fd_set_cloexec((int)fd, false) < 0)
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "file descriptor %u, to be preserved, is not open", fd);
	return 0;
}

static int load_filter(const struct launch_end *l, struct err *e)
{
	int listener;

	if (l->seccomp && l->is_shown) /* a change of the user has hidden us again */
		rootless_show_self();
	if (seccomp_filter_load(l->seccomp, &listener, e) < 0)
		return -1;
	/* it closes with execve: until then the parent has long taken its own */
	return listener < 0 ? 0 : stage_say(l->sync, STAGE_SECCOMP, listener, e);
}

int process_become(const struct launch_end *l, int rootfd_take, char **ret_path, struct err *e)
{
	const struct plan_process *p = l->process;

	add_home(p, rootfd_take);
	close(rootfd_take);
	give_stdio(l);
	if (tune_apply(&p->tune, e) < 0 || set_labels(l, e) < 0 || close_rest(l, e) < 0)
		return -1;
	if (p->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, errno, "set no_new_privs");
	if (l->rlimits == LAUNCH_RLIMITS_LATE && process_set_rlimits(0, p, e) < 0)
		return -1;
	/* Without no_new_privs a filter needs the rights that are given up below. */
	if (!p->no_new_privileges && load_filter(l, e) < 0)
		return -1;
	/* Root may enter what the user can't, and the user what root can't (NFS, rootless). */
	struct err as_root = { 0 };
	bool is_there = enter_cwd(p, &as_root) == 0;
	if (!is_there && as_root.errnum != EACCES)
		return err_copy(e, &as_root);
	if (caps_apply_bounding(&p->caps, e) < 0 || switch_user(p, l->keeps_groups, e) < 0)
		return -1;
	if (caps_apply(&p->caps, e) < 0 || (!is_there && enter_cwd(p, e) < 0))
		return -1;
	if (p->has_umask)
		umask(p->umask);
	if (find_program(p, ret_path, e) < 0)
		return -1;
	if (p->no_new_privileges && load_filter(l, e) < 0)
		return -1;
	return 0;
}

int process_execute(const struct launch_end *l, const char *path, struct err *e)
{
	execve(path, (char *const *)l->process->args, (char *const *)l->process->env);
	int errnum = errno;

	err_sys(e, errnum, "exec %s", path);
	exec_error_explain(path, errnum, l->seccomp != NULL, e);
	return -1;
}
