#include "shim/rootfs_idmap.h"

#include "base/mem.h"
#include "base/num.h"
#include "os/syscall.h"
#include "runtime/userns.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

enum { LOWER_MAX = 4096, MAP_TEXT_MAX = 4096 };

/* "0:1000:10,10:5000:10" as the kernel's lines. */
static int map_text(const char *map, struct str *ret, struct err *e)
{
	AUTO_FREE char *copy = xstrdup(map);
	char *rest = NULL;

	for (char *p = strtok_r(copy, ",", &rest); p; p = strtok_r(NULL, ",", &rest)) {
		char *host = strchr(p, ':'), *size = host ? strchr(host + 1, ':') : NULL;
		uint64_t n[3];

		if (!size)
			return err_set(e, ERR_INVALID_ARGUMENT, "id map %s", map);
		*host++ = *size++ = 0;
		if (num_u64(p, &n[0]) < 0 || num_u64(host, &n[1]) < 0 || num_u64(size, &n[2]) < 0)
			return err_set(e, ERR_INVALID_ARGUMENT, "id map %s", map);
		str_addf(ret, "%llu %llu %llu\n", (unsigned long long)n[0],
			 (unsigned long long)n[1], (unsigned long long)n[2]);
	}
	return ret->over || !ret->len ? err_set(e, ERR_INVALID_ARGUMENT, "id map %s", map) : 0;
}

static const char *value_of(const struct rootfs_mount *m, const char *key)
{
	for (size_t i = 0; i < m->n_options; i++)
		if (str_starts(m->options[i], key))
			return m->options[i] + strlen(key);
	return NULL;
}

int rootfs_idmap_open(const struct rootfs_mount *m, int *ret, struct err *e)
{
	const char *uids = value_of(m, "uidmap="), *gids = value_of(m, "gidmap=");
	AUTO_STR struct str uid_text = STR_INIT(MAP_TEXT_MAX), gid_text = STR_INIT(MAP_TEXT_MAX);

	*ret = -1;
	if (!uids && !gids)
		return 0;
	if (!uids || !gids)
		return err_set(e, ERR_INVALID_ARGUMENT, "uidmap and gidmap belong together");
	if (map_text(uids, &uid_text, e) < 0 || map_text(gids, &gid_text, e) < 0)
		return -1;

	AUTO_FD int procfd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (procfd < 0)
		return err_sys(e, errno, "open /proc");
	*ret = userns_open(procfd, str_c(&uid_text), str_c(&gid_text), e);
	return *ret < 0 ? -1 : 0;
}

int rootfs_idmap_tree(int tree, int userns, bool is_recursive, struct err *e)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns };
	int r = sys_mount_setattr(tree, "", AT_EMPTY_PATH | (is_recursive ? AT_RECURSIVE : 0),
				  &attr);

	return r < 0 ? err_sys(e, -r, "map ids of a mount (the file system must know how)") : 0;
}

static char *copy_path(const char *rootfs, size_t i)
{
	return xasprintf("%s-lower-%zu", rootfs, i);
}

static int mount_copy(const char *from, const char *to, int userns, struct err *e)
{
	AUTO_FD int tree = sys_open_tree(AT_FDCWD, from, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (tree < 0)
		return err_sys(e, -tree, "open layer %s", from);
	if (rootfs_idmap_tree(tree, userns, false, e) < 0)
		return -1;
	if (mkdir(to, 0700) < 0 && errno != EEXIST)
		return err_sys(e, errno, "mkdir %s", to);

	int r = sys_move_mount(tree, "", AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH);
	return r < 0 ? err_sys(e, -r, "mount %s", to) : 0;
}

int rootfs_idmap_lower(const char *rootfs, struct strv *lower, int userns, struct err *e)
{
	AUTO_STRV struct strv mapped = { 0 };

	if (lower->n > LOWER_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "%zu layers", lower->n);
	for (size_t i = 0; i < lower->n; i++) {
		AUTO_FREE char *to = copy_path(rootfs, i);

		if (mount_copy(lower->v[i], to, userns, e) < 0)
			return -1;
		strv_add(&mapped, to);
	}
	strv_done(lower);
	*lower = mapped;
	mapped = (struct strv){ 0 };
	return 0;
}

void rootfs_idmap_done(const char *rootfs)
{
	for (size_t i = 0; i < LOWER_MAX; i++) {
		AUTO_FREE char *path = copy_path(rootfs, i);

		(void)umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW); /* it may not be mounted yet */
		if (rmdir(path) < 0)
			return; /* the last one there was */
	}
}
