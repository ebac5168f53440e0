/* Images are bytes from outside: what criu made of them is compared with config.json while the
 * processes still stand still.  The kernel says what there is; the images are not asked. */
#include "runtime/criu.h"

#include "os/file.h"
#include "os/path.h"
#include "os/syscall.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#ifndef STATX_ATTR_MOUNT_ROOT
#define STATX_ATTR_MOUNT_ROOT 0x2000
#endif

static int refuse(struct err *e, const char *what, const char *path)
{
	return err_set(e, ERR_PERMISSION_DENIED, "the images do not fit config.json: %s%s%s", what,
		       path ? " " : "", path ? path : "");
}

/* 0: absent; the fd's mount flags and whether it is a mount's root. */
static int look(int rootfd, const char *path, bool *ret_ro, bool *ret_is_root, struct stat *ret_st,
		struct err *e)
{
	AUTO_FD int fd = path_open(rootfd, path, O_PATH, 0);
	struct statvfs fs;
	struct statx st;

	if (fd == -ENOENT || fd == -ENOTDIR)
		return 0;
	if (fd < 0)
		return err_sys(e, -fd, "look at %s of the restored container", path);
	if (fstatvfs(fd, &fs) < 0 || fstat(fd, ret_st) < 0 ||
	    sys_statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st) < 0)
		return err_sys(e, errno, "look at %s of the restored container", path);
	*ret_ro = fs.f_flag & ST_RDONLY;
	*ret_is_root = st.stx_attributes & STATX_ATTR_MOUNT_ROOT;
	return 1;
}

static int check_masks(const struct plan *p, int rootfd, struct err *e)
{
	struct stat st;
	bool ro = false, is_root = false;

	for (size_t i = 0; i < p->masked.n; i++) {
		int r = look(rootfd, p->masked.v[i], &ro, &is_root, &st, e);

		if (r < 0)
			return -1;
		if (r && (!is_root || (S_ISDIR(st.st_mode) ? !ro
							   : !S_ISCHR(st.st_mode) ||
								     st.st_rdev != makedev(1, 3))))
			return refuse(e, "not masked:", p->masked.v[i]);
	}
	for (size_t i = 0; i < p->readonly.n; i++) {
		int r = look(rootfd, p->readonly.v[i], &ro, &is_root, &st, e);

		if (r < 0)
			return -1;
		if (r && !ro)
			return refuse(e, "not read-only:", p->readonly.v[i]);
	}
	return 0;
}

static bool is_covered(const struct plan *p, size_t n)
{
	for (size_t i = n + 1; i < p->n_mounts; i++)
		if (strcmp(p->mounts[i].dest, p->mounts[n].dest) == 0)
			return true;
	return false;
}

/* What config.json says of a mount, and what a bound folder is. */
static int check_mounts(const struct plan *p, int rootfd, struct err *e)
{
	struct stat st;
	bool ro = false, is_root = false;

	if (p->root_readonly && (look(rootfd, "/", &ro, &is_root, &st, e) < 0 || !ro))
		return e->code ? -1 : refuse(e, "the root is not read-only", NULL);
	for (size_t i = 0; i < p->n_mounts; i++) {
		const struct mount_op *m = &p->mounts[i];
		struct stat source;
		bool want_ro = (m->set | m->rec_set) & MOUNT_ATTR_RDONLY;
		int r = is_covered(p, i) ? 2 : look(rootfd, m->dest, &ro, &is_root, &st, e);

		if (r < 0)
			return -1;
		if (r == 2)
			continue;
		if (r && want_ro && !ro)
			return refuse(e, "not read-only:", m->dest);
		if (m->kind != MOUNT_BIND || !m->source || *m->source != '/')
			continue;
		if (!r || stat(m->source, &source) < 0 || st.st_dev != source.st_dev ||
		    st.st_ino != source.st_ino)
			return refuse(e, "another thing than its source is at", m->dest);
	}
	return 0;
}

static bool is_at_or_below(const char *path, const char *top)
{
	size_t n = strlen(top);

	return strncmp(path, top, n) == 0 && (!path[n] || path[n] == '/');
}

static bool is_planned(const struct plan *p, const char *point)
{
	if (strcmp(point, "/") == 0 || strcmp(point, "/dev/console") == 0)
		return true;
	for (size_t i = 0; i < p->n_mounts; i++)
		if (is_at_or_below(point, p->mounts[i].dest) &&
		    (strcmp(point, p->mounts[i].dest) == 0 || p->mounts[i].recursive ||
		     p->mounts[i].kind == MOUNT_CGROUP))
			return true;
	for (size_t i = 0; i < p->masked.n; i++)
		if (strcmp(point, p->masked.v[i]) == 0)
			return true;
	for (size_t i = 0; i < p->readonly.n; i++)
		if (is_at_or_below(point, p->readonly.v[i]))
			return true;
	for (size_t i = 0; i < p->n_devices; i++)
		if (strcmp(point, p->devices[i].path) == 0)
			return true;
	return false;
}

/* Nothing beside what was planned. */
static int check_extra(const struct plan *p, int procfd, pid_t init, struct err *e)
{
	AUTO_FREE char *text = NULL;
	char path[64];

	snprintf(path, sizeof path, "%d/mountinfo", (int)init);
	int r = file_read(procfd, path, 64 << 20, &text, NULL);
	if (r < 0)
		return err_sys(e, -r, "read the restored container's mounts");
	for (char *line = text, *next; *line; line = next) {
		int at = 0;

		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = 0;
		if (sscanf(line, "%*s %*s %*s %*s %n", &at) < 0 || !at)
			continue;
		line[at + (int)strcspn(line + at, " ")] = 0;
		if (!is_planned(p, line + at))
			return refuse(e, "there is a mount at", line + at);
	}
	return 0;
}

/* "\nCapBnd:\t000001ffffffffff": the kernel's own hexadecimal, at most 16 digits. */
static uint64_t field(const char *status, const char *name)
{
	const char *at = strstr(status, name);
	uint64_t v = 0;

	if (!at)
		return 0;
	for (at += strlen(name) + 1; isxdigit((unsigned char)*at); at++)
		v = v << 4 | (uint64_t)(*at <= '9' ? *at - '0' : (*at | 32) - 'a' + 10);
	return v;
}

static int check_thread(const struct plan *p, bool has_seccomp, const char *status, struct err *e)
{
	static const char *const sets[] = { "\nCapInh:", "\nCapPrm:", "\nCapEff:", "\nCapBnd:",
					    "\nCapAmb:" };
	const struct plan_caps *caps = &p->process.caps;

	for (size_t i = 0; caps->is_set && i < ARRAY_LEN(sets); i++)
		if (field(status, sets[i]) & ~caps->bounding)
			return refuse(e, "a process has more capabilities", NULL);
	if (p->process.no_new_privileges && field(status, "\nNoNewPrivs:") != 1)
		return refuse(e, "a process has no no_new_privs", NULL);
	if (has_seccomp && field(status, "\nSeccomp:") != 2)
		return refuse(e, "a process has no seccomp filter", NULL);
	return 0;
}

static int check_process(const struct plan *p, bool has_seccomp, int procfd, pid_t pid,
			 struct err *e)
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
		int n = file_read(dirfd(dir), name, 1 << 16, &status, NULL);
		if (n < 0 && n != -ENOENT && n != -ESRCH)
			r = err_sys(e, -n, "read the state of process %d", (int)pid);
		else if (n >= 0)
			r = check_thread(p, has_seccomp, status, e);
	}
	closedir(dir);
	return r;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static const char *join_path(const struct plan *p, enum oci_ns type)
{
	for (size_t i = 0; i < p->n_joins; i++)
		if (p->joins[i].type == type)
			return p->joins[i].path;
	return NULL;
}

/* Which namespaces there are to be is written in the images: criu makes none that they do not name,
 * and then the process is in ours. */
static int check_namespaces(const struct plan *p, int procfd, pid_t pid, bool is_init,
			    struct err *e)
{
	static const char *const files[OCI_NS_COUNT] = {
		[OCI_NS_PID] = "pid", [OCI_NS_NETWORK] = "net", [OCI_NS_MOUNT] = "mnt",
		[OCI_NS_IPC] = "ipc", [OCI_NS_UTS] = "uts",     [OCI_NS_USER] = "user",
	};

	for (int i = 0; i < OCI_NS_COUNT; i++) {
		const char *join = join_path(p, (enum oci_ns)i);
		struct stat own, theirs, joined;
		char path[48], self[48];

		if (!files[i] || !(p->all_ns & plan_ns_flag((enum oci_ns)i)))
			continue;
		snprintf(path, sizeof path, "%d/ns/%s", (int)pid, files[i]);
		snprintf(self, sizeof self, "self/ns/%s", files[i]);
		if (fstatat(procfd, path, &theirs, 0) < 0) {
			if (errno == ENOENT && !is_init)
				return 0; /* gone since it was listed */
			return err_sys(e, errno, "look at the namespaces of process %d", (int)pid);
		}
		if (fstatat(procfd, self, &own, 0) < 0 || (join && stat(join, &joined) < 0))
			return err_sys(e, errno, "look at the %s namespace", files[i]);
		if (join ? is_init && !is_same(&theirs, &joined) : is_same(&theirs, &own))
			return refuse(e,
				      "a process is outside the container's namespace:", files[i]);
	}
	return 0;
}

int criu_verify(const struct plan *p, bool has_seccomp, int procfd, pid_t init, const pid_t *pids,
		size_t n_pids, struct err *e)
{
	char path[64];

	snprintf(path, sizeof path, "%d/root", (int)init);
	AUTO_FD int rootfd = openat(procfd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (rootfd < 0)
		return err_sys(e, errno, "open the restored container's root");
	if (check_namespaces(p, procfd, init, true, e) < 0)
		return -1;
	for (size_t i = 0; i < n_pids; i++)
		if (check_namespaces(p, procfd, pids[i], false, e) < 0)
			return -1;
	/* A container that may mount has what it likes; another has what config.json gave it. */
	bool may_mount = !p->process.caps.is_set ||
			 (p->process.caps.bounding & (UINT64_C(1) << CAP_SYS_ADMIN));
	if (!may_mount && (check_mounts(p, rootfd, e) < 0 || check_masks(p, rootfd, e) < 0 ||
			   check_extra(p, procfd, init, e) < 0))
		return -1;
	if (check_process(p, has_seccomp, procfd, init, e) < 0)
		return -1;
	for (size_t i = 0; i < n_pids; i++)
		if (check_process(p, has_seccomp, procfd, pids[i], e) < 0)
			return -1;
	return 0;
}
