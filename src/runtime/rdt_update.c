#include "runtime/rdt_update.h"

#include "base/str.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define RDT_ROOT "/sys/fs/resctrl"
enum { GROUPS_MAX = 4096 };

static bool is_asked(const char *schema)
{
	return schema && *schema;
}

static bool has_resource(const struct rdt_update *u, const char *name)
{
	AUTO_FREE char *path = xasprintf("%s/info/%s", u->root ?: RDT_ROOT, name);

	return access(path, F_OK) == 0;
}

int rdt_update_check(const struct rdt_update *u, struct err *e)
{
	if (is_asked(u->l3_cache_schema) && !has_resource(u, "L3"))
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "Intel RDT/CAT: l3 cache schema is not enabled");
	if (is_asked(u->mem_bw_schema) && !has_resource(u, "MB"))
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "Intel RDT/MBA: memory bandwidth schema is not enabled");
	return 0;
}

char *rdt_parse_group(const char *text)
{
	const char *res = str_starts(text, "res:") ? text + 4 : strstr(text, "\nres:");

	if (!res)
		return xstrdup("");
	res += *res == '\n' ? 5 : 0;
	res += *res == '/';
	return xstrndup(res, strcspn(res, "/\n")); /* groups have one level */
}

static int write_file(int dirfd, const char *name, const char *text)
{
	AUTO_FD int fd = openat(dirfd, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* The group's folder; made, with the process in it, when it has none of its own. */
static int open_group(const struct rdt_update *u, const struct runtime_state *s, struct err *e)
{
	AUTO_FREE char *proc = xasprintf("/proc/%d/cpu_resctrl_groups", (int)s->pid);
	AUTO_FREE char *text = NULL, *name = NULL;
	AUTO_FD int root = open(u->root ?: RDT_ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char pid[16];

	if (root < 0)
		return err_sys(e, errno, "open %s", u->root ?: RDT_ROOT);
	if (file_read(AT_FDCWD, proc, GROUPS_MAX, &text, NULL) == 0)
		name = rdt_parse_group(text);
	if (name && *name) {
		int fd = openat(root, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		return fd < 0 ? err_sys(e, errno, "open the resctrl group %s", name) : fd;
	}
	if (mkdirat(root, s->id, 0755) < 0 && errno != EEXIST)
		return err_sys(e, errno, "make the resctrl group %s", s->id);
	AUTO_FD int group = openat(root, s->id, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	snprintf(pid, sizeof pid, "%d", (int)s->pid);
	int r = group < 0 ? -errno : write_file(group, "tasks", pid);
	if (r < 0)
		return err_sys(e, -r, "move process %s into the resctrl group %s", pid, s->id);
	return TAKE_FD(group);
}

int rdt_update_write(const struct rdt_update *u, const struct runtime_state *s, struct err *e)
{
	const char *const schemas[] = { u->l3_cache_schema, u->mem_bw_schema };
	AUTO_FD int group = -1;

	for (size_t i = 0; i < ARRAY_LEN(schemas); i++) {
		if (!is_asked(schemas[i]))
			continue;
		if (group < 0)
			group = open_group(u, s, e);
		if (group < 0)
			return -1;
		AUTO_FREE char *line = xasprintf("%s\n", schemas[i]); /* the kernel insists */
		int r = write_file(group, "schemata", line);
		if (r < 0)
			return err_sys(e, -r, "write \"%s\" to the schemata of %s", schemas[i],
				       s->id);
	}
	return 0;
}
