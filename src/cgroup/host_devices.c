#include "cgroup/host_devices.h"

#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { DEPTH_MAX = 8, DEVICES_MAX = 4096 };

static void add(struct device_list *l, const char *path, const struct stat *st)
{
	GROW(l->v, l->n, l->cap);
	l->v[l->n++] = (struct gen_device){
		.path = arena_strdup(l->arena, path),
		.type = S_ISBLK(st->st_mode) ? 'b' : 'c',
		.major = major(st->st_rdev),
		.minor = minor(st->st_rdev),
		.mode = st->st_mode & 07777,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.access = "rwm",
	};
}

/* Folders that containers get fresh, or that are no devices. */
static bool is_skipped(const char *name)
{
	static const char *const skipped[] = {
		".", "..", "pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev", "console"
	};

	for (size_t i = 0; i < ARRAY_LEN(skipped); i++)
		if (!strcmp(name, skipped[i]))
			return true;
	return false;
}

static int walk(struct device_list *l, const char *path, unsigned depth, struct err *e)
{
	DIR *dir = depth ? opendir(path) : NULL;
	struct dirent *d;
	struct stat st;

	if (!dir)
		return depth ? err_sys(e, errno, "open %s", path) : 0;
	while ((d = readdir(dir)) && l->n < DEVICES_MAX) {
		char *child AUTO_FREE = xasprintf("%s/%s", path, d->d_name);

		if (is_skipped(d->d_name) || lstat(child, &st) < 0)
			continue;
		if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) {
			add(l, child, &st);
		} else if (S_ISDIR(st.st_mode) && walk(l, child, depth - 1, e) < 0) {
			closedir(dir);
			return -1;
		}
	}
	closedir(dir);
	return 0;
}

int host_devices_add(struct device_list *l, const char *path, struct err *e)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return err_sys(e, errno, "stat %s", path);
	if (S_ISDIR(st.st_mode))
		return walk(l, path, DEPTH_MAX, e);
	if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_set(e, ERR_INVALID_ARGUMENT, "%s: not a device node", path);
	add(l, path, &st);
	return 0;
}

int host_devices_all(struct device_list *l, struct err *e)
{
	return walk(l, "/dev", DEPTH_MAX, e);
}
