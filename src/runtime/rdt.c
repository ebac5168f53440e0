#include "runtime/rdt.h"

#include "base/str.h"
#include "os/fd.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define ROOT "/sys/fs/resctrl"
enum { RESCTRL_MAGIC = 0x7655821, SCHEMATA_MAX = 1 << 16 };

int rdt_open(struct err *e)
{
	AUTO_FD int fd = open(ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs;

	if (fd < 0 || fstatfs(fd, &fs) < 0 || fs.f_type != RESCTRL_MAGIC)
		return err_set(e, ERR_UNIMPLEMENTED,
			       "intelRdt is specified in config, but Intel RDT is not enabled");
	return TAKE_FD(fd);
}

static bool is_set(const char *s)
{
	return s && *s;
}

static int check_features(int rootfd, const struct oci_intel_rdt *r, struct err *e)
{
	if (is_set(r->l3_cache_schema) && faccessat(rootfd, "info/L3", F_OK, 0) < 0)
		return err_set(e, ERR_UNIMPLEMENTED,
			       "intelRdt.l3CacheSchema is specified in config, but Intel RDT/CAT "
			       "is not enabled");
	if (is_set(r->mem_bw_schema) && faccessat(rootfd, "info/MB", F_OK, 0) < 0)
		return err_set(e, ERR_UNIMPLEMENTED,
			       "intelRdt.memBwSchema is specified in config, but Intel RDT/MBA is "
			       "not enabled");
	return 0;
}

/* The kernel's own words about what it refused. */
static int fail(int rootfd, int errnum, const char *what, const char *path, struct err *e)
{
	AUTO_FREE char *why = NULL;

	if (file_read(rootfd, "info/last_cmd_status", 4096, &why, NULL) < 0)
		return err_sys(e, errnum, "%s " ROOT "/%s", what, path);
	return err_sys(e, errnum, "%s " ROOT "/%s: last command status: %.*s", what, path,
		       (int)strcspn(why, "\n"), why);
}

static int write_file(int rootfd, const char *path, const char *text, struct err *e)
{
	AUTO_FD int fd = openat(rootfd, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return err_sys(e, errno, "open " ROOT "/%s", path);
	int r = fd_write_all(fd, text, strlen(text));
	return r < 0 ? fail(rootfd, -r, "write", path, e) : 0;
}

/* The spec: l3CacheSchema and memBwSchema first, and the newer list after them. */
static void add_schemata(const struct oci_intel_rdt *r, struct str *out)
{
	if (is_set(r->l3_cache_schema))
		str_addf(out, "%s\n", r->l3_cache_schema);
	if (is_set(r->mem_bw_schema))
		str_addf(out, "%s\n", r->mem_bw_schema);
	for (size_t i = 0; i < r->schemata.n; i++)
		str_addf(out, "%s\n", r->schemata.v[i]);
}

static int make_group(int rootfd, const struct rdt_state *s, bool must_exist, bool *ret_made,
		      struct err *e)
{
	*ret_made = false;
	if (must_exist && faccessat(rootfd, s->group, F_OK, 0) < 0)
		return err_sys(e, errno,
			       "clos dir not accessible (must be pre-created when l3CacheSchema "
			       "and memBwSchema are empty): stat " ROOT "/%s",
			       s->group);
	if (must_exist || mkdirat(rootfd, s->group, 0755) == 0) {
		*ret_made = !must_exist;
		return 0;
	}
	return errno == EEXIST ? 0 : fail(rootfd, errno, "unable to create group", s->group, e);
}

int rdt_attach(int rootfd, const struct rdt_state *s, int pid, struct err *e)
{
	AUTO_FREE char *tasks = xasprintf("%s/tasks", s->group);
	AUTO_FREE char *number = xasprintf("%d", pid);

	if (write_file(rootfd, tasks, number, e) < 0)
		return -1;
	if (!s->monitor)
		return 0;
	AUTO_FREE char *own = xasprintf("%s/mon_groups/%s/tasks", s->group, s->monitor);
	return write_file(rootfd, own, number, e);
}

static int fill_group(int rootfd, const struct oci_intel_rdt *r, const struct rdt_state *s, int pid,
		      struct err *e)
{
	AUTO_STR struct str text = STR_INIT(SCHEMATA_MAX);
	AUTO_FREE char *schemata = xasprintf("%s/schemata", s->group);

	add_schemata(r, &text);
	if (text.over)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "linux.intelRdt: the schemata are too long");
	if (text.len && write_file(rootfd, schemata, str_c(&text), e) < 0)
		return -1;
	if (s->monitor) {
		AUTO_FREE char *own = xasprintf("%s/mon_groups/%s", s->group, s->monitor);

		if (mkdirat(rootfd, own, 0755) < 0 && errno != EEXIST)
			return fail(rootfd, errno, "unable to create group", own, e);
	}
	return rdt_attach(rootfd, s, pid, e);
}

int rdt_apply(int rootfd, const struct oci_intel_rdt *r, const char *id, int pid, struct arena *a,
	      struct rdt_state *ret, struct err *e)
{
	bool has_schemata = r->schemata.n || is_set(r->l3_cache_schema) || is_set(r->mem_bw_schema);
	bool has_name = is_set(r->clos_id), made;
	struct rdt_state s = {
		.group = arena_strdup(a, has_name ? r->clos_id : id),
		.monitor = r->enable_monitoring ? arena_strdup(a, id) : NULL,
		.is_ours = !has_name,
	};

	if (check_features(rootfd, r, e) < 0 ||
	    make_group(rootfd, &s, has_name && !has_schemata, &made, e) < 0)
		return -1;
	if (fill_group(rootfd, r, &s, pid, e) < 0) {
		s.is_ours = made;
		rdt_remove(rootfd, &s);
		return -1;
	}
	*ret = s;
	return 0;
}

void rdt_remove(int rootfd, const struct rdt_state *s)
{
	if (!s->group)
		return;
	if (s->monitor) {
		AUTO_FREE char *own = xasprintf("%s/mon_groups/%s", s->group, s->monitor);

		(void)unlinkat(rootfd, own, AT_REMOVEDIR); /* gone is as good */
	}
	if (s->is_ours)
		(void)unlinkat(rootfd, s->group, AT_REMOVEDIR); /* the same */
}
