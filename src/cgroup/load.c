/* Handles to cgroups that live already. */
#include "cgroup/private.h"
#include "cgroup/stat.h"
#include "os/syscall.h"

#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>

void cgroup_paths(const struct cgroup *cg, struct arena *a, struct oci_pairs *ret)
{
	ret->v = arena_array(a, 16 * CG_HIERARCHIES_MAX, sizeof *ret->v);
	ret->n = 0;
	for (size_t i = 0; i < cg->n; i++) {
		const struct cgroup_dir *dir = &cg->dirs[i];
		const char *path = arena_strdup(a, dir->path);

		if (cg->layout == CGROUP_V2 || dir->is_v2) {
			ret->v[ret->n++] = (struct oci_pair){ "", path };
			if (cg->layout == CGROUP_V2 || !(dir->controllers & CG_HUGETLB))
				continue;
		}
		for (unsigned bit = 1; bit < CG_UNIFIED; bit <<= 1)
			if (dir->controllers & bit)
				ret->v[ret->n++] =
					(struct oci_pair){ cgroup_controller_name(bit), path };
	}
}

/* Saved paths are our own words, but a file is a file: only cleaned ones, below a cgroup mount. */
static int check_path(const char *path, struct err *e)
{
	AUTO_FREE char *clean = cgroup_path_clean(path);

	if (*path != '/' || strcmp(clean, path) != 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "the cgroup path \"%s\" is not clean",
			       path);
	return 0;
}

static struct cgroup_dir *find_path(struct cgroup *cg, const char *path)
{
	for (size_t i = 0; i < cg->n; i++)
		if (strcmp(cg->dirs[i].path, path) == 0)
			return &cg->dirs[i];
	return NULL;
}

/* Without symlinks, and only what is a cgroup. */
static int open_dir(struct cgroup_dir *dir, struct err *e)
{
	static const struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	int fd = sys_openat2(AT_FDCWD, dir->path, &how);
	struct statfs st;

	if (fd == -ENOSYS || fd == -EPERM) {
		fd = open(dir->path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		fd = fd < 0 ? -errno : fd;
	}
	if (fd == -ENOENT || fd == -ENODEV)
		return 0; /* gone */
	if (fd < 0)
		return err_sys(e, -fd, "cannot open the cgroup %s", dir->path);
	if (fstatfs(fd, &st) < 0 ||
	    (st.f_type != CGROUP_SUPER_MAGIC && st.f_type != CGROUP2_SUPER_MAGIC)) {
		close(fd);
		return err_set(e, ERR_FAILED_PRECONDITION, "%s is not a cgroup", dir->path);
	}
	dir->fd = fd;
	return 0;
}

int cgroup_load(const struct oci_pairs *paths, struct cgroup **ret, struct err *e)
{
	enum cgroup_layout layout;

	if (cgroup_layout_detect(&layout, e) < 0)
		return -1;

	AUTO_CGROUP struct cgroup *cg = cgroup_new(layout);
	for (size_t i = 0; i < paths->n; i++) {
		const char *name = paths->v[i].key, *path = paths->v[i].value;
		unsigned bit = cgroup_controller_bit(name, strlen(name));
		struct cgroup_dir *dir = find_path(cg, path);

		if (!bit)
			continue; /* a controller of another program's */
		if (check_path(path, e) < 0)
			return -1;
		if (dir) {
			dir->controllers |= bit;
			dir->is_v2 |= bit == CG_UNIFIED;
			continue;
		}
		if (cg->n == CG_HIERARCHIES_MAX)
			return err_set(e, ERR_INVALID_ARGUMENT, "too many cgroup paths");
		dir = cgroup_add_dir(cg, bit, bit == CG_UNIFIED, xstrdup(path));
		if (open_dir(dir, e) < 0)
			return -1;
	}
	for (size_t i = 0; i < cg->n; i++)
		if (cg->dirs[i].is_v2 && layout == CGROUP_V2)
			cg->dirs[i].controllers |= CG_V2_ALL;
	*ret = TAKE_PTR(cg);
	return 0;
}

int cgroup_load_pid(pid_t pid, struct cgroup **ret, struct err *e)
{
	AUTO_CGROUP_MOUNTS struct cgroup_mounts m = { 0 };

	if (cgroup_mounts_read(pid, &m, e) < 0)
		return -1;

	AUTO_CGROUP struct cgroup *cg = cgroup_new(m.layout);
	for (size_t i = 0; i < m.n; i++) {
		const struct hierarchy *h = &m.h[i];
		bool is_v2 = h->controllers & CG_UNIFIED;
		AUTO_FREE char *joined = xasprintf("%s%s", h->mount, h->own);
		struct cgroup_dir *dir =
			cgroup_add_dir(cg, m.layout == CGROUP_V2 ? CG_V2_ALL : h->controllers,
				       is_v2, cgroup_path_clean(joined));

		if (open_dir(dir, e) < 0)
			return -1;
	}
	*ret = TAKE_PTR(cg);
	return 0;
}

/* It would end above where it starts, were ".." taken at its word. */
static bool climbs(const char *path)
{
	int depth = 0;

	for (const char *p = path; *p && depth >= 0;) {
		size_t n = strcspn(p, "/");

		if (n == 2 && memcmp(p, "..", 2) == 0)
			depth--;
		else if (n && !(n == 1 && *p == '.'))
			depth++;
		p += n + (p[n] == '/');
	}
	return depth < 0;
}

/* Every name must be one that this container has, and every path one below its own. */
static int check_subs(const struct cgroup *cg, const struct oci_pairs *subs, struct err *e)
{
	for (size_t i = 0; i < subs->n; i++) {
		const char *name = subs->v[i].key;
		unsigned bit = cgroup_controller_bit(name, strlen(name)), known = 0;

		for (size_t k = 0; k < cg->n; k++)
			known |= cg->dirs[k].controllers;
		if (*name && (cg->layout == CGROUP_V2 || !(bit & known)))
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "unknown controller %s in SubCgroupPaths", name);
		if (climbs(subs->v[i].value))
			return err_set(e, ERR_INVALID_ARGUMENT, "%s is not a sub cgroup path",
				       subs->v[i].value);
	}
	return 0;
}

/* The path below one hierarchy's folder; "" when nothing was asked for. */
static const char *find_sub(const struct cgroup_dir *dir, const struct oci_pairs *subs)
{
	for (size_t i = 0; i < subs->n; i++) {
		const char *name = subs->v[i].key;

		if (!*name || (dir->controllers & cgroup_controller_bit(name, strlen(name))))
			return subs->v[i].value;
	}
	return "";
}

static int enter_subs(const struct cgroup *cg, const struct oci_pairs *subs, struct cgroup *out,
		      struct err *e)
{
	for (size_t i = 0; i < cg->n; i++) {
		const struct cgroup_dir *from = &cg->dirs[i];
		AUTO_FREE char *rel = cgroup_path_clean(find_sub(from, subs));
		const char *below = rel + (*rel == '/');
		struct cgroup_dir *dir =
			cgroup_add_dir(out, from->controllers, from->is_v2,
				       xasprintf("%s%s%s", from->path, *below ? "/" : "", below));

		if (open_dir(dir, e) < 0)
			return -1;
		if (dir->fd < 0 && cg->layout == CGROUP_HYBRID && from->is_v2 && *below) {
			/* who makes one for each v1 controller need not think of this one */
			dir->path[strlen(from->path)] = 0;
			if (open_dir(dir, e) < 0)
				return -1;
		}
		if (dir->fd < 0) /* in runc's words, which had a process to add by then */
			return err_sys(e, ENOENT,
				       "error adding pid to cgroups: open %s/cgroup.procs",
				       dir->path);
	}
	return 0;
}

int cgroup_for_exec(const struct cgroup *cg, const struct oci_pairs *subs, pid_t init,
		    struct cgroup **ret, struct err *e)
{
	AUTO_CGROUP struct cgroup *out = cgroup_new(cg->layout);
	char given[256];

	if (check_subs(cg, subs, e) < 0 || enter_subs(cg, subs, out, e) < 0)
		return -1;
	if (cg->layout == CGROUP_V2 && !subs->n &&
	    cg_read(out->dirs[0].fd, "cgroup.subtree_control", given, sizeof given) == 0 &&
	    *given) {
		cgroup_free(TAKE_PTR(out));
		if (cgroup_load_pid(init, &out, e) < 0)
			return -1;
	}
	cgroup_systemd_for_exec(cg, out);
	*ret = TAKE_PTR(out);
	return 0;
}

int cgroup_freeze(struct cgroup *cg, struct err *e)
{
	return cg->ops->set_frozen(cg, true, e);
}

int cgroup_thaw(struct cgroup *cg, struct err *e)
{
	return cg->ops->set_frozen(cg, false, e);
}

int cgroup_is_frozen(const struct cgroup *cg, bool *ret, struct err *e)
{
	return cg->ops->is_frozen(cg, ret, e);
}

int cgroup_stat(const struct cgroup *cg, struct arena *a, struct cgroup_stat *ret, struct err *e)
{
	*ret = (struct cgroup_stat){ .layout = cg->layout };
	return cg->ops->stat(cg, a, ret, e);
}
