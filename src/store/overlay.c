/* overlayfs: each snapshot holds its own layer; the kernel puts them together. */
#include "store/overlay.h"

#include "base/num.h"
#include "base/str.h"
#include "os/file.h"
#include "os/kernel.h"
#include "os/syscall.h"
#include "store/layer_dir.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { LOWERDIR_MAX = 1 << 20 };

/* Makes a superblock with the real option set, without mounting it anywhere. */
static int try_overlay(const char *lower, const char *upper, const char *work)
{
	AUTO_FD int fs = sys_fsopen("overlay", FSOPEN_CLOEXEC);

	if (fs < 0)
		return fs;

	int r = sys_fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir", lower, 0);
	if (r == 0)
		r = sys_fsconfig(fs, FSCONFIG_SET_STRING, "upperdir", upper, 0);
	if (r == 0)
		r = sys_fsconfig(fs, FSCONFIG_SET_STRING, "workdir", work, 0);
	if (r == 0)
		r = sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	return r;
}

int overlay_probe(int fd, struct err *e)
{
	static const char *const dirs[] = { "probe", "probe/lower", "probe/upper", "probe/work" };
	char path[3][64];
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(dirs) && r == 0; i++)
		if (mkdirat(fd, dirs[i], 0700) < 0 && errno != EEXIST)
			r = -errno;
	for (size_t i = 0; i < ARRAY_LEN(path); i++)
		snprintf(path[i], sizeof path[i], "/proc/self/fd/%d/%s", fd, dirs[i + 1]);
	if (r == 0)
		r = try_overlay(path[0], path[1], path[2]);
	(void)file_remove_tree(fd, "probe"); /* a leftover is found by the next clean-up */
	return r < 0 ? err_sys(e, -r, "overlayfs does not work on this file system") : 0;
}

static int probe(struct snapshotter *sn, struct err *e)
{
	return overlay_probe(sn->fd, e);
}

bool overlay_maps_ids(void)
{
	return kernel_is(5, 19);
}

/* --- the directory --- */

/* What id 0 of "0:1000:65536" is outside; further ranges follow a comma. */
static int mapped_root(const char *map, uint32_t *ret, struct err *e)
{
	AUTO_FREE char *copy = xstrdup(map);
	char *rest = NULL;

	for (char *p = strtok_r(copy, ",", &rest); p; p = strtok_r(NULL, ",", &rest)) {
		char *host = strchr(p, ':'), *size = host ? strchr(host + 1, ':') : NULL;
		uint64_t inside, outside, n;

		if (!size)
			break;
		*host++ = *size++ = 0;
		if (num_u64(p, &inside) < 0 || num_u64(host, &outside) < 0 ||
		    num_u64(size, &n) < 0 || outside >= UINT32_MAX)
			break;
		if (inside == 0 && n > 0) {
			*ret = (uint32_t)outside;
			return 0;
		}
	}
	return err_set(e, ERR_INVALID_ARGUMENT,
		       "failed to unmarshal snapshot ID mapped labels: \"%s\" maps no id 0", map);
}

static int set_owner(const struct snapshotter *sn, int dirfd, const struct layers *l, struct err *e)
{
	uint32_t uid = 0, gid = 0;
	struct stat st = { .st_mode = 0755 };

	if (l->nparents > 0) {
		AUTO_FD int parent = snapshotter_open_layer(sn, l->parents[0], e);

		if (parent < 0)
			return -1;
		if (fstat(parent, &st) < 0)
			return err_sys(e, errno, "stat parent snapshot");
		uid = st.st_uid;
		gid = st.st_gid;
	}
	if (l->uidmap &&
	    (mapped_root(l->uidmap, &uid, e) < 0 || mapped_root(l->gidmap, &gid, e) < 0))
		return -1;
	if (fchownat(dirfd, "fs", uid, gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fchmodat(dirfd, "fs", st.st_mode & 07777, 0) < 0)
		return err_sys(e, errno, "set owner of the snapshot");
	return 0;
}

int overlay_make(const struct snapshotter *sn, int dirfd, const struct layers *l, struct err *e)
{
	if (layer_dir_make(dirfd, e) < 0)
		return -1;
	if (l->kind == SNAPSHOT_ACTIVE && mkdirat(dirfd, "work", 0711) < 0)
		return err_sys(e, errno, "create work directory");
	return l->nparents || l->uidmap ? set_owner(sn, dirfd, l, e) : 0;
}

/* --- mounts --- */

static char *lowerdir(const struct snapshotter *sn, struct arena *a, const struct layers *l)
{
	AUTO_STR struct str s = STR_INIT(LOWERDIR_MAX);

	str_add(&s, "lowerdir=");
	for (size_t i = 0; i < l->nparents; i++)
		str_addf(&s, "%s%s", i ? ":" : "", snapshotter_fs_path(sn, a, l->parents[i]));
	return arena_strdup(a, str_c(&s));
}

struct options {
	const char **v;
	size_t n;
};

static void add(struct options *o, const char *option)
{
	o->v[o->n++] = option;
}

/* The operator's, and index=off where nobody asked for an index: it would bind an upper directory
 * to the very folders it was first mounted with, which a restored backup does not have. */
static void add_configured(struct options *o, const struct snapshot_options *opt)
{
	bool has_index = false;

	for (size_t i = 0; i < opt->n_mount_options; i++) {
		has_index |= str_starts(opt->mount_options[i], "index=");
		add(o, opt->mount_options[i]);
	}
	if (!has_index)
		add(o, "index=off");
}

int overlay_mounts(const struct snapshotter *sn, struct arena *a, const struct layers *l,
		   struct mounts *ret, struct err *e)
{
	bool is_view = l->kind == SNAPSHOT_VIEW;
	struct options o = { arena_array(a, 8 + sn->opt->n_mount_options, sizeof *o.v), 0 };

	for (size_t i = 0; sn->ops->show && i < l->nparents; i++)
		if (sn->ops->show(sn, l->parents[i], e) < 0)
			return -1;
	if (l->uidmap) {
		add(&o, arena_printf(a, "uidmap=%s", l->uidmap));
		add(&o, arena_printf(a, "gidmap=%s", l->gidmap));
	}
	if (l->nparents == 0 || (is_view && l->nparents == 1)) {
		uint64_t number = l->nparents ? l->parents[0] : l->number;

		add(&o, is_view ? "ro" : "rw");
		add(&o, "rbind");
		mounts_set(a, ret, "bind", snapshotter_fs_path(sn, a, number), o.v, o.n);
		return 0;
	}
	if (!is_view) {
		add(&o, arena_printf(a, "workdir=%s/%llu/work", sn->path,
				     (unsigned long long)l->number));
		add(&o, arena_printf(a, "upperdir=%s", snapshotter_fs_path(sn, a, l->number)));
	}
	add(&o, lowerdir(sn, a, l));
	add_configured(&o, sn->opt);
	mounts_set(a, ret, "overlay", "overlay", o.v, o.n);
	return 0;
}

const struct snapshotter_ops overlay_ops = {
	.name = "overlayfs",
	.whiteout = WHITEOUT_OVERLAY,
	.has_lowers = true,
	.probe = probe,
	.make = overlay_make,
	.mounts = overlay_mounts,
};
