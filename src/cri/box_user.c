/* Who a container's process is, by the files of its own root: read in the snapshot's layers, each
 * by its descriptor, without a mount and without following a link (ARCHITECTURE.md, invariant 6).
 */
#include "cri/box_make.h"

#include "cri/security.h"
#include "os/fd.h"
#include "store/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

enum { FILE_MAX = 4 << 20 };

/* 1: here it is; 0: look further down; -1: it is hidden, or no plain file. */
static int look(int layer, const char *name, int *ret_fd)
{
	AUTO_FD int dir = openat(layer, "etc", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	char opaque = 0;

	if (dir < 0)
		return errno == ENOENT ? 0 : -1;
	if (fgetxattr(dir, "trusted.overlay.opaque", &opaque, 1) < 0)
		opaque = 0;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT && opaque != 'y' ? 0 : -1;
	if (!S_ISREG(st.st_mode))
		return -1;
	*ret_fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	return *ret_fd < 0 ? -1 : 1;
}

static int read_file(const struct snapshot_dirs *d, const char *name, struct arena *a,
		     const char **ret, struct err *e)
{
	AUTO_FD int fd = -1;
	struct stat st;
	int r = look(d->upper, name, &fd);
	char *buf;

	*ret = "";
	for (size_t i = 0; r == 0 && i < d->nlowers; i++)
		r = look(d->lowers[i], name, &fd);
	if (r <= 0 || fstat(fd, &st) < 0)
		return 0;
	if (st.st_size > FILE_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "/etc/%s of the image is larger than %d MiB", name, FILE_MAX >> 20);
	buf = arena_alloc(a, (size_t)st.st_size + 1);
	ssize_t n = fd_read_all(fd, buf, (size_t)st.st_size);

	if (n < 0)
		return err_sys(e, (int)-n, "read /etc/%s of the image", name);
	buf[n] = 0;
	*ret = buf;
	return 0;
}

/* "uid:gid" as generate_user() takes it. */
static int user_text(const CRI(LinuxContainerSecurityContext) * s, const struct image_facts *image,
		     struct arena *a, const char **ret, struct err *e)
{
	*ret = image->config.user;
	if (!s)
		return 0;
	if (s->run_as_group && !s->run_as_user && !*s->run_as_username)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "user group is specified without user, invalid");
	if ((s->run_as_user && security_check_id(s->run_as_user->value, e) < 0) ||
	    (s->run_as_group && security_check_id(s->run_as_group->value, e) < 0))
		return -1;
	if (s->run_as_user)
		*ret = arena_printf(a, "%lld", (long long)s->run_as_user->value);
	else if (*s->run_as_username)
		*ret = s->run_as_username;
	if (s->run_as_group)
		*ret = arena_printf(a, "%s:%lld", *ret, (long long)s->run_as_group->value);
	return 0;
}

static void add_gid(struct oci_user *u, uint32_t gid)
{
	for (size_t i = 0; i < u->n_additional_gids; i++)
		if (u->additional_gids[i] == gid)
			return;
	u->additional_gids[u->n_additional_gids++] = gid;
}

/* The groups that the image names for the user count unless the policy is strict. */
static int set_groups(const CRI(LinuxContainerSecurityContext) * s, struct arena *a,
		      struct oci_user *u, struct err *e)
{
	const struct oci_user found = *u;
	size_t n = s ? s->n_supplemental_groups : 0;
	bool is_strict = s && s->supplemental_groups_policy ==
				      RUNTIME__V1__SUPPLEMENTAL_GROUPS_POLICY__Strict;

	u->additional_gids =
		arena_array(a, found.n_additional_gids + n + 2, sizeof *u->additional_gids);
	u->n_additional_gids = 0;
	add_gid(u, u->gid);
	for (size_t i = 0; !is_strict && i < found.n_additional_gids; i++)
		add_gid(u, found.additional_gids[i]);
	for (size_t i = 0; i < n; i++) {
		if (security_check_id(s->supplemental_groups[i], e) < 0)
			return -1;
		add_gid(u, (uint32_t)s->supplemental_groups[i]);
	}
	return 0;
}

int box_find_user(const struct box *box, const struct image_facts *image, struct arena *a,
		  struct oci_user *ret, struct err *e)
{
	const CRI(LinuxContainerConfig) *l = box->config->linux;
	const CRI(LinuxContainerSecurityContext) *s = l ? l->security_context : NULL;
	const struct snapshot_at at = { .ns = CRI_NAMESPACE, .snapshotter = box->snapshotter };
	CLEANUP(snapshot_dirs_done) struct snapshot_dirs d = { .upper = -1 };
	const char *text, *passwd, *group;

	*ret = (struct oci_user){ 0 };
	if (user_text(s, image, a, &text, e) < 0)
		return -1;
	if (snapshot_open_dirs(box->pod->cri->en->store, &at, box->id, &d, e) < 0 ||
	    read_file(&d, "passwd", a, &passwd, e) < 0 || read_file(&d, "group", a, &group, e) < 0)
		return err_wrap(e, "failed to look up the user");
	if (generate_user(a, text, passwd, group, ret, e) < 0)
		return -1;
	return set_groups(s, a, ret, e);
}
