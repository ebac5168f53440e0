#include "runtime/trees.h"

#include "os/syscall.h"
#include "runtime/mount.h"
#include "runtime/mount_api.h"
#include "runtime/rootless.h"
#include "runtime/stage.h"
#include "runtime/userns.h"

#include <string.h>

struct idmap_memory {
	const char *uid_map, *gid_map;
	int userns; /* that of the last mount: many have the same maps */
};

static void idmap_forget(struct idmap_memory *m)
{
	close_fd(&m->userns);
}

static int join_fd(const struct launch *l, enum oci_ns type)
{
	for (size_t i = 0; i < l->plan->n_joins; i++)
		if (l->plan->joins[i].type == type)
			return l->join_fds[i];
	return -1;
}

static int set_idmap(struct launch *l, const struct mount_op *op, int tree, struct idmap_memory *m,
		     struct err *e)
{
	if (!op->idmap)
		return 0;
	if (!op->uid_map)
		return mount_set_idmap(op, tree, join_fd(l, OCI_NS_USER), e);
	if (m->userns < 0 || strcmp(m->uid_map, op->uid_map) != 0 ||
	    strcmp(m->gid_map, op->gid_map) != 0) {
		close_fd(&m->userns);
		m->userns = userns_open(l->end.procfd, op->uid_map, op->gid_map, e);
		if (m->userns < 0)
			return -1;
		m->uid_map = op->uid_map;
		m->gid_map = op->gid_map;
	}
	return mount_set_idmap(op, tree, m->userns, e);
}

static int open_binds(struct launch *l, struct arena *a, bool all, struct err *e)
{
	CLEANUP(idmap_forget) struct idmap_memory memory = { .userns = -1 };
	const struct plan *p = l->plan;

	l->trees = arena_array(a, p->n_mounts, sizeof(int));
	for (size_t i = 0; i < p->n_mounts; i++)
		l->trees[i] = -1;
	for (size_t i = 0; i < p->n_mounts; i++) {
		const struct mount_op *op = &p->mounts[i];

		if (op->kind != MOUNT_BIND || !(all || op->idmap))
			continue;
		if (op->source_inside) /* an earlier mount may lie on it */
			continue;
		l->trees[i] = mount_copy_source(op, p->bundle, false, e);
		if (l->trees[i] < 0 || set_idmap(l, op, l->trees[i], &memory, e) < 0)
			return err_wrap(e, "error mounting \"%s\" to rootfs at \"%s\"", op->source,
					op->dest);
	}
	return 0;
}

int trees_set_owners(struct launch *l, int tree, size_t *next, struct err *e)
{
	CLEANUP(idmap_forget) struct idmap_memory memory = { .userns = -1 };
	const struct plan *p = l->plan;
	size_t i = *next;

	while (i < p->n_mounts && !(p->mounts[i].idmap && p->mounts[i].source_inside))
		i++;
	if (i == p->n_mounts)
		return err_set(e, ERR_INTERNAL, "unexpected start stage %d", STAGE_OWNERS);
	*next = i + 1;
	if (set_idmap(l, &p->mounts[i], tree, &memory, e) < 0)
		return err_wrap(e, "error mounting \"%s\" to rootfs at \"%s\"", p->mounts[i].source,
				p->mounts[i].dest);
	return 0;
}

static bool has_idmaps(const struct plan *p)
{
	for (size_t i = 0; i < p->n_mounts; i++)
		if (p->mounts[i].idmap)
			return true;
	return false;
}

int trees_open(struct launch *l, struct arena *a, struct err *e)
{
	const struct plan *p = l->plan;
	struct mount_op root = {
		.kind = MOUNT_BIND, .dest = "/", .source = p->rootfs, .recursive = true
	};

	bool in_userns = p->all_ns & CLONE_NEWUSER, idmaps = has_idmaps(p);

	if (!in_userns && !idmaps)
		return 0;
	if (!rootless_is_privileged()) {
		/* a caller who can't copy mounts here finds all that he may use from inside, too */
		if (idmaps)
			return err_set(e, ERR_PERMISSION_DENIED,
				       "id-mapped mounts are not supported for rootless "
				       "containers");
		l->sources = arena_array(a, p->n_mounts + 1, sizeof(int));
		return 0;
	}
	if (!in_userns)
		return open_binds(l, a, false, e);
	if (!mount_api_is_there()) {
		l->sources = arena_array(a, p->n_mounts + 1, sizeof(int));
		return 0;
	}
	l->root_tree = mount_copy_source(&root, p->bundle, false, e);
	return l->root_tree < 0 ? -1 : open_binds(l, a, true, e);
}
