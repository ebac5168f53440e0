#include "cmd/containerd/process.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

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

/* glibc would give each thread an arena, and keep what one large message took in the heap: after a
 * list of a thousand containers several times what the daemon needs. */
static void keep_memory_small(void)
{
	enum { ARENAS = 4, LARGE = 256 * 1024 };

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
	if (set_oom_score(cfg->oom_score, e) < 0 || set_temp(cfg->temp, e) < 0)
		return -1;
	return set_opt(cfg->opt_path, e);
}
