/* The mounts that criu must be told of: those whose other end is outside of the container. */
#include "runtime/criu.h"

#include "os/file.h"
#include "os/path.h"
#include "os/syscall.h"
#include "runtime/mount.h"
#include "runtime/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#ifndef STATX_ATTR_MOUNT_ROOT
#define STATX_ATTR_MOUNT_ROOT 0x2000
#endif

#define NULL_TOKEN "casco-null"
#define NOTIFY_TOKEN "casco-notify"

static int add(struct arena *a, struct criu_mounts *m, const char *key, const char *val,
	       struct err *e)
{
	CriuMountMap *row = ARENA_NEW(a, CriuMountMap);

	/* criu's own form for such a pair is "mnt[KEY]:VAL", and it reads it back from there */
	if (strstr(key, "]:"))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "the mount point %s has \"]:\" in its name, which criu would "
			       "misread",
			       key);
	if (m->n == CRIU_MOUNTS_MAX)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "too many external mounts");
	for (size_t i = 0; i < m->n; i++)
		if (strcmp(m->v[i]->key, key) == 0)
			return 0; /* what is there first is known by that */
	criu_mount_map__init(row);
	row->key = (char *)key;
	row->val = (char *)val;
	m->v[m->n++] = row;
	return 0;
}

/* The kernel writes space, tab, newline and backslash of a path as \OOO. */
static const char *unescape(struct arena *a, const char *text, size_t n)
{
	char *out = arena_strndup(a, text, n), *to = out;

	for (const char *p = out; *p; p++) {
		if (p[0] == '\\' && p[1] && p[2] && p[3]) {
			*to++ = (char)(((p[1] - '0') << 6) | ((p[2] - '0') << 3) | (p[3] - '0'));
			p += 3;
		} else {
			*to++ = *p;
		}
	}
	*to = 0;
	return out;
}

/* Field 5 of the line with this id in field 1; NULL when there is none. */
static const char *find_point(struct arena *a, const char *mountinfo, uint64_t id)
{
	for (const char *line = mountinfo; *line;) {
		unsigned long long this_id;
		int at = 0;

		if (sscanf(line, "%llu %*s %*s %*s %n", &this_id, &at) == 1 && this_id == id && at)
			return unescape(a, line + at, strcspn(line + at, " \n"));
		line += strcspn(line, "\n");
		line += *line == '\n';
	}
	return NULL;
}

struct dumped {
	struct arena *a;
	struct criu_mounts *ret;
	int rootfd; /* the container's */
	const char *mountinfo;
};

/* What the container really has at a path of config.json, if that is a mount of its own. */
static int add_path(const struct dumped *d, const char *path, const char *token, struct err *e)
{
	AUTO_FD int fd = path_open(d->rootfd, path, O_PATH, 0);
	struct statx st;

	if (fd < 0) /* nothing there: nothing to say */
		return 0;
	int r = sys_statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st);
	if (r < 0)
		return err_sys(e, -r, "statx %s", path);
	if (!(st.stx_attributes & STATX_ATTR_MOUNT_ROOT))
		return 0;
	const char *point = find_point(d->a, d->mountinfo, st.stx_mnt_id);
	return point ? add(d->a, d->ret, point, token, e) : 0;
}

static bool is_char_device(int rootfd, const char *path)
{
	AUTO_FD int fd = path_open(rootfd, path, O_PATH, 0);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISCHR(st.st_mode);
}

/* One folder of each hierarchy below the mount: "/sys/fs/cgroup/pids". */
static int add_cgroups(const struct dumped *d, const char *dest, struct err *e)
{
	static const char *const names[] = {
		"blkio",    "cpu",        "cpuacct", "cpu,cpuacct", "cpuset",  "devices",
		"freezer",  "hugetlb",    "memory",  "misc",        "net_cls", "net_cls,net_prio",
		"net_prio", "perf_event", "pids",    "rdma",        "systemd", "unified",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (add_path(d, arena_printf(d->a, "%s/%s", dest, names[i]),
			     arena_printf(d->a, "casco-cgroup-%s", names[i]), e) < 0)
			return -1;
	return 0;
}

static int add_all(const struct dumped *d, const struct plan *p, struct err *e)
{
	enum cgroup_layout layout;

	if (cgroup_layout_detect(&layout, e) < 0)
		return -1;
	for (size_t i = 0; i < p->n_mounts; i++) {
		const struct mount_op *m = &p->mounts[i];

		if (m->kind == MOUNT_BIND &&
		    add_path(d, m->dest, arena_printf(d->a, "casco-mount-%zu", i), e) < 0)
			return -1;
		/* on v2 it is a file system of its own, which criu knows */
		if (m->kind == MOUNT_CGROUP && layout != CGROUP_V2 &&
		    add_cgroups(d, m->dest, e) < 0)
			return -1;
	}
	for (size_t i = 0; i < p->masked.n; i++)
		if (is_char_device(d->rootfd, p->masked.v[i]) &&
		    add_path(d, p->masked.v[i], NULL_TOKEN, e) < 0)
			return -1;
	for (size_t i = 0; p->make_devices && i < p->n_devices; i++)
		if (add_path(d, p->devices[i].path, arena_printf(d->a, "casco-device-%zu", i), e) <
		    0)
			return -1;
	return 0;
}

int criu_mounts_dump(struct arena *a, const struct plan *p, bool has_notify, int procfd, pid_t pid,
		     struct criu_mounts *ret, struct err *e)
{
	AUTO_FREE char *mountinfo = NULL;
	char path[64];

	snprintf(path, sizeof path, "%d/root", (int)pid);
	AUTO_FD int rootfd = openat(procfd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (rootfd < 0)
		return err_sys(e, errno, "open the container's root");
	snprintf(path, sizeof path, "%d/mountinfo", (int)pid);
	int r = file_read(procfd, path, 64 << 20, &mountinfo, NULL);
	if (r < 0)
		return err_sys(e, -r, "read the container's mounts");
	const struct dumped d = { a, ret, rootfd, mountinfo };
	if (add_all(&d, p, e) < 0)
		return -1;
	return has_notify ? add_path(&d, STATE_NOTIFY_INSIDE, NOTIFY_TOKEN, e) : 0;
}

static int restore_cgroups(struct arena *a, const struct oci_pairs *cgroups,
			   struct criu_mounts *ret, struct err *e)
{
	static const char top[] = "/sys/fs/cgroup/";

	for (size_t i = 0; i < cgroups->n; i++) {
		const char *path = cgroups->v[i].value;

		if (!str_starts(path, top))
			continue;
		const char *name = path + sizeof top - 1;
		if (add(a, ret, arena_printf(a, "casco-cgroup-%.*s", (int)strcspn(name, "/"), name),
			path, e) < 0)
			return -1;
	}
	return 0;
}

int criu_mounts_restore(struct arena *a, const struct plan *p, const struct oci_pairs *cgroups,
			struct criu_mounts *ret, struct err *e)
{
	for (size_t i = 0; i < p->n_mounts; i++) {
		const struct mount_op *m = &p->mounts[i];
		const char *source =
			m->source && *m->source == '/'
				? m->source
				: arena_printf(a, "%s/%s", p->bundle, m->source ? m->source : "");

		if (m->kind == MOUNT_BIND &&
		    add(a, ret, arena_printf(a, "casco-mount-%zu", i), source, e) < 0)
			return -1;
	}
	for (size_t i = 0; p->make_devices && i < p->n_devices; i++)
		if (add(a, ret, arena_printf(a, "casco-device-%zu", i), p->devices[i].path, e) < 0)
			return -1;
	if (add(a, ret, NULL_TOKEN, "/dev/null", e) < 0 ||
	    (p->notify && add(a, ret, NOTIFY_TOKEN, p->notify, e) < 0))
		return -1;
	return restore_cgroups(a, cgroups, ret, e);
}

static bool is_below(const char *path, const char *top)
{
	size_t n = strlen(top);

	return strncmp(path, top, n) == 0 && path[n] == '/';
}

/* What lies in another mount comes with that: criu restores a tmpfs whole, and a bound folder has
 * had its mount points since the container was created. */
static bool is_inside_another(const struct plan *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (is_below(p->mounts[n].dest, p->mounts[i].dest))
			return true;
	return false;
}

int criu_mounts_prepare(const struct plan *p, struct err *e)
{
	AUTO_FD int rootfd = open(p->rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (rootfd < 0)
		return err_sys(e, errno, "open %s", p->rootfs);
	for (size_t i = 0; i < p->n_mounts; i++) {
		const struct mount_op *m = &p->mounts[i];
		struct stat st;
		bool is_dir = true;

		if (m->kind == MOUNT_CHANGE || is_inside_another(p, i))
			continue;
		if (m->kind == MOUNT_BIND && m->source && *m->source == '/') {
			if (stat(m->source, &st) < 0)
				return err_sys(e, errno, "stat %s", m->source);
			is_dir = S_ISDIR(st.st_mode);
		}
		AUTO_FD int target = mount_open_target(rootfd, m->dest, is_dir, e);
		if (target < 0)
			return err_wrap(e, "create criu restore mountpoint for %s mount", m->dest);
	}
	return 0;
}
