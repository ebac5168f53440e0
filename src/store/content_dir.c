#include "store/content_dir.h"

#include "base/ident.h"
#include "base/mem.h"
#include "os/file.h"
#include "store/content_record.h"
#include "store/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct ref_lock {
	struct ref_lock *next;
	time_t since;
	char key[];
};

int content_dir_open(struct content_dir *d, const char *root, const struct content_proxy *proxy,
		     struct err *e)
{
	static const char *const below[] = { "blobs", "blobs/sha256", "blobs/sha384",
					     "blobs/sha512", "ingest" };
	AUTO_FREE char *path = xasprintf("%s/io.containerd.content.v1.content", root);
	int r = file_mkdirs(path, 0700);

	if (r < 0)
		return err_sys(e, -r, "create %s", path);
	AUTO_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "open %s", path);
	for (size_t i = 0; i < ARRAY_LEN(below); i++)
		if (mkdirat(fd, below[i], 0700) < 0 && errno != EEXIST)
			return err_sys(e, errno, "create %s/%s", path, below[i]);
	d->fd = TAKE_FD(fd);
	pthread_mutex_init(&d->commit, NULL);
	pthread_mutex_init(&d->refs_lock, NULL);
	pthread_mutex_init(&d->uploads_lock, NULL);
	pthread_cond_init(&d->uploads_changed, NULL);
	d->uploads = NULL;
	d->proxy = proxy;
	d->refs = NULL;
	return 0;
}

void content_dir_close(struct content_dir *d)
{
	if (d->fd < 0)
		return;
	close(d->fd);
	d->fd = -1;
	while (d->refs) {
		struct ref_lock *next = d->refs->next;

		free(d->refs);
		d->refs = next;
	}
	pthread_mutex_destroy(&d->commit);
	pthread_mutex_destroy(&d->refs_lock);
	pthread_cond_destroy(&d->uploads_changed);
	pthread_mutex_destroy(&d->uploads_lock);
}

void content_blob_path(const char *digest, char ret[BLOB_PATH_MAX])
{
	const char *colon = strchr(digest, ':');

	if (!colon || !digest_is_valid(digest))
		BUG("path of an unchecked digest");
	snprintf(ret, BLOB_PATH_MAX, "blobs/%.*s/%s", (int)(colon - digest), digest, colon + 1);
}

/* --- refs in use --- */

int ref_acquire(struct content_dir *d, const char *key, struct err *e)
{
	const char *ref = strchr(key, '/') + 1;
	time_t now = time(NULL);
	int r = 0;

	pthread_mutex_lock(&d->refs_lock);
	for (struct ref_lock *l = d->refs; l && r == 0; l = l->next)
		if (strcmp(l->key, key) == 0)
			r = err_set(e, ERR_UNAVAILABLE, "ref %s locked for %llds", ref,
				    (long long)(now - l->since));
	if (r == 0) {
		size_t n = strlen(key) + 1;
		struct ref_lock *l = xmalloc(sizeof *l + n);

		l->since = now;
		memcpy(l->key, key, n);
		l->next = d->refs;
		d->refs = l;
	}
	pthread_mutex_unlock(&d->refs_lock);
	return r;
}

void ref_release(struct content_dir *d, const char *key)
{
	pthread_mutex_lock(&d->refs_lock);
	for (struct ref_lock **p = &d->refs; *p; p = &(*p)->next)
		if (strcmp((*p)->key, key) == 0) {
			struct ref_lock *l = *p;

			*p = l->next;
			free(l);
			break;
		}
	pthread_mutex_unlock(&d->refs_lock);
}

/* --- sweeping --- */

/* Under the commit lock: nobody is between this file and its record. */
static int sweep_blob(struct store *s, int dirfd, const char *algorithm, const char *name,
		      size_t *removed, struct err *e)
{
	AUTO_FREE char *digest = xasprintf("%s:%s", algorithm, name);
	struct blob_record blob;
	struct txn t;
	int r = 0;

	pthread_mutex_lock(&s->content.commit);
	if (digest_is_valid(digest)) {
		r = db_read(s->db, &t, e);
		if (r == 0) {
			r = blob_get(&t, digest, &blob, e);
			db_read_end(&t);
		}
	}
	if (r == 0) {
		if (unlinkat(dirfd, name, 0) == 0)
			(*removed)++;
		else if (errno != ENOENT)
			r = err_sys(e, errno, "remove blob %s", digest);
	}
	pthread_mutex_unlock(&s->content.commit);
	return r < 0 ? -1 : 0;
}

static DIR *open_dir(int at, const char *path)
{
	int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir && fd >= 0)
		close(fd);
	return dir;
}

int content_sweep_blobs(struct store *s, size_t *ret_removed, struct err *e)
{
	static const char *const algorithms[] = { "sha256", "sha384", "sha512" };
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(algorithms) && r == 0; i++) {
		AUTO_FREE char *path = xasprintf("blobs/%s", algorithms[i]);
		DIR *dir = open_dir(s->content.fd, path);
		struct dirent *d;

		if (!dir)
			return err_sys(e, errno, "open %s", path);
		while (r == 0 && (d = readdir(dir)))
			if (d->d_name[0] != '.')
				r = sweep_blob(s, dirfd(dir), algorithms[i], d->d_name, ret_removed,
					       e);
		closedir(dir);
	}
	return r;
}

/* What a crash in the middle of ingest_open() or after a commit's rename leaves. */
int content_recover(struct store *s, struct err *e)
{
	DIR *dir = open_dir(s->content.fd, "ingest");
	size_t removed = 0;
	struct dirent *d;
	int r = 0;

	if (!dir)
		return err_sys(e, errno, "open ingest");
	while (r == 0 && (d = readdir(dir))) {
		if (d->d_name[0] == '.')
			continue;

		AUTO_FREE char *data = xasprintf("%s/data", d->d_name);
		AUTO_FREE char *ref = xasprintf("%s/ref", d->d_name);

		if (faccessat(dirfd(dir), data, F_OK, 0) < 0 ||
		    faccessat(dirfd(dir), ref, F_OK, 0) < 0)
			r = file_remove_tree(dirfd(dir), d->d_name);
	}
	closedir(dir);
	if (r < 0)
		return err_sys(e, -r, "remove a half-made ingest");
	return content_sweep_blobs(s, &removed, e);
}
