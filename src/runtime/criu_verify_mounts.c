/* What of a restored container is masked, read-only and mounted: the images say where criu mounts
 * what, and so would show the host's side of /proc if they were believed. */
#include "runtime/criu_verify.h"

#include "base/mem.h"
#include "os/file.h"
#include "os/path.h"
#include "os/syscall.h"
#include "runtime/state.h"

#include <errno.h>
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
	return err_set(e, ERR_PERMISSION_DENIED, CRIU_MISFIT "%s%s%s", what, path ? " " : "",
		       path ? path : "");
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

/* 1: the folder for sd_notify() is there, and nothing else; 0: nothing is mounted. */
static int check_notify(const struct plan *p, int rootfd, struct err *e)
{
	struct stat st, ours;
	bool ro = false, is_root = false;
	int r = p->notify ? look(rootfd, STATE_NOTIFY_INSIDE, &ro, &is_root, &st, e) : 0;

	if (r <= 0 || !is_root)
		return r < 0 ? -1 : 0;
	if (stat(p->notify, &ours) < 0)
		return err_sys(e, errno, "stat %s", p->notify);
	if (ours.st_dev != st.st_dev || ours.st_ino != st.st_ino)
		return refuse(e, "another thing than its source is at", STATE_NOTIFY_INSIDE);
	return ro ? 1 : refuse(e, "not read-only:", STATE_NOTIFY_INSIDE);
}

bool criu_has_notify(const struct plan *p, int procfd, pid_t init)
{
	struct err ignored = { 0 };
	char path[64];

	snprintf(path, sizeof path, "%d/root", (int)init);
	AUTO_FD int rootfd = openat(procfd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return rootfd < 0 || check_notify(p, rootfd, &ignored) != 0;
}

static bool is_at_or_below(const char *path, const char *top)
{
	size_t n = strlen(top);

	return strncmp(path, top, n) == 0 && (!path[n] || path[n] == '/');
}

/* points[i]: where mounts[i] is, NULL for just where config.json says.  Its own path may lead over
 * links of the root. */
static bool is_planned(const struct plan *p, const char *const *points, const char *point)
{
	if (strcmp(point, "/") == 0 || strcmp(point, "/dev/console") == 0 ||
	    (p->notify && strcmp(point, STATE_NOTIFY_INSIDE) == 0)) /* see check_notify() */
		return true;
	for (size_t i = 0; i < p->n_mounts; i++) {
		const char *dest = points[i] ? points[i] : p->mounts[i].dest;

		if (is_at_or_below(point, dest) &&
		    (strcmp(point, dest) == 0 || p->mounts[i].recursive ||
		     p->mounts[i].kind == MOUNT_CGROUP))
			return true;
	}
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

/* The id of the mount whose root is at path; 0: none is, or the kernel does not say. */
static uint64_t mount_id_at(int rootfd, const char *path)
{
	AUTO_FD int fd = path_open(rootfd, path, O_PATH, 0);
	struct statx st;

	if (fd < 0 || sys_statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st) < 0 ||
	    !(st.stx_mask & STATX_MNT_ID) || !(st.stx_attributes & STATX_ATTR_MOUNT_ROOT))
		return 0;
	return st.stx_mnt_id;
}

struct mount_line {
	uint64_t id;
	const char *point;
};

/* The mounts of mountinfo, whose text gets their points' ends. */
static struct mount_line *split_mountinfo(char *text, size_t *ret_n)
{
	struct mount_line *list = NULL;
	size_t n = 0, cap = 0;

	for (char *line = text, *next; *line; line = next) {
		unsigned long long id;
		int at = 0;

		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = 0;
		if (sscanf(line, "%llu %*s %*s %*s %n", &id, &at) < 1 || !at)
			continue;
		line[at + (int)strcspn(line + at, " ")] = 0;
		GROW(list, n, cap);
		list[n++] = (struct mount_line){ id, line + at };
	}
	*ret_n = n;
	return list;
}

static const char *point_of(const struct mount_line *list, size_t n, uint64_t id)
{
	for (size_t i = 0; id && i < n; i++)
		if (list[i].id == id)
			return list[i].point;
	return NULL;
}

/* Nothing beside what was planned. */
static int check_extra(const struct plan *p, int procfd, pid_t init, int rootfd, struct err *e)
{
	AUTO_FREE char *text = NULL;
	char path[64];
	size_t n;

	snprintf(path, sizeof path, "%d/mountinfo", (int)init);
	int r = file_read(procfd, path, 64 << 20, &text, NULL);
	if (r < 0)
		return err_sys(e, -r, "read the restored container's mounts");

	AUTO_FREE struct mount_line *list = split_mountinfo(text, &n);
	AUTO_FREE const char **points = xcalloc(p->n_mounts + 1, sizeof *points);

	for (size_t i = 0; i < p->n_mounts; i++)
		points[i] = point_of(list, n, mount_id_at(rootfd, p->mounts[i].dest));
	for (size_t i = 0; i < n; i++)
		if (!is_planned(p, points, list[i].point))
			return refuse(e, "there is a mount at", list[i].point);
	return 0;
}

int criu_verify_mounts(const struct plan *p, int procfd, pid_t init, int rootfd, struct err *e)
{
	if (check_mounts(p, rootfd, e) < 0 || check_masks(p, rootfd, e) < 0 ||
	    check_notify(p, rootfd, e) < 0)
		return -1;
	return check_extra(p, procfd, init, rootfd, e);
}
