#include "runtime/rootless.h"

#include "base/num.h"
#include "os/spawn.h"
#include "runtime/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { HELPER_MS = 10000 };

bool rootless_is_privileged(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	return syscall(SYS_capget, &head, data) == 0 &&
	       data[0].effective & (UINT32_C(1) << CAP_SYS_ADMIN);
}

int rootless_check(const struct plan *p, struct err *e)
{
	if (geteuid() != 0 && !(p->all_ns & CLONE_NEWUSER))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "rootless container requires user namespaces");
	return 0;
}

/* "INSIDE OUTSIDE 1" and nothing else, outside being us. */
static bool is_only(const char *map, unsigned id)
{
	AUTO_FREE char *tail = xasprintf(" %u 1\n", id);
	const char *end = strchr(map, '\n');
	const char *space = strchr(map, ' ');

	return end && !end[1] && space && strcmp(space, tail) == 0;
}

bool rootless_denies_groups(const struct plan *p)
{
	return p->gid_map && geteuid() != 0 && is_only(p->gid_map, getegid());
}

void rootless_show_child(const struct plan *p, bool show)
{
	if (p->uid_map && !rootless_is_privileged())
		(void)prctl(PR_SET_DUMPABLE, show, 0, 0, 0); /* the maps will tell */
}

void rootless_show_self(void)
{
	for (char **p = environ; *p; p++)
		explicit_bzero(*p, strlen(*p));
	(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* who needs it will tell */
}

/* newuidmap PID INSIDE OUTSIDE COUNT…: it is setuid and looks into /etc/subuid. */
static int run_helper(const char *name, pid_t pid, const char *map, struct err *e)
{
	AUTO_STRV struct strv argv = { 0 };
	AUTO_FREE char *path = spawn_find(name), *copy = xstrdup(map);
	AUTO_FD int pidfd = -1;
	const int fds[] = { -1, 2, 2 };
	int status = 0, r;
	char *save = NULL;
	pid_t child;

	if (!path)
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "cannot map more than your own id without %s: install it (Debian "
			       "package uidmap) and give yourself a range in /etc/subuid and "
			       "/etc/subgid",
			       name);
	strv_add(&argv, name);
	strv_addf(&argv, "%d", (int)pid);
	for (char *w = strtok_r(copy, " \n", &save); w; w = strtok_r(NULL, " \n", &save))
		strv_add(&argv, w);
	struct spawn s = {
		.path = path, .argv = argv.v, .cwd_fd = -1, .fds = fds, .n_fds = ARRAY_LEN(fds)
	};
	r = spawn_start(&s, &pidfd, &child);
	if (r == 0)
		r = spawn_wait(pidfd, HELPER_MS, &status);
	if (r < 0)
		return err_sys(e, -r, "run %s", name);
	return status ? err_set(e, ERR_PERMISSION_DENIED, "%s failed with exit code %d", name,
				status)
		      : 0;
}

static int write_one(int procfd, pid_t pid, const char *file, const char *helper, bool is_own,
		     const char *map, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%d/%s", (int)pid, file);

	if (geteuid() != 0 && !is_own)
		return run_helper(helper, pid, map, e);
	return procfs_write(procfd, path, map, e);
}

int rootless_write_maps(int procfd, pid_t pid, const struct plan *p, struct err *e)
{
	AUTO_FREE char *setgroups = xasprintf("%d/setgroups", (int)pid);

	if (rootless_denies_groups(p) && procfs_write(procfd, setgroups, "deny", e) < 0)
		return -1;
	if (write_one(procfd, pid, "uid_map", "newuidmap", is_only(p->uid_map, geteuid()),
		      p->uid_map, e) < 0)
		return -1;
	return write_one(procfd, pid, "gid_map", "newgidmap", is_only(p->gid_map, getegid()),
			 p->gid_map, e);
}

bool rootless_join_denies_groups(const char *path, int procfd)
{
	static const char proc[] = "/proc/";
	int pid;

	if (!str_starts(path, proc))
		return false;
	path += sizeof proc - 1;
	size_t n = strcspn(path, "/");
	AUTO_FREE char *number = xstrndup(path, n);
	return strcmp(path + n, "/ns/user") == 0 && num_i32(number, &pid) == 0 &&
	       rootless_has_no_groups(procfd, pid);
}

bool rootless_has_no_groups(int procfd, pid_t pid)
{
	AUTO_FREE char *path = xasprintf("%d/setgroups", (int)pid);
	struct err ignored = { 0 };
	AUTO_FD int fd = procfs_open_file(procfd, path, O_RDONLY, &ignored);
	char word[8] = "";

	return fd >= 0 && read(fd, word, sizeof word - 1) > 0 && str_starts(word, "deny");
}
