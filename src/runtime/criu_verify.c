/* Images are bytes from outside: what criu made of them is compared with config.json while the
 * processes still stand still.  The kernel says what there is; the images are not asked, but for
 * the seccomp filters, which it shows to criu alone. */
#include "runtime/criu_verify.h"

#include "base/mem.h"
#include "os/file.h"
#include "os/syscall.h"
#include "runtime/criu.h"

#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* The capability could have been used by now, for all that config.json says. */
static bool may_use(const struct plan *p, int cap)
{
	return !p->process.caps.is_set || p->process.caps.bounding & (UINT64_C(1) << cap);
}

/* The first process's are looked at in check_first(); all others must be where it is.  So a
 * container whose processes made namespaces of their own is not restored, even if it may make them:
 * nobody could say what of config.json still holds in there. */
static const char *const namespaces[] = { "mnt", "user", "pid",    "net",
					  "ipc", "uts",  "cgroup", "time" };

static int check_places(const struct plan *p, int procfd, pid_t init, int tasks, const char *tid,
			struct err *e)
{
	struct stat first, theirs;
	struct statx first_mount, mount;
	char there[64], here[64];

	for (size_t i = 0; i < ARRAY_LEN(namespaces); i++) {
		snprintf(there, sizeof there, "%d/ns/%s", (int)init, namespaces[i]);
		snprintf(here, sizeof here, "%.16s/ns/%s", tid, namespaces[i]);
		if (fstatat(procfd, there, &first, 0) < 0) {
			if (errno == ENOENT && i >= 6) /* a kernel without it */
				continue;
			return err_sys(e, errno, "look at the namespaces of process %d", (int)init);
		}
		if (fstatat(tasks, here, &theirs, 0) < 0)
			return err_sys(e, errno, "look at the namespaces of process %s", tid);
		if (!is_same(&first, &theirs))
			return err_set(e, ERR_PERMISSION_DENIED,
				       CRIU_MISFIT "process %s is in another %s namespace than the "
						   "container's first",
				       tid, namespaces[i]);
	}
	if (may_use(p, CAP_SYS_CHROOT)) /* the mounts are the same whatever it calls "/" */
		return 0;
	snprintf(there, sizeof there, "%d/root", (int)init);
	snprintf(here, sizeof here, "%.16s/root", tid);
	if (fstatat(procfd, there, &first, 0) < 0 || fstatat(tasks, here, &theirs, 0) < 0 ||
	    sys_statx(procfd, there, 0, STATX_MNT_ID, &first_mount) < 0 ||
	    sys_statx(tasks, here, 0, STATX_MNT_ID, &mount) < 0)
		return err_sys(e, errno, "look at the root of process %s", tid);
	if (!is_same(&first, &theirs) || first_mount.stx_mnt_id != mount.stx_mnt_id)
		return err_set(e, ERR_PERMISSION_DENIED, CRIU_MISFIT "process %s has another root",
			       tid);
	return 0;
}

int criu_verify_process(const struct plan *p, bool has_seccomp, const struct criu_id_maps *m,
			int procfd, pid_t init, pid_t pid, struct err *e)
{
	char path[64];
	struct dirent *entry;
	int r = 0;

	snprintf(path, sizeof path, "%d/task", (int)pid);
	int fd = openat(procfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) { /* gone since it was listed */
		close_fd(&fd);
		return 0;
	}
	while (r == 0 && (entry = readdir(dir))) {
		AUTO_FREE char *status = NULL;
		AUTO_FREE char *name = xasprintf("%s/status", entry->d_name);

		if (entry->d_name[0] == '.')
			continue;
		int n = file_read(dirfd(dir), name, 1 << 20, &status, NULL);
		if (n == -ENOENT || n == -ESRCH || (n >= 0 && criu_status_is_dead(status)))
			continue;
		if (n < 0)
			r = err_sys(e, -n, "read the state of process %d", (int)pid);
		else if (check_places(p, procfd, init, dirfd(dir), entry->d_name, e) < 0)
			r = -1;
		else
			r = criu_verify_status(p, has_seccomp, m, pid, status, e);
	}
	closedir(dir);
	return r;
}

static void add_children(const char *text, struct cgroup_pids *ret)
{
	uint64_t pid;

	while ((text = criu_next_number(text, " ", &pid))) {
		GROW(ret->v, ret->n, ret->cap);
		ret->v[ret->n++] = (pid_t)pid;
	}
}

static int list_children(int procfd, pid_t pid, struct cgroup_pids *ret, struct err *e)
{
	char path[64];
	struct dirent *entry;
	int r = 0;

	snprintf(path, sizeof path, "%d/task", (int)pid);
	int fd = openat(procfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		close_fd(&fd);
		return 0;
	}
	while (r == 0 && (entry = readdir(dir))) {
		AUTO_FREE char *text = NULL;
		AUTO_FREE char *name = xasprintf("%s/children", entry->d_name);

		if (entry->d_name[0] == '.')
			continue;
		int n = file_read(dirfd(dir), name, 4 << 20, &text, NULL);
		if (n >= 0)
			add_children(text, ret);
		else if (n != -ENOENT && n != -ESRCH) /* gone */
			r = err_sys(e, -n, "read the children of process %d", (int)pid);
	}
	closedir(dir);
	return r;
}

/* Also those that the images put in a cgroup that is not the container's. */
int criu_list_tree(int procfd, pid_t init, struct cgroup_pids *ret, struct err *e)
{
	if (list_children(procfd, init, ret, e) < 0)
		return -1;
	for (size_t i = 0; i < ret->n; i++) /* it grows */
		if (list_children(procfd, ret->v[i], ret, e) < 0)
			return -1;
	return 0;
}

static const char *join_path(const struct plan *p, enum oci_ns type)
{
	for (size_t i = 0; i < p->n_joins; i++)
		if (p->joins[i].type == type)
			return p->joins[i].path;
	return NULL;
}

/* Which namespaces there are to be is written in the images: criu makes none that they do not name,
 * and then the process is in ours; and a user namespace that nobody asked for gives rights. */
static int check_first(const struct plan *p, int procfd, pid_t pid, struct err *e)
{
	static const char *const files[OCI_NS_COUNT] = {
		[OCI_NS_PID] = "pid", [OCI_NS_NETWORK] = "net", [OCI_NS_MOUNT] = "mnt",
		[OCI_NS_IPC] = "ipc", [OCI_NS_UTS] = "uts",     [OCI_NS_USER] = "user",
	};

	for (int i = 0; i < OCI_NS_COUNT; i++) {
		const char *join = join_path(p, (enum oci_ns)i);
		bool is_planned = p->all_ns & plan_ns_flag((enum oci_ns)i);
		struct stat own, theirs, joined;
		char path[48], self[48];

		if (!files[i] || (!is_planned && i != OCI_NS_USER))
			continue;
		snprintf(path, sizeof path, "%d/ns/%s", (int)pid, files[i]);
		snprintf(self, sizeof self, "self/ns/%s", files[i]);
		if (fstatat(procfd, path, &theirs, 0) < 0)
			return err_sys(e, errno, "look at the namespaces of process %d", (int)pid);
		if (fstatat(procfd, self, &own, 0) < 0 || (join && stat(join, &joined) < 0))
			return err_sys(e, errno, "look at the %s namespace", files[i]);
		bool fits = join         ? is_same(&theirs, &joined)
			    : is_planned ? !is_same(&theirs, &own)
					 : is_same(&theirs, &own);
		if (!fits)
			return err_set(e, ERR_PERMISSION_DENIED,
				       CRIU_MISFIT
				       "a process is outside the container's namespace: %s",
				       files[i]);
	}
	return 0;
}

int criu_verify(const struct plan *p, bool has_seccomp, int procfd, pid_t init, const pid_t *pids,
		size_t n_pids, struct err *e)
{
	CLEANUP(criu_id_maps_done) struct criu_id_maps maps = { 0 };
	char path[64];

	snprintf(path, sizeof path, "%d/root", (int)init);
	AUTO_FD int rootfd = openat(procfd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (rootfd < 0)
		return err_sys(e, errno, "open the restored container's root");
	if (check_first(p, procfd, init, e) < 0 ||
	    criu_verify_id_maps(p, procfd, init, &maps, e) < 0)
		return -1;
	/* A container that may mount has what it likes; another has what config.json gave it. */
	if (!may_use(p, CAP_SYS_ADMIN) && criu_verify_mounts(p, procfd, init, rootfd, e) < 0)
		return -1;
	if (criu_verify_process(p, has_seccomp, &maps, procfd, init, init, e) < 0)
		return -1;
	for (size_t i = 0; i < n_pids; i++)
		if (criu_verify_process(p, has_seccomp, &maps, procfd, init, pids[i], e) < 0)
			return -1;
	return 0;
}
