#include "cmd/ctr/remap.h"
#include "cmd/ctr/mounts.h"
#include "cmd/ctr/snapshot_new.h"

#include "os/fd.h"
#include "store/inodes.h"
#include "store/tree.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char *idmap_text(struct arena *a, const struct oci_idmappings *m)
{
	struct str s AUTO_STR = STR_INIT(64 << 10);

	for (size_t i = 0; i < m->n; i++)
		str_addf(&s, "%s%u:%u:%u", i ? "," : "", m->v[i].container_id, m->v[i].host_id,
			 m->v[i].size);
	return arena_strdup(a, str_c(&s));
}

struct walk {
	const struct oci_idmappings *uids, *gids;
	struct inodes seen; /* with more than one link */
	uint32_t root_id; /* the host's id of the container's root */
	uint32_t missing; /* what is not mapped, after -ERANGE */
};

static int map(struct walk *w, const struct oci_idmappings *m, uint32_t id, uint32_t *ret)
{
	for (size_t i = 0; i < m->n; i++)
		if (id >= m->v[i].container_id && id - m->v[i].container_id < m->v[i].size) {
			*ret = m->v[i].host_id + (id - m->v[i].container_id);
			return 0;
		}
	w->missing = id;
	return -ERANGE;
}

/* File capabilities as the container's root may have given them. A change of owner drops them. */
static int keep_capabilities(struct walk *w, int fd, struct vfs_ns_cap_data *cap)
{
	ssize_t n = fgetxattr(fd, "security.capability", cap, sizeof *cap);

	if (n < (ssize_t)sizeof(struct vfs_cap_data))
		return 0;
	cap->magic_etc =
		htole32(VFS_CAP_REVISION_3 | (le32toh(cap->magic_etc) & VFS_CAP_FLAGS_EFFECTIVE));
	cap->rootid = htole32(w->root_id);
	return 1;
}

static int change(struct walk *w, int dirfd, const char *name, const struct stat *st)
{
	bool is_program = S_ISREG(st->st_mode) && (st->st_mode & 0111);
	int fd AUTO_FD =
		is_program ? openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
			   : -1;
	struct vfs_ns_cap_data cap;
	uint32_t uid = 0, gid = 0;
	int has_cap = fd >= 0 ? keep_capabilities(w, fd, &cap) : 0;
	int r = map(w, w->uids, st->st_uid, &uid);

	if (r == 0)
		r = map(w, w->gids, st->st_gid, &gid);
	if (r < 0)
		return r;
	if (fchownat(dirfd, name, uid, gid, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0)
		return -errno;
	if (fd >= 0 && (st->st_mode & 06000) && fchmod(fd, st->st_mode & 07777) < 0)
		return -errno; /* the set-id bits went with the owner */
	if (has_cap && fsetxattr(fd, "security.capability", &cap, sizeof cap, 0) < 0)
		return -errno;
	return 0;
}

static int visit(const struct tree_entry *t, void *arg)
{
	struct walk *w = arg;
	struct inode *inode;

	if (t->when == TREE_ENTER)
		return 0; /* on the way out */
	if (t->when == TREE_LEAF && t->st.st_nlink > 1 && !inodes_add(&w->seen, &t->st, &inode))
		return 0; /* done by its other name */
	return change(w, t->dirfd, t->name, &t->st);
}

int remap_tree(const char *dir, const struct oci_idmappings *uids,
	       const struct oci_idmappings *gids, struct err *e)
{
	struct walk w = { .uids = uids, .gids = gids };
	int fd AUTO_FD = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, errno, "open %s", dir);
	r = map(&w, uids, 0, &w.root_id);
	if (r == 0)
		r = tree_walk(fd, visit, &w);
	inodes_done(&w.seen);
	if (r == 0)
		r = change(&w, fd, "", &st);
	if (r == -ERANGE)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "the image has files of id %u, which is not mapped", w.missing);
	return r < 0 ? err_sys(e, -r, "change the owners of %s", dir) : 0;
}

static int remap_mounted(struct arena *a, const SNAPSHOTS(PrepareSnapshotResponse) * p,
			 const struct oci_idmappings *uids, const struct oci_idmappings *gids,
			 struct err *e)
{
	char *dir = arena_strdup(a, "/tmp/containerd-mountXXXXXX");
	int r;

	if (p->n_mounts != 1)
		return err_set(e, ERR_UNIMPLEMENTED, "a snapshot of %zu mounts with --uidmap",
			       p->n_mounts);
	if (!mkdtemp(dir))
		return err_sys(e, errno, "mkdtemp %s", dir);
	r = mounts_perform_safely(a, p->mounts[0], dir, e);
	if (r == 0) {
		r = remap_tree(dir, uids, gids, e);
		if (umount2(dir, 0) < 0 && r == 0)
			r = err_sys(e, errno, "unmount %s", dir);
		else if (r < 0)
			(void)umount2(dir, MNT_DETACH); /* e says what went wrong first */
	}
	(void)rmdir(dir);
	return r;
}

static int make(struct ctr *ctr, const char *snapshotter, const char *parent, const char *name,
		const struct oci_idmappings *uids, const struct oci_idmappings *gids, struct err *e)
{
	static const struct labels none;
	SNAPSHOTS(CommitSnapshotRequest) commit = SNAPSHOTS_INIT(COMMIT_SNAPSHOT_REQUEST);
	SNAPSHOTS(RemoveSnapshotRequest) rm = SNAPSHOTS_INIT(REMOVE_SNAPSHOT_REQUEST);
	SNAPSHOTS(PrepareSnapshotResponse) * p;
	struct err undo = { 0 };

	commit.snapshotter = rm.snapshotter = PB(snapshotter);
	commit.key = rm.key = PB(ctr_unique(ctr, "remap-"));
	commit.name = PB(name);
	if (snapshot_prepare(ctr, snapshotter, commit.key, parent, &none, &p, e) < 0)
		return -1;
	if (remap_mounted(ctr->arena, p, uids, gids, e) == 0 &&
	    CTR_CALL_EMPTY(ctr, "snapshots.v1.Snapshots/Commit", &commit, e) == 0)
		return 0;
	(void)CTR_CALL_EMPTY(ctr, "snapshots.v1.Snapshots/Remove", &rm, &undo); /* e says why */
	if (e->code != ERR_ALREADY_EXISTS)
		return -1;
	err_clear(e); /* somebody else made the same meanwhile */
	return 0;
}

int remap_snapshot(struct ctr *ctr, const char *snapshotter, const char *parent,
		   const struct oci_idmappings *uids, const struct oci_idmappings *gids,
		   const char **ret, struct err *e)
{
	SNAPSHOTS(StatSnapshotRequest) req = SNAPSHOTS_INIT(STAT_SNAPSHOT_REQUEST);

	*ret = arena_printf(ctr->arena, "%s-%s-%s", parent, idmap_text(ctr->arena, uids),
			    idmap_text(ctr->arena, gids));
	req.snapshotter = PB(snapshotter);
	req.key = PB(*ret);
	if (CTR_CALL(ctr, "snapshots.v1.Snapshots/Stat", &req,
		     snapshots__v1__stat_snapshot_response, NULL, e) == 0)
		return 0;
	if (e->code != ERR_NOT_FOUND)
		return -1;
	err_clear(e);
	return make(ctr, snapshotter, parent, *ret, uids, gids, e);
}

int remap_is_built_in(struct ctr *ctr, const char *snapshotter, bool *ret, struct err *e)
{
	INTROSPECTION(PluginsRequest) req = INTROSPECTION_INIT(PLUGINS_REQUEST);
	INTROSPECTION(PluginsResponse) * rsp;
	char *filter = arena_printf(ctr->arena, "type==io.containerd.snapshotter.v1,id==\"%s\"",
				    snapshotter);

	*ret = false;
	req.filters = &filter;
	req.n_filters = 1;
	if (CTR_CALL(ctr, "introspection.v1.Introspection/Plugins", &req,
		     introspection__v1__plugins_response, &rsp, e) < 0)
		return -1;
	for (size_t i = 0; i < rsp->n_plugins; i++)
		for (size_t k = 0; k < rsp->plugins[i]->n_capabilities; k++)
			*ret |= !strcmp(rsp->plugins[i]->capabilities[k], "remap-ids");
	return 0;
}
