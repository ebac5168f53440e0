#include "runtime/update.h"

#include "base/jsonw.h"
#include "base/log.h"
#include "runtime/procfs.h"
#include "runtime/state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

enum { RESOURCES_MAX = 8 << 20 };

void update_warn_kernel_memory(const char *id, const struct oci_resources *r)
{
	if (r->memory.kernel.has || r->memory.kernel_tcp.has)
		log_warn(LOG({ "id", id }),
			 "Kernel memory settings are ignored and will be removed");
}

const char *update_print(struct arena *a, const struct oci_resources *r)
{
	AUTO_STR struct str out = STR_INIT(RESOURCES_MAX);
	struct jsonw w;

	if (!r)
		return NULL;
	jsonw_init(&w, &out, 0);
	oci_resources_print(r, &w);
	return out.over ? NULL : arena_strdup(a, str_c(&out));
}

/* Of two updates at once, the second must see what the first one left.  Only updates wait for each
 * other; who only reads takes the file as it is. */
static int lock_state(const struct state *s, struct err *e)
{
	AUTO_FD int fd = openat(s->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	do
		r = fd < 0 ? -1 : flock(fd, LOCK_EX);
	while (fd >= 0 && r < 0 && errno == EINTR);
	if (r < 0)
		return err_sys(e, errno, "lock the state of %s", s->pub.id);
	return TAKE_FD(fd);
}

static int old_resources(struct arena *a, const struct state *s, struct oci_resources **ret,
			 struct err *e)
{
	*ret = NULL;
	if (!s->resources)
		return 0;
	return oci_resources_parse(a, s->resources, strlen(s->resources), ret, e);
}

static int apply(struct arena *a, struct state *s, const struct oci_resources *given, struct err *e)
{
	struct oci_resources *old, all, write;
	AUTO_CGROUP struct cgroup *cg = NULL;

	if (s->pub.status == RUNTIME_STOPPED)
		return err_set(e, ERR_FAILED_PRECONDITION, "container not running");
	if (old_resources(a, s, &old, e) < 0)
		return err_wrap(e, "read the resources of %s", s->pub.id);
	update_warn_kernel_memory(s->pub.id, given);
	oci_resources_merge(a, old, given, &all, &write);
	if (cgroup_load(&s->pub.cgroup_paths, &cg, e) < 0)
		return -1;
	cgroup_use_unit(cg, &s->unit);
	if (cgroup_update(cg, &write, e) < 0)
		return -1;
	s->resources = update_print(a, &all);
	return state_write(s, e);
}

int runtime_update(const struct runtime *rt, const char *id, const struct oci_resources *r,
		   struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_STATE struct state first = STATE_NONE, now = STATE_NONE;
	AUTO_FD int procfd = procfs_open(e);
	AUTO_FD int lock = -1;

	if (procfd < 0 || state_load(rt, a, id, procfd, &first, e) < 0)
		return -1;
	lock = lock_state(&first, e);
	if (lock < 0 || state_load(rt, a, id, procfd, &now, e) < 0)
		return -1;
	return apply(a, &now, r, e);
}
