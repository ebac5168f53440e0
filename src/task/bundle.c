/* The bundle: a folder of the state with what a shim, and the next daemon, must know of a task. */
#include "task/internal.h"

#include "base/jsonr.h"
#include "base/jsonw.h"
#include "base/log.h"
#include "base/num.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

static int make_dir(const char *path, mode_t mode, bool must_be_new, struct err *e)
{
	if (mkdir(path, mode) < 0 && (must_be_new || errno != EEXIST))
		return err_sys(e, errno, "mkdir %s", path);
	return 0;
}

static int make_parents(const struct tasks *ts, const char *ns, struct err *e)
{
	const char *const tops[] = { ts->env->state, ts->env->root };

	for (size_t i = 0; i < ARRAY_LEN(tops); i++) {
		AUTO_FREE char *path = xasprintf("%s/%s/%s", tops[i], ts->folder, ns);
		int r = file_mkdirs(path, 0711);

		if (r < 0)
			return err_sys(e, -r, "mkdir %s", path);
	}
	return 0;
}

int bundle_make(struct task *t, const struct any *spec, struct err *e)
{
	AUTO_FREE char *rootfs = xasprintf("%s/rootfs", t->bundle);
	AUTO_FREE char *link = xasprintf("%s/work", t->bundle);

	if ((!spec->n && !task_is_sandbox(t)) || spec->n > TASK_SPEC_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "container %s has no usable spec", t->id);
	if (make_parents(t->ts, t->ns, e) < 0)
		return -1;
	/* The registry holds the name, so a folder here is what a crash left behind. */
	bundle_remove(t);
	if (make_dir(t->bundle, 0700, true, e) < 0 || make_dir(rootfs, 0711, true, e) < 0 ||
	    make_dir(t->work, 0711, true, e) < 0)
		return -1;
	if (symlink(t->work, link) < 0)
		return err_sys(e, errno, "symlink %s", link);
	/* A sandbox needs none, but its shim looks for a group's name in it. */
	return bundle_write(t, "config.json", spec->n ? spec->value : "{}", spec->n ?: 2, e);
}

int bundle_open(const struct task *t, struct err *e)
{
	int fd = open(t->bundle, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return err_sys(e, errno, "open %s", t->bundle);
	return fd;
}

/* The state folder is a tmpfs on real machines: nothing to sync. */
int bundle_write(const struct task *t, const char *name, const void *p, size_t n, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/%s", t->bundle, name);
	int r = file_replace(AT_FDCWD, path, p, n, 0600, false);

	if (r < 0)
		return err_sys(e, -r, "write %s", path);
	return 0;
}

char *bundle_read(const struct task *t, const char *name)
{
	AUTO_FREE char *path = xasprintf("%s/%s", t->bundle, name);
	char *text = NULL;

	return file_read(AT_FDCWD, path, 4096, &text, NULL) < 0 ? NULL : text;
}

int bundle_save_bootstrap(const struct task *t, const struct bootstrap *b, struct err *e)
{
	AUTO_STR struct str s = STR_INIT(1024);
	struct jsonw w;

	jsonw_init(&w, &s, 0);
	jsonw_object(&w);
	jsonw_ki64(&w, "version", b->version);
	jsonw_kstring(&w, "address", b->address);
	jsonw_kstring(&w, "protocol", "ttrpc");
	jsonw_end(&w);
	return bundle_write(t, "bootstrap.json", s.ptr, s.len, e);
}

/* bootstrap.json, or the plain file `address` that a daemon before 2.0 wrote. */
int bundle_load_bootstrap(const struct task *t, struct bootstrap *ret, struct err *e)
{
	AUTO_FREE char *json = bundle_read(t, "bootstrap.json");
	AUTO_FREE char *plain = json ? NULL : bundle_read(t, "address");
	const char *text = json ?: plain;

	if (!text)
		return err_set(e, ERR_NOT_FOUND, "%s has no bootstrap.json", t->bundle);
	if (bootstrap_parse(text, strlen(text), ret, e) < 0)
		return err_wrap(e, "%s", t->bundle);
	return 0;
}

static void remove_tree(const char *path, const char *id)
{
	int r = file_remove_tree(AT_FDCWD, path);

	if (r < 0 && r != -ENOENT)
		log_warn(LOG({ "id", id }, { "error", err_errno_text(-r) }), "cannot remove %s",
			 path);
}

void bundle_unmount(const struct task *t)
{
	AUTO_FREE char *rootfs = xasprintf("%s/rootfs", t->bundle);

	/* A shim that died had no time to.  Several mounts may lie on each other. */
	for (int i = 0; i < 16 && !umount2(rootfs, MNT_DETACH | UMOUNT_NOFOLLOW); i++)
		;
}

void bundle_remove(const struct task *t)
{
	bundle_unmount(t);
	remains_remove(t);
	/* The next daemon looks for bundles: what only they lead to goes before them. */
	remove_tree(t->work, t->id);
	remove_tree(t->bundle, t->id);
}
