#include "store/store.h"

#include "os/file.h"
#include "store/content_dir.h"
#include "store/state.h"

#include <errno.h>
#include <string.h>

static int lock_root(struct store *s, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/io.containerd.metadata.v1.lmdb", s->root);
	AUTO_FREE char *lock = xasprintf("%s/owner", path);
	int r = file_mkdirs(path, 0700);

	if (r < 0)
		return err_sys(e, -r, "create %s", path);
	r = file_lock(lock, &s->lockfd);
	if (r == -EAGAIN)
		return err_set(e, ERR_FAILED_PRECONDITION, "%s is in use by another process",
			       s->root);
	return r < 0 ? err_sys(e, -r, "lock %s", lock) : 0;
}

static int open_parts(struct store *s, const struct store_options *opt, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/io.containerd.metadata.v1.lmdb", s->root);
	AUTO_FREE char *mounts =
		opt->mounts_path ? xstrdup(opt->mounts_path)
				 : xasprintf("%s/io.containerd.mount-manager.v1.bolt/t", s->root);
	size_t removed = 0;

	if (lock_root(s, e) < 0 || db_open(path, &s->db, e) < 0 ||
	    content_dir_open(&s->content, s->root, opt->content, e) < 0 ||
	    snapshotters_open(s, opt, e) < 0 || activations_open(&s->activations, mounts, e) < 0 ||
	    content_recover(s, e) < 0 || activations_recover(s, e) < 0)
		return -1;
	for (size_t i = 0; i < s->snapshotters.n; i++)
		if (!s->snapshotters.v[i].proxy && /* it may wait for us, and has time */
		    snapshotter_sweep(s, &s->snapshotters.v[i], &removed, e) < 0)
			return -1;
	return 0;
}

int store_open(const char *root, struct store **ret, struct err *e)
{
	static const struct store_options defaults;

	return store_open_with(root, &defaults, ret, e);
}

int store_open_with(const char *root, const struct store_options *opt, struct store **ret,
		    struct err *e)
{
	struct store *s = NEW(struct store);

	s->root = xstrdup(root);
	s->lockfd = s->content.fd = s->activations.fd = -1;
	s->content.is_isolated = opt->isolate_content;
	s->is_gc_due = true; /* whatever was due when the last process ended */
	pthread_mutex_init(&s->gc, NULL);
	if (open_parts(s, opt, e) < 0) {
		store_close(s);
		return err_wrap(e, "open store %s", root);
	}
	*ret = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	activations_close(&s->activations);
	snapshotters_close(&s->snapshotters);
	content_dir_close(&s->content);
	db_close(s->db);
	close_fd(&s->lockfd);
	pthread_mutex_destroy(&s->gc);
	free(s->root);
	free(s);
}

const char *store_root(const struct store *s)
{
	return s->root;
}

static void written(void *arg)
{
	struct store *s = arg;

	s->on_change(s->on_change_arg, false);
}

void store_on_change(struct store *s, store_change_fn *fn, void *arg)
{
	s->on_change = fn;
	s->on_change_arg = arg;
	db_on_write(s->db, written, s);
}

void store_made_garbage(struct store *s)
{
	s->is_gc_due = true;
	if (s->on_change)
		s->on_change(s->on_change_arg, true);
}
