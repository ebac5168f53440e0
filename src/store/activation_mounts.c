#include "store/activation_mounts.h"

#include "base/num.h"
#include "base/timefmt.h"
#include "os/dir.h"
#include "os/file.h"
#include "os/loopdev.h"
#include "store/entry.h"
#include "store/mount_do.h"
#include "store/mount_transform.h"
#include "store/state.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

static int see_numbers(struct activations *all, struct err *e)
{
	AUTO_STRV struct strv names = { 0 };
	int r = dir_names(all->fd, ".", &names);
	uint64_t number;

	if (r < 0)
		return err_sys(e, -r, "open %s", all->path);
	for (size_t i = 0; i < names.n; i++)
		if (num_u64(names.v[i], &number) == 0 && number >= all->next)
			all->next = number + 1;
	return 0;
}

int activations_open(struct activations *all, const char *path, struct err *e)
{
	int r = file_mkdirs(path, 0700);

	if (r < 0)
		return err_sys(e, -r, "create %s", path);
	all->path = xstrdup(path);
	all->next = 1;
	all->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (all->fd < 0)
		return err_sys(e, errno, "open %s", path);
	return see_numbers(all, e);
}

void activations_close(struct activations *all)
{
	close_fd(&all->fd);
	free(all->path);
}

/* --- making --- */

static const char loop_type[] = "loop";

int activation_share(const struct activation_new *n)
{
	int share = n->is_temporary ? (int)n->mounts.n : -1;

	for (size_t i = 0; i < n->mounts.n && !n->is_temporary; i++) {
		const char *type = n->mounts.v[i].type;
		size_t skip;

		while ((skip = transform_prefix(type))) {
			share = (int)i;
			type += skip;
		}
		if (!strcmp(type, loop_type))
			share = (int)i + 1;
	}
	return share;
}

/* The mount point becomes a link to the device.  Until that stands, a crash frees the device. */
static int make_loop(const struct mount *m, const char *point, struct err *e)
{
	bool is_readonly = false;
	char path[LOOPDEV_PATH];

	for (size_t i = 0; i < m->noptions; i++)
		is_readonly = is_readonly || !strcmp(m->options[i], "ro");

	AUTO_FD int file =
		open(m->source, (is_readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW);
	if (file < 0)
		return err_sys(e, errno, "open %s", m->source);

	AUTO_FD int loop = loopdev_attach(file, is_readonly, point, path);
	if (loop < 0)
		return err_sys(e, -loop, "attach a loop device to %s", m->source);
	if (symlink(path, point) < 0)
		return err_sys(e, errno, "link %s", point);
	int r = loopdev_keep(loop);
	return r < 0 ? err_sys(e, -r, "keep %s", path) : 0;
}

static int make_one(const struct mount *m, const char *point, struct err *e)
{
	if (!strcmp(m->type, loop_type))
		return make_loop(m, point, e);
	if (mkdir(point, 0700) < 0)
		return err_sys(e, errno, "create %s", point);
	return mount_do(m, point, e);
}

static const char *now_text(struct arena *a)
{
	char text[TIMEFMT_MAX];

	timefmt_rfc3339(entry_now(), text);
	return arena_strdup(a, text);
}

static int make_share(const struct transform_roots *roots, const struct activation_new *n,
		      size_t share, const char *folder, struct arena *a, struct activation *r,
		      struct err *e)
{
	for (size_t i = 0; i < share; i++) {
		struct mount *m = &r->active.v[i];
		char *point = arena_printf(a, "%s/%zu", folder, i);

		if (transform_mount(a, roots, r, &n->mounts.v[i], m, e) < 0)
			return -1;
		if (make_one(m, point, e) < 0)
			return err_wrap(e, "mount failed");
		r->points.v[i] = (struct label){ point, now_text(a) };
		r->points.n = r->active.n = i + 1;
	}
	return 0;
}

/* What the caller has to mount: the rest, of which only the first can have prefixes. */
static int leave_rest(const struct transform_roots *roots, const struct activation_new *n,
		      size_t share, struct arena *a, struct activation *r, struct err *e)
{
	static const char *const rbind[] = { "rbind" };

	r->system.v = arena_array(a, n->mounts.n - share + 1, sizeof *r->system.v);
	for (size_t i = share; i < n->mounts.n; i++)
		if (transform_mount(a, roots, r, &n->mounts.v[i], &r->system.v[r->system.n++], e) <
		    0)
			return -1;
	if (n->is_temporary && share)
		r->system.v[r->system.n++] =
			(struct mount){ .type = "bind",
					.source = r->points.v[share - 1].key,
					.target = "",
					.options = arena_memdup(a, rbind, sizeof rbind),
					.noptions = 1 };
	return 0;
}

int activation_make(struct store *s, const struct activation_new *n, size_t share, struct arena *a,
		    struct activation *r, struct err *e)
{
	const struct transform_roots roots = { { s->root, s->activations.path } };
	char *folder =
		arena_printf(a, "%s/%llu", s->activations.path, (unsigned long long)r->number);

	if (mkdir(folder, 0700) < 0)
		return err_sys(e, errno, "create %s", folder);
	r->active.v = arena_array(a, share, sizeof *r->active.v);
	r->points.v = arena_array(a, share, sizeof *r->points.v);
	if (make_share(&roots, n, share, folder, a, r, e) < 0)
		return -1;
	return leave_rest(&roots, n, share, a, r, e);
}

/* --- undoing --- */

static int undo_loop(int dirfd, const char *name, const char *point, struct err *e)
{
	char path[LOOPDEV_PATH];
	ssize_t n = readlinkat(dirfd, name, path, sizeof path - 1);

	if (n > 0) {
		path[n] = 0;
		int r = loopdev_detach(path, point);

		if (r < 0)
			return err_sys(e, -r, "detach %s", path);
	}
	return unlinkat(dirfd, name, 0) < 0 && errno != ENOENT
		       ? err_sys(e, errno, "remove %s", point)
		       : 0;
}

/* Two may be at it: the client, and a collection. */
static int undo_one(int dirfd, const char *folder, int i, struct err *e)
{
	AUTO_FREE char *point = xasprintf("%s/%d", folder, i);
	const char *name = strrchr(point, '/') + 1;
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_sys(e, errno, "stat %s", point);
	if (S_ISLNK(st.st_mode))
		return undo_loop(dirfd, name, point, e);
	if (mount_undo(point, e) < 0)
		return -1;
	return unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT
		       ? err_sys(e, errno, "remove %s", point)
		       : 0;
}

int activation_undo(struct activations *all, uint64_t number, struct err *e)
{
	AUTO_FREE char *folder = xasprintf("%s/%llu", all->path, (unsigned long long)number);
	AUTO_FD int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(e, errno, "open %s", folder);
	for (int i = ACTIVATION_MOUNTS - 1; i >= 0; i--)
		if (undo_one(fd, folder, i, e) < 0)
			return -1;
	return rmdir(folder) < 0 && errno != ENOENT ? err_sys(e, errno, "remove %s", folder) : 0;
}
