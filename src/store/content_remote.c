#include "store/content_remote.h"

#include "base/ident.h"
#include "os/fd.h"
#include "store/content_record.h"
#include "store/state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

enum { CHUNK = 256 * 1024 };

/* Beside the blobs, where a large one has room; not every file system has files without a name. */
static int scratch(const struct store *s, struct err *e)
{
	int fd = openat(s->content.fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0)
		fd = memfd_create("blob", MFD_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "a file for a blob") : fd;
}

static int verify(int fd, const char *digest, struct err *e)
{
	AUTO_FREE uint8_t *buf = xmalloc(CHUNK);
	struct sha256 sum;
	char got[DIGEST_SHA256 + 1];
	ssize_t n;

	if (strncmp(digest, "sha256:", 7) != 0)
		return 0; /* no commit of ours made it */
	sha256_init(&sum);
	for (off_t at = 0; (n = pread(fd, buf, CHUNK, at)) != 0; at += n) {
		if (n < 0)
			return err_sys(e, errno, "read blob");
		sha256_add(&sum, buf, (size_t)n);
	}
	sha256_digest(&sum, got);
	return strcmp(got, digest) == 0
		       ? 0
		       : err_set(e, ERR_DATA_LOSS, "content %s: what the other store has is %s",
				 digest, got);
}

int remote_fetch(struct store *s, const char *digest, uint64_t from, uint64_t size, bool is_whole,
		 int *ret_fd, struct err *e)
{
	const struct content_proxy *p = s->content.proxy;
	AUTO_FD int fd = scratch(s, e);

	if (fd < 0)
		return -1;
	if (size && p->remote->read(p->address, digest, from, size, fd, e) < 0)
		return err_wrap(e, "content store %s: read %s", p->name, digest);
	if (is_whole && verify(fd, digest, e) < 0)
		return -1;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(e, errno, "seek blob");
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int remote_upload_bytes(struct store *s, const char *digest, uint64_t size, int fd, struct err *e)
{
	const struct content_proxy *p = s->content.proxy;

	if (p->remote->write(p->address, digest, size, fd, e) < 0)
		return err_wrap(e, "content store %s: write %s", p->name, digest);
	return 0;
}

/* --- digests on their way --- */

/* In a list, and on the stack of nobody: calls to the other program may take minutes, and no lock
 * is held across one. */
struct remote_upload {
	struct remote_upload *next;
	bool is_removal;
	char digest[];
};

static bool is_listed(const struct content_dir *d, const char *digest, bool only_removals)
{
	for (const struct remote_upload *u = d->uploads; u; u = u->next)
		if (strcmp(u->digest, digest) == 0 && (u->is_removal || !only_removals))
			return true;
	return false;
}

/* Under the lock. */
static struct remote_upload *add(struct content_dir *d, const char *digest, bool is_removal)
{
	size_t n = strlen(digest) + 1;
	struct remote_upload *u = xmalloc(sizeof *u + n);

	u->next = d->uploads;
	u->is_removal = is_removal;
	memcpy(u->digest, digest, n);
	d->uploads = u;
	return u;
}

struct remote_upload *remote_upload_begin(struct store *s, const char *digest)
{
	struct content_dir *d = &s->content;

	pthread_mutex_lock(&d->uploads_lock);
	while (is_listed(d, digest, true))
		pthread_cond_wait(&d->uploads_changed, &d->uploads_lock);
	struct remote_upload *u = add(d, digest, false);
	pthread_mutex_unlock(&d->uploads_lock);
	return u;
}

void remote_upload_end(struct store *s, struct remote_upload *u)
{
	struct content_dir *d = &s->content;

	if (!u)
		return;
	pthread_mutex_lock(&d->uploads_lock);
	for (struct remote_upload **p = &d->uploads; *p; p = &(*p)->next)
		if (*p == u) {
			*p = u->next;
			break;
		}
	pthread_cond_broadcast(&d->uploads_changed);
	pthread_mutex_unlock(&d->uploads_lock);
	free(u);
}

/* NULL: somebody writes it. */
static struct remote_upload *removal_begin(struct store *s, const char *digest)
{
	struct content_dir *d = &s->content;

	pthread_mutex_lock(&d->uploads_lock);
	struct remote_upload *u = is_listed(d, digest, false) ? NULL : add(d, digest, true);
	pthread_mutex_unlock(&d->uploads_lock);
	return u;
}

/* --- sweeping --- */

struct sweep {
	struct store *s;
	size_t *removed;
};

/* Nobody is between an upload and its record meanwhile. */
static int sweep_one(const char *digest, void *arg, struct err *e)
{
	struct sweep *w = arg;
	const struct content_proxy *p = w->s->content.proxy;

	if (!digest_is_valid(digest))
		return 0;
	struct remote_upload *u = removal_begin(w->s, digest);
	if (!u)
		return 0;
	int r = content_is_stored(w->s, digest, e);
	if (r == 0) {
		r = p->remote->remove(p->address, digest, e);
		*w->removed += r == 0;
	}
	remote_upload_end(w->s, u);
	return r < 0 ? -1 : 0;
}

int remote_sweep_blobs(struct store *s, size_t *ret_removed, struct err *e)
{
	const struct content_proxy *p = s->content.proxy;
	struct sweep w = { s, ret_removed };

	if (p->remote->list(p->address, sweep_one, &w, e) < 0)
		return err_wrap(e, "content store %s", p->name);
	return 0;
}
