#include "cmd/containerd/process.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "cgroup/cgroup.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

enum { CGROUPS_MAX = 32 }; /* hierarchies */

/* One connection and a few files a container: the soft limit of a shell would not last. */
static void raise_file_limit(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &l); /* the old limit serves, too */
	}
}

static int write_score(int score)
{
	char text[16];

	snprintf(text, sizeof text, "%d", score);
	return file_poke(AT_FDCWD, "/proc/self/oom_score_adj", text);
}

/* Lowering it takes CAP_SYS_RESOURCE: without, the daemon stays where it was put. */
static int set_oom_score(int score, struct err *e)
{
	int r = score ? write_score(score) : 0;

	if (r == -EACCES || r == -EPERM) {
		log_warn(LOG({ "error", err_errno_text(-r) }),
			 "oom_score %d needs CAP_SYS_RESOURCE: it stays as it is", score);
		return 0;
	}
	return r < 0 ? err_sys(e, -r, "set oom_score %d", score) : 0;
}

static int set_temp(const char *folder, struct err *e)
{
	int r;

	if (!*folder)
		return 0;
	r = file_mkdirs(folder, 0700);
	if (r < 0)
		return err_sys(e, -r, "mkdir temp %s", folder);
	return setenv("TMPDIR", folder, 1) < 0 ? err_sys(e, errno, "set TMPDIR") : 0;
}

static int note_place(void *data, const char *controller, const char *path, UNUSED struct err *e)
{
	struct oci_pairs *places = data;

	if (places->n < CGROUPS_MAX)
		places->v[places->n++] = (struct oci_pair){ xstrdup(controller), xstrdup(path) };
	return 0;
}

/* A place with the same rights as before.  One where shims of an earlier daemon live is taken as it
 * is: they were born in it. */
static int open_cgroup(const char *path, struct oci_pairs *places, struct cgroup **ret,
		       struct err *e)
{
	struct oci_device_rule all = { .allow = true, .type = 'a', .access = "rwm" };
	const struct oci_resources res = { .devices = &all, .n_devices = 1 };
	const struct cgroup_config cfg = {
		.path = path, .id = "containerd", .on_place = note_place, .data = places
	};
	struct err first = { 0 };

	if (cgroup_create(&cfg, &res, ret, &first) == 0)
		return 0;
	if (first.code != ERR_FAILED_PRECONDITION)
		return err_copy(e, &first);
	return cgroup_load(places, ret, e);
}

/* `[cgroup] path`: where the daemon and all that it starts are counted and limited. */
static int enter_cgroup(const char *path, struct err *e)
{
	struct oci_pair v[CGROUPS_MAX];
	struct oci_pairs places = { .v = v };
	AUTO_CGROUP struct cgroup *cg = NULL;
	int r = 0;

	if (!*path)
		return 0;
	if (open_cgroup(path, &places, &cg, e) < 0 || cgroup_attach(cg, getpid(), e) < 0)
		r = err_wrap(e, "cgroup %s", path);
	for (size_t i = 0; i < places.n; i++) {
		free((char *)v[i].key);
		free((char *)v[i].value);
	}
	return r;
}

/* glibc would give each thread an arena, and keep what one large message took in the heap: after a
 * list of a thousand containers several times what the daemon needs. */
static void keep_memory_small(void)
{
	enum { ARENAS = 4, LARGE = 32 << 20 };

	(void)mallopt(M_ARENA_MAX, ARENAS);
	(void)mallopt(M_MMAP_THRESHOLD, LARGE);
	(void)mallopt(M_TRIM_THRESHOLD, LARGE);
}

/* In front of a list in the environment, for shims and what they start. */
static int prepend(const char *name, const char *folder, struct err *e)
{
	const char *old = getenv(name);
	AUTO_FREE char *list = old && *old ? xasprintf("%s:%s", folder, old) : xstrdup(folder);

	return setenv(name, list, 1) < 0 ? err_sys(e, errno, "set %s", name) : 0;
}

/* Programs that come as images, and their libraries. */
static int set_opt(const char *path, struct err *e)
{
	AUTO_FREE char *bin = xasprintf("%s/bin", path), *lib = xasprintf("%s/lib", path);

	if (!*path)
		return 0;
	if (*path != '/')
		return err_set(e, ERR_INVALID_ARGUMENT, "opt: path %s is not absolute", path);
	return prepend("PATH", bin, e) < 0 || prepend("LD_LIBRARY_PATH", lib, e) < 0 ? -1 : 0;
}

int process_setup(const struct config *cfg, struct err *e)
{
	keep_memory_small();
	raise_file_limit();
	if (enter_cgroup(cfg->cgroup, e) < 0 || set_oom_score(cfg->oom_score, e) < 0 ||
	    set_temp(cfg->temp, e) < 0)
		return -1;
	return set_opt(cfg->opt_path, e);
}
