/* From a spec's words to folders with limits; and back from saved paths. */
#include "cgroup/apply.h"
#include "cgroup/devices.h"
#include "cgroup/private.h"
#include "cgroup/resources.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

struct cgroup *cgroup_new(enum cgroup_layout layout)
{
	struct cgroup *cg = NEW(struct cgroup);

	cg->layout = layout;
	cg->ops = layout == CGROUP_V2 ? &cgroup_v2_ops : &cgroup_v1_ops;
	for (size_t i = 0; i < CG_HIERARCHIES_MAX; i++)
		cg->dirs[i].fd = -1; /* also where rootless there is none */
	return cg;
}

void cgroup_free(struct cgroup *cg)
{
	if (!cg)
		return;
	cgroup_pending_free(cg->pending);
	cgroup_unit_free(cg->unit);
	for (size_t i = 0; i < cg->n; i++) {
		close_fd(&cg->dirs[i].fd);
		free(cg->dirs[i].path);
	}
	free(cg);
}

enum cgroup_layout cgroup_layout_of(const struct cgroup *cg)
{
	return cg->layout;
}

struct cgroup_dir *cgroup_add_dir(struct cgroup *cg, unsigned controllers, bool is_v2,
				  char *path_take)
{
	if (cg->n == CG_HIERARCHIES_MAX)
		BUG("too many cgroup hierarchies");

	struct cgroup_dir *dir = &cg->dirs[cg->n++];
	*dir = (struct cgroup_dir){
		.controllers = controllers, .is_v2 = is_v2, .path = path_take, .fd = -1
	};
	return dir;
}

const struct cgroup_dir *cgroup_find(const struct cgroup *cg, unsigned controller)
{
	for (size_t i = 0; i < cg->n; i++)
		if (cg->dirs[i].controllers & controller)
			return &cg->dirs[i];
	return NULL;
}

const struct cgroup_dir *cgroup_main_dir(const struct cgroup *cg)
{
	static const unsigned order[] = { CG_FREEZER, CG_PIDS, CG_DEVICES, CG_MEMORY };

	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		const struct cgroup_dir *dir = cgroup_find(cg, order[i]);

		if (dir && dir->fd >= 0)
			return dir;
	}
	return cg->n ? &cg->dirs[0] : NULL;
}

int cgroup_dirfd(const struct cgroup *cg)
{
	if (cgroup_unit_moves(cg))
		return -1;
	if (cg->layout == CGROUP_V2)
		return cg->dirs[0].fd;
	const struct cgroup_dir *unified = cgroup_find(cg, CG_UNIFIED);
	return unified ? unified->fd : -1;
}

bool cgroup_can_enter(const struct cgroup *cg)
{
	return cg->layout != CGROUP_V2 && !cgroup_unit_moves(cg);
}

int cgroup_enter(const struct cgroup *cg, bool in_unified, struct err *e)
{
	for (size_t i = 0; i < cg->n; i++) {
		const struct cgroup_dir *dir = &cg->dirs[i];

		if (dir->is_v2 && in_unified)
			continue;
		int r = cg_write(dir->fd, dir->is_v2 ? "cgroup.procs" : "tasks", "0");
		if (r < 0 && dir->controllers != CG_UNIFIED) /* is_only_place() */
			return err_sys(e, -r, "cannot move into the cgroup %s", dir->path);
	}
	return 0;
}

int cgroup_attach(struct cgroup *cg, pid_t pid, struct err *e)
{
	return cgroup_unit_moves(cg) ? cgroup_systemd_attach(cg, pid, e) : cgroup_move(cg, pid, e);
}

int cgroup_move(const struct cgroup *cg, pid_t pid, struct err *e)
{
	char text[16];

	snprintf(text, sizeof text, "%d", (int)pid);
	for (size_t i = 0; i < cg->n; i++) {
		int r = cg_write(cg->dirs[i].fd, "cgroup.procs", text);

		if (r < 0 && cg->dirs[i].controllers != CG_UNIFIED) /* is_only_place() */
			return err_sys(e, -r, "cannot move process %d into the cgroup %s", (int)pid,
				       cg->dirs[i].path);
	}
	return 0;
}

/* Where the container goes in one hierarchy, from its mount: runc's rules. */
static char *place(const struct cgroup_config *cfg, const struct hierarchy *h, bool is_v2)
{
	AUTO_FREE char *inner = cgroup_path_clean(cfg->path && *cfg->path ? cfg->path : cfg->id);
	AUTO_FREE char *joined = NULL;

	if (*inner == '/')
		return TAKE_PTR(inner);
	/* On v2 a sibling: our own cgroup has processes, so it can't hand controllers down. */
	joined = xasprintf("%s%s/%s", h->own, is_v2 ? "/.." : "", inner);
	return cgroup_path_clean(joined);
}

/* What lives in a folder that was there before us. */
int cgroup_refuse_if_used(const struct cgroup *cg, struct err *e)
{
	AUTO_CGROUP_PIDS struct cgroup_pids pids = { 0 };
	const struct cgroup_dir *dir = cgroup_main_dir(cg);
	bool frozen;

	if (!dir || dir->is_made)
		return 0;
	if (cgroup_list_pids(cg, &pids, e) < 0)
		return -1;
	if (pids.n)
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "container's cgroup is not empty: %zu process(es) found", pids.n);
	if (cg->ops->is_frozen(cg, &frozen, e) < 0)
		return -1;
	if (frozen)
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "container's cgroup unexpectedly frozen");
	return 0;
}

/* Who is not root and did not ask for a place of his own goes without one. */
static bool may_do_without(const struct cgroup_config *cfg, const struct err *why)
{
	return cfg->rootless && !(cfg->path && *cfg->path) &&
	       (why->errnum == EACCES || why->errnum == EPERM || why->errnum == EROFS);
}

static int tell_place(const struct cgroup_config *cfg, const struct hierarchy *h, const char *rel,
		      struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/%s", h->mount, rel);
	AUTO_FREE char *clean = cgroup_path_clean(path);
	unsigned first = h->controllers & -h->controllers;

	if (!cfg->on_place)
		return 0;
	return cfg->on_place(cfg->data,
			     h->controllers & CG_UNIFIED ? "" : cgroup_controller_name(first),
			     clean, e);
}

static unsigned mounted_v1(const struct cgroup_mounts *m)
{
	unsigned bits = 0;

	for (size_t i = 0; i < m->n; i++)
		bits |= m->h[i].controllers;
	return bits & CG_V1_ALL;
}

/* The v2 side of a hybrid without a limit that lives there: only for what tells by it who a process
 * is (netfilter, BPF).  A container can do without. */
static bool is_only_place(const struct cgroup_mounts *m, const struct hierarchy *h, unsigned wanted)
{
	if (m->layout == CGROUP_V2 || !(h->controllers & CG_UNIFIED))
		return false;
	return !(wanted & CG_HUGETLB) || mounted_v1(m) & CG_HUGETLB;
}

static const struct cgroup_dir_maker *maker_for(const struct hierarchy *h, bool only_place)
{
	if (h->controllers & CG_CPUSET)
		return &cgroup_cpuset_maker;
	return h->controllers & CG_UNIFIED && !only_place ? &cgroup_v2_maker : &cgroup_v1_maker;
}

int cgroup_make_dirs(const struct cgroup_config *cfg, const struct cgroup_mounts *m,
		     unsigned wanted, bool has_limits, struct cgroup *cg, struct err *e)
{
	for (size_t i = 0; i < m->n; i++) {
		const struct hierarchy *h = &m->h[i];
		bool is_v2 = h->controllers & CG_UNIFIED;
		AUTO_FREE char *rel = place(cfg, h, is_v2);
		bool only_place = is_only_place(m, h, wanted);
		struct err here = { 0 };

		if (!(h->controllers & wanted))
			continue;
		if (strcmp(rel, "/") == 0 || !*rel)
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "cgroupsPath \"%s\" is the root of the hierarchy",
				       cfg->path ? cfg->path : "");

		if (tell_place(cfg, h, rel, e) < 0)
			return -1;
		unsigned bits = is_v2 && m->layout == CGROUP_V2 ? CG_V2_ALL : h->controllers;
		struct cgroup_dir *dir = cgroup_add_dir(cg, bits, is_v2, NULL);
		if (cgroup_make_dir(h->mount, rel, maker_for(h, only_place), dir, &here) == 0)
			continue;
		if (!only_place && !may_do_without(cfg, &here))
			return err_copy(e, &here);
		if (is_v2 && m->layout == CGROUP_V2 && has_limits)
			return err_set(e, ERR_PERMISSION_DENIED,
				       "rootless needs no limits + no cgrouppath when no "
				       "permission is granted for cgroups: %s",
				       here.msg);
		free(dir->path); /* on v1 a limit that needs it will say so */
		*dir = (struct cgroup_dir){ .fd = -1 };
		cg->n--;
	}
	return 0;
}

unsigned cgroup_v2_controllers(const struct cgroup *cg)
{
	unsigned bits = 0;

	for (size_t i = 0; i < cg->n; i++)
		if (cg->dirs[i].is_v2)
			bits |= cg->dirs[i].controllers;
	return bits;
}

struct pending {
	struct arena *arena;
	struct device_set set;
	bool rootless;
};

void cgroup_pending_free(struct pending *p)
{
	if (p)
		arena_free(p->arena);
	free(p);
}

static int set_devices(const struct cgroup_dir *dir, const struct device_set *set, bool rootless,
		       struct err *e)
{
	struct err here = { 0 };
	int r = dir->is_v2 ? device_set_attach_v2(set, dir->fd, dir->path, dir->is_made, &here)
			   : device_set_write_v1(set, dir->fd, dir->path, dir->is_made, &here);

	/* Without the right to it in a user namespace, the kernel guards device nodes itself. */
	if (r < 0 && rootless && (here.errnum == EPERM || here.errnum == EACCES))
		return 0;
	return r < 0 ? err_copy(e, &here) : 0;
}

int cgroup_finish(struct cgroup *cg, struct err *e)
{
	struct pending *p = TAKE_PTR(cg->pending);
	int r;

	if (!p)
		return 0;
	r = set_devices(cgroup_find(cg, CG_DEVICES), &p->set, p->rootless, e);
	cgroup_pending_free(p);
	return r;
}

int cgroup_apply_devices(struct cgroup *cg, const struct oci_resources *r, bool rootless,
			 bool later, struct err *e)
{
	const struct cgroup_dir *dir = cgroup_find(cg, CG_DEVICES);
	struct pending *p;

	if (!dir)
		return rootless ? 0
				: err_set(e, ERR_FAILED_PRECONDITION,
					  "the container has no devices cgroup");
	p = NEW(struct pending);
	p->arena = arena_new();
	p->rootless = rootless;
	if (device_set_build(p->arena, r ? r->devices : NULL, r ? r->n_devices : 0, &p->set, e) <
	    0) {
		cgroup_pending_free(p);
		return -1;
	}
	cgroup_pending_free(cg->pending);
	cg->pending = p;
	/* v1's rules are files and cost little; they stay where a failure is told first. */
	return later && dir->is_v2 ? 0 : cgroup_finish(cg, e);
}

/* A hybrid's v2 side has hugetlb where v1 has not. */
static unsigned wanted_controllers(const struct cgroup_mounts *m, const struct oci_resources *r)
{
	if (m->layout == CGROUP_V2)
		return CG_UNIFIED;
	if (m->layout == CGROUP_V1)
		return CG_V1_ALL;
	if (mounted_v1(m) & CG_HUGETLB || (r && r->n_hugepages))
		return CG_V1_ALL | CG_UNIFIED;
	return (CG_V1_ALL & ~CG_HUGETLB) | CG_UNIFIED;
}

static int fill(const struct cgroup_config *cfg, const struct oci_resources *r, struct cgroup *cg,
		const struct cgroup_mounts *m, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	unsigned wanted = wanted_controllers(m, r);
	struct cgroup_plan plan = { 0 };

	/* what can't be is told before anything is made; so is whether there is a limit */
	if (r && cgroup_plan_resources(a, r, m->layout == CGROUP_V2 ? CG_V2_ALL : 0, &plan, e) < 0)
		return -1;
	if (cgroup_make_dirs(cfg, m, wanted, plan.n > 0, cg, e) < 0 ||
	    cgroup_refuse_if_used(cg, e) < 0)
		return -1;
	if (m->layout == CGROUP_HYBRID && wanted & CG_HUGETLB)
		for (size_t i = 0; i < cg->n; i++)
			if (cg->dirs[i].is_v2 && !(mounted_v1(m) & CG_HUGETLB))
				cg->dirs[i].controllers |= CG_HUGETLB;
	if (r && cgroup_plan_resources(a, r, cgroup_v2_controllers(cg), &plan, e) < 0)
		return -1;
	if (cgroup_apply_plan(cg, &plan, false, e) < 0)
		return -1;
	return cgroup_apply_devices(cg, r, cfg->rootless, cfg->devices_later, e);
}

static void undo(struct cgroup *cg)
{
	for (size_t i = cg->n; i-- > 0;)
		if (cg->dirs[i].is_made)
			(void)rmdir(cg->dirs[i].path); /* the first error is the one to tell */
}

int cgroup_create(const struct cgroup_config *cfg, const struct oci_resources *res,
		  struct cgroup **ret, struct err *e)
{
	AUTO_CGROUP_MOUNTS struct cgroup_mounts m = { 0 };

	if (cfg->systemd)
		return cgroup_systemd_create(cfg, res, ret, e);
	if (cgroup_mounts_read(0, &m, e) < 0)
		return -1;

	struct cgroup *cg = cgroup_new(m.layout);
	if (fill(cfg, res, cg, &m, e) < 0) {
		undo(cg);
		cgroup_free(cg);
		return -1;
	}
	*ret = cg;
	return 0;
}

int cgroup_update(struct cgroup *cg, const struct oci_resources *res, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct cgroup_plan plan = { 0 };

	if ((cg->unit ? cgroup_systemd_update(cg, a, res, &plan, e)
		      : cgroup_plan_resources(a, res, cgroup_v2_controllers(cg), &plan, e)) < 0)
		return -1;
	return cgroup_apply_plan(cg, &plan, true, e);
}
