/* What criu is asked when it is to restore: from config.json, the caller's options, and of the
 * images the names of pipes alone. */
#include "runtime/criu_restore.h"

#include "base/jsonr.h"
#include "base/str.h"
#include "os/fd.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SET(o, field, value) ((o)->has_##field = 1, (o)->field = (value))

enum { DESCRIPTORS_MAX = 1 << 16 };

static int add_inherited(struct restore *k, CriuOpts *o, const char *key, int fd, struct err *e)
{
	CriuInheritFd *row = ARENA_NEW(k->arena, CriuInheritFd);

	if (o->n_inherit_fd == CRIU_LISTS_MAX)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "too many inherited descriptors");
	criu_inherit_fd__init(row);
	row->key = arena_strdup(k->arena, key);
	row->fd = fd;
	o->inherit_fd = k->inherit;
	o->inherit_fd[o->n_inherit_fd++] = row;
	return 0;
}

/* Pipes that were the process's stdio are ours now.  The file is one of the images: regular, short,
 * and good for nothing but the names of pipes. */
static int add_stdio(struct restore *k, CriuOpts *o, struct err *e)
{
	AUTO_FD int fd = openat(k->images, "descriptors.json",
				O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	AUTO_FREE char *text = xcalloc(1, DESCRIPTORS_MAX + 1);
	AUTO_JSON json_object *list = NULL;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, errno, "open %s/descriptors.json", k->c->image_path);
	if (!S_ISREG(st.st_mode) || st.st_size > DESCRIPTORS_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "descriptors.json is not a short file");
	ssize_t n = fd_read_all(fd, text, DESCRIPTORS_MAX);
	if (n < 0)
		return err_sys(e, (int)-n, "read descriptors.json");
	if (jsonr_parse(text, (size_t)n, &list, e) < 0)
		return err_wrap(e, "descriptors.json");
	if (!json_object_is_type(list, json_type_array))
		return err_set(e, ERR_INVALID_ARGUMENT, "descriptors.json is not a list");
	for (size_t i = 0; i < json_object_array_length(list) && i < 3; i++) {
		const char *name = json_object_get_string(json_object_array_get_idx(list, i));

		if (name && str_starts(name, "pipe:[") &&
		    name[6 + strspn(name + 6, "0123456789")] == ']' &&
		    add_inherited(k, o, name, (int)i, e) < 0)
			return -1;
	}
	return 0;
}

static int join(struct restore *k, CriuOpts *o, const struct plan_join *j, struct err *e)
{
	static const char *const names[OCI_NS_COUNT] = {
		[OCI_NS_IPC] = "ipc",
		[OCI_NS_UTS] = "uts",
		[OCI_NS_USER] = "user",
		[OCI_NS_MOUNT] = "mnt",
	};

	if (j->type == OCI_NS_NETWORK || j->type == OCI_NS_PID) {
		int fd = open(j->path, O_RDONLY | O_CLOEXEC);

		if (fd < 0 || k->start.n_fds == CRIU_FDS_MAX)
			return err_sys(e, errno, "Requested %s namespace %s does not exist",
				       oci_ns_names[j->type], j->path);
		k->start.fds[k->start.n_fds++] = fd;
		return add_inherited(k, o, j->type == OCI_NS_PID ? "extRootPidNS" : "extRootNetNS",
				     CRIU_FIRST_FD + (int)k->start.n_fds - 1, e);
	}
	if (!names[j->type])
		return err_set(e, ERR_UNIMPLEMENTED, "Do not know how to handle namespace %s",
			       oci_ns_names[j->type]);
	CriuJoinNamespace *row = ARENA_NEW(k->arena, CriuJoinNamespace);
	criu_join_namespace__init(row);
	row->ns = (char *)names[j->type];
	row->ns_file = (char *)j->path;
	o->join_ns = k->joins;
	o->join_ns[o->n_join_ns++] = row;
	return 0;
}

int criu_request_fill(struct restore *k, CriuOpts *o, struct err *e)
{
	criu_fill_opts(k->c, k->create->spec, k->arena, o);
	o->images_dir_fd = k->shown >= 0 ? k->shown : k->images;
	o->log_file = (char *)CRIU_RESTORE_LOG;
	o->root = (char *)k->root;
	SET(o, evasive_devices, 1);
	SET(o, rst_sibling, 1); /* our child, not criu's */
	/* through the other view there is no making files */
	if (k->work >= 0 || k->shown >= 0)
		SET(o, work_dir_fd, k->work >= 0 ? k->work : k->images);
	o->lsm_profile = (char *)k->c->lsm_profile;
	o->lsm_mount_context = (char *)k->c->lsm_mount_context;
	for (size_t i = 0; i < k->plan.n_joins; i++)
		if (join(k, o, &k->plan.joins[i], e) < 0)
			return -1;
	if (criu_mounts_restore(k->arena, &k->plan, &k->state.pub.cgroup_paths, &k->mounts, e) < 0)
		return -1;
	o->ext_mnt = k->mounts.v;
	o->n_ext_mnt = k->mounts.n;
	return add_stdio(k, o, e);
}

/* By its "/proc/PID/cgroup". */
int criu_request_cgroups(struct restore *k, pid_t pid, CriuOpts *o, struct err *e)
{
	AUTO_FREE char *text = NULL;
	char path[64];

	snprintf(path, sizeof path, "%d/cgroup", (int)pid);
	int r = file_read(k->procfd, path, 1 << 20, &text, NULL);
	if (r < 0)
		return err_sys(e, -r, "read criu's cgroups");
	o->cg_root = k->cg_roots;
	for (char *line = text, *next; *line; line = next) {
		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = 0;
		char *names = strchr(line, ':'), *where = names ? strchr(names + 1, ':') : NULL;
		if (!where)
			continue;
		for (char *n = names + 1; n <= where; n += strcspn(n, ",:") + 1) {
			CriuCgroupRoot *row = ARENA_NEW(k->arena, CriuCgroupRoot);

			if (o->n_cg_root == CRIU_LISTS_MAX)
				return err_set(e, ERR_RESOURCE_EXHAUSTED, "too many cgroups");
			criu_cgroup_root__init(row);
			row->ctrl = arena_strndup(k->arena, n, strcspn(n, ",:"));
			row->path = arena_strdup(k->arena, where + 1);
			o->cg_root[o->n_cg_root++] = row;
		}
	}
	return 0;
}
