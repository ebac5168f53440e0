/* The systemd driver: the same handle as any, whose folder systemd makes.
 *
 * A scope cannot start empty.  So cgroup_create only says where it will be, and cgroup_attach
 * starts it with its first process and sets the limits, in properties and in files.  The bus is
 * open during a call only, so that no child inherits it. */
#include "cgroup/apply.h"
#include "cgroup/systemd_bus.h"

#include "base/log.h"
#include "cgroup/private.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct unit {
	struct arena *arena;
	struct systemd_unit u;
	bool is_user;
	const char *sub; /* of an exec: below the unit's folder; NULL: this is the unit itself */
	/* From cgroup_create to cgroup_attach. */
	struct starting {
		struct cgroup_config cfg;
		const struct oci_resources *res; /* the caller's */
		struct cgroup_mounts mounts;
		struct systemd_properties properties; /* those of annotations */
	} * starting;
};

void cgroup_unit_free(struct unit *u)
{
	if (!u)
		return;
	if (u->starting) {
		cgroup_mounts_done(&u->starting->mounts);
		systemd_properties_done(&u->starting->properties);
		free(u->starting);
	}
	arena_free(u->arena);
	free(u);
}

static struct unit *unit_new(bool is_user)
{
	struct unit *u = NEW(struct unit);

	u->arena = arena_new();
	u->is_user = is_user;
	return u;
}

bool cgroup_unit(const struct cgroup *cg, struct cgroup_unit *ret)
{
	if (!cg->unit)
		return false;
	*ret = (struct cgroup_unit){ cg->unit->u.name, cg->unit->is_user };
	return true;
}

void cgroup_use_unit(struct cgroup *cg, const struct cgroup_unit *unit)
{
	if (cg->unit || !unit->name || !*unit->name)
		return;
	cg->unit = unit_new(unit->is_user);
	cg->unit->u.name = arena_strdup(cg->unit->arena, unit->name);
}

/* A user's manager lives in a cgroup of its own, and all of its units below. */
static int place(struct unit *u, struct err *e)
{
	AUTO_SYSTEMD_BUS struct systemd_bus *b = NULL;
	const char *own;

	if (!u->is_user)
		return 0;
	if (systemd_bus_open(true, &b, e) < 0 ||
	    systemd_bus_manager_property(b, u->arena, "ControlGroup", &own, e) < 0)
		return -1;
	u->u.dir = arena_printf(u->arena, "%s%s", own, u->u.dir);
	return 0;
}

/* Which limits a v2 hierarchy beside v1 ones has. */
static void note_hybrid(struct cgroup *cg)
{
	for (size_t i = 0; cg->layout == CGROUP_HYBRID && i < cg->n; i++)
		if (cg->dirs[i].is_v2 && !cgroup_find(cg, CG_HUGETLB))
			cg->dirs[i].controllers |= CG_HUGETLB;
}

/* The folders as they will be, without any of them open. */
static void foresee(struct cgroup *cg, const struct cgroup_mounts *m)
{
	AUTO_FREE char *dir = cgroup_path_clean(cg->unit->u.dir);

	for (size_t i = 0; i < m->n; i++) {
		const struct hierarchy *h = &m->h[i];
		bool is_v2 = h->controllers & CG_UNIFIED;

		cgroup_add_dir(cg, is_v2 && m->layout == CGROUP_V2 ? CG_V2_ALL : h->controllers,
			       is_v2, xasprintf("%s%s", h->mount, dir));
	}
	note_hybrid(cg);
}

static void forget_dirs(struct cgroup *cg)
{
	for (size_t i = 0; i < cg->n; i++) {
		close_fd(&cg->dirs[i].fd);
		free(cg->dirs[i].path);
	}
	cg->n = 0;
}

/* A unit that runs already, of another container of the same name. */
static int refuse_if_there(const struct cgroup *cg, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_CGROUP struct cgroup *now = NULL;
	struct oci_pairs paths;

	cgroup_paths(cg, a, &paths);
	return cgroup_load(&paths, &now, e) < 0 ? -1 : cgroup_refuse_if_used(now, e);
}

static int prepare(const struct cgroup_config *cfg, const struct oci_resources *res,
		   struct cgroup *cg, struct err *e)
{
	struct starting *s = cg->unit->starting;

	*s = (struct starting){ .cfg = *cfg, .res = res, .mounts = s->mounts };
	if (cfg->rootless && s->mounts.layout != CGROUP_V2)
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "cannot use rootless systemd cgroups manager on cgroup v1");
	if (systemd_unit_parse(cg->unit->arena, cfg->path, cfg->id, cfg->rootless, &cg->unit->u,
			       e) < 0 ||
	    systemd_annotation_properties(cg->unit->arena, cfg->annotations, &s->properties, e) <
		    0 ||
	    place(cg->unit, e) < 0)
		return -1;
	foresee(cg, &s->mounts);
	return refuse_if_there(cg, e);
}

int cgroup_systemd_create(const struct cgroup_config *cfg, const struct oci_resources *res,
			  struct cgroup **ret, struct err *e)
{
	AUTO_CGROUP_MOUNTS struct cgroup_mounts m = { 0 };
	struct stat st;

	if (lstat("/run/systemd/system", &st) < 0 || !S_ISDIR(st.st_mode))
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "systemd not running on this host, cannot use systemd cgroups "
			       "manager");
	if (cgroup_mounts_read(0, &m, e) < 0)
		return -1;

	AUTO_CGROUP struct cgroup *cg = cgroup_new(m.layout);
	cg->unit = unit_new(cfg->rootless);
	cg->unit->starting = NEW(struct starting);
	cg->unit->starting->mounts = m;
	m = (struct cgroup_mounts){ 0 };
	if (prepare(cfg, res, cg, e) < 0)
		return -1;
	*ret = TAKE_PTR(cg);
	return 0;
}

bool cgroup_unit_is_here(const struct cgroup *cg)
{
	return !cg->unit || !cg->unit->starting;
}

bool cgroup_unit_moves(const struct cgroup *cg)
{
	return cg->unit && (cg->unit->starting || cg->unit->sub);
}

/* Only what some limit's property needs is asked for. */
static int version_of(struct systemd_bus *b, struct arena *a, int *ret, struct err *e)
{
	const char *text;

	if (systemd_bus_manager_property(b, a, "Version", &text, e) < 0)
		return -1;
	*ret = systemd_version(text);
	return 0;
}

static void add_devices(struct arena *a, const struct device_set *set, struct systemd_properties *p)
{
	AUTO_FREE char *drivers = NULL;

	if (file_read(AT_FDCWD, "/proc/devices", 1 << 20, &drivers, NULL) < 0)
		drivers = xstrdup(""); /* then no rule names all devices of one */
	systemd_device_properties(a, set, drivers, p);
}

/* An idle group has no weight, and systemd has one property for both. */
static void warn_of_idle(const struct oci_cpu *c, int version)
{
	if (c->idle.has && c->idle.v == 1 && c->shares.has && c->shares.v &&
	    version >= SYSTEMD_CPU_IDLE)
		log_warn(LOG_NONE,
			 "unable to apply both CPUWeight and CpuIdle to systemd, ignoring "
			 "CPUWeight");
}

/* Properties of limits.  The plan is made here too: its quota becomes what systemd makes of it. */
static int resources(struct systemd_bus *b, struct arena *a, const struct cgroup *cg,
		     const struct oci_resources *res, struct cgroup_plan *plan,
		     struct systemd_properties *p, struct err *e)
{
	bool v2 = cg->layout == CGROUP_V2;
	int version = 0;

	if (!res)
		return 0;
	if (cgroup_plan_resources(a, res, cgroup_v2_controllers(cg), plan, e) < 0)
		return -1;
	if (plan->n && version_of(b, a, &version, e) < 0)
		return -1;
	if (v2)
		warn_of_idle(&res->cpu, version);
	return systemd_resource_properties(a, plan, v2, version, p, e);
}

static int start(struct cgroup *cg, struct arena *a, pid_t pid, struct cgroup_plan *plan,
		 struct err *e)
{
	AUTO_SYSTEMD_BUS struct systemd_bus *b = NULL;
	AUTO_PROPERTIES struct systemd_properties p = { 0 };
	struct unit *u = cg->unit;
	const struct oci_resources *res = u->starting->res;
	struct device_set set;

	if (systemd_bus_open(u->is_user, &b, e) < 0)
		return -1;
	systemd_unit_properties(a, &u->u, cg->layout == CGROUP_V2, pid, &p);
	for (size_t i = 0; i < u->starting->properties.n; i++)
		systemd_add(&p, u->starting->properties.v[i].name,
			    u->starting->properties.v[i].value);
	if (device_set_build(a, res ? res->devices : NULL, res ? res->n_devices : 0, &set, e) < 0)
		return -1;
	add_devices(a, &set, &p);
	if (resources(b, a, cg, res, plan, &p, e) < 0)
		return -1;
	systemd_start_properties(plan, &p);
	if (systemd_bus_start(b, a, u->u.name, &p, e) < 0)
		return err_wrap(e, "unable to start unit \"%s\"", u->u.name);
	return 0;
}

/* The folder as its delegate wants it: the list of files is the kernel's. */
static int give_away(const struct cgroup_dir *dir, uid_t owner, struct err *e)
{
	AUTO_FREE char *files = NULL;
	char *save = NULL;

	if (file_read(AT_FDCWD, "/sys/kernel/cgroup/delegate", 65536, &files, NULL) < 0)
		files = xstrdup("cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n");
	if (fchownat(dir->fd, "", owner, (gid_t)-1, AT_EMPTY_PATH) < 0)
		return err_sys(e, errno, "chown %s", dir->path);
	for (char *f = strtok_r(files, "\n", &save); f; f = strtok_r(NULL, "\n", &save))
		if (fchownat(dir->fd, f, owner, (gid_t)-1, AT_SYMLINK_NOFOLLOW) < 0 &&
		    errno != ENOENT)
			return err_sys(e, errno, "chown %s/%s", dir->path, f);
	return 0;
}

/* What systemd leaves to others: controllers that it does not know, hierarchies of v1. */
static int complete(struct cgroup *cg, const struct starting *s, const char *dir,
		    struct cgroup_plan *plan, pid_t pid, struct err *e)
{
	struct cgroup_config cfg = s->cfg;

	cfg.path = dir;
	forget_dirs(cg);
	if (cgroup_make_dirs(&cfg, &s->mounts, CG_V2_ALL | CG_SYSTEMD, false, cg, e) < 0)
		return -1;
	if (cg->layout != CGROUP_V2 && cgroup_move(cg, pid, e) < 0)
		return -1;
	if (cfg.has_owner && cg->layout == CGROUP_V2 && give_away(&cg->dirs[0], cfg.owner, e) < 0)
		return -1;
	note_hybrid(cg);
	if (cgroup_apply_plan(cg, plan, false, e) < 0)
		return -1;
	return cgroup_apply_devices(cg, s->res, cfg.rootless, cfg.devices_later, e);
}

/* An exec of somebody who may not move processes between cgroups: systemd does. */
static int join(const struct cgroup *cg, pid_t pid, struct err *e)
{
	AUTO_SYSTEMD_BUS struct systemd_bus *b = NULL;
	struct err here = { 0 };

	if (cgroup_move(cg, pid, &here) == 0)
		return 0;
	if (here.errnum != EACCES && here.errnum != EPERM)
		return err_copy(e, &here);
	if (systemd_bus_open(cg->unit->is_user, &b, e) < 0)
		return -1;
	if (systemd_bus_attach(b, cg->unit->u.name, cg->unit->sub, pid, e) < 0)
		return err_wrap(e, "unable to move process %d into the unit \"%s\"", (int)pid,
				cg->unit->u.name);
	return 0;
}

int cgroup_systemd_attach(struct cgroup *cg, pid_t pid, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct cgroup_plan plan = { 0 };
	struct unit *u = cg->unit;

	if (!u->starting)
		return join(cg, pid, e);
	if (start(cg, a, pid, &plan, e) < 0)
		return -1;

	struct starting *s = TAKE_PTR(u->starting); /* from now on it is ours to stop */
	int r = complete(cg, s, u->u.dir, &plan, pid, e);
	cgroup_mounts_done(&s->mounts);
	systemd_properties_done(&s->properties);
	free(s);
	return r;
}

void cgroup_systemd_for_exec(const struct cgroup *cg, struct cgroup *out)
{
	const char *top = cg->dirs[0].path, *path = out->dirs[0].path;

	/* The system's units are within reach of whoever made them. */
	if (!cg->unit || !cg->unit->is_user || out->unit)
		return;
	out->unit = unit_new(true);
	out->unit->u.name = arena_strdup(out->unit->arena, cg->unit->u.name);
	out->unit->sub =
		arena_strdup(out->unit->arena, str_starts(path, top) ? path + strlen(top) : "");
}

/* systemd applies device rules by first denying all: v1's container must not see that. */
static int set_properties(struct systemd_bus *b, struct arena *a, struct cgroup *cg,
			  const struct systemd_properties *p, bool has_devices, struct err *e)
{
	bool freeze = has_devices && cg->layout != CGROUP_V2 && cgroup_find(cg, CG_FREEZER);
	bool was_frozen = false;
	struct err thaw = { 0 };

	if (freeze && cgroup_is_frozen(cg, &was_frozen, e) < 0)
		return -1;
	freeze = freeze && !was_frozen;
	if (freeze && cgroup_freeze(cg, e) < 0)
		return -1;
	int r = systemd_bus_set(b, a, cg->unit->u.name, p, e);
	if (freeze && cgroup_thaw(cg, &thaw) < 0 && r == 0)
		return err_copy(e, &thaw);
	return r < 0 ? err_wrap(e, "unable to set unit properties") : 0;
}

int cgroup_systemd_update(struct cgroup *cg, struct arena *a, const struct oci_resources *res,
			  struct cgroup_plan *plan, struct err *e)
{
	AUTO_SYSTEMD_BUS struct systemd_bus *b = NULL;
	AUTO_PROPERTIES struct systemd_properties p = { 0 };
	struct device_set set;

	if (systemd_bus_open(cg->unit->is_user, &b, e) < 0)
		return -1;
	if (res->n_devices) {
		if (device_set_build(a, res->devices, res->n_devices, &set, e) < 0)
			return -1;
		add_devices(a, &set, &p);
	}
	if (resources(b, a, cg, res, plan, &p, e) < 0 || cgroup_check_usage(cg, plan, e) < 0)
		return -1;
	return set_properties(b, a, cg, &p, res->n_devices, e);
}

int cgroup_systemd_stop(struct cgroup *cg, struct err *e)
{
	AUTO_SYSTEMD_BUS struct systemd_bus *b = NULL;

	if (systemd_bus_open(cg->unit->is_user, &b, e) < 0)
		return -1;
	return systemd_bus_stop(b, cg->unit->u.name, e);
}
