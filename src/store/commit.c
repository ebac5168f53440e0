/* The end of an ingest: verified, durable, recorded; and its removal. */
#include "store/ingest.h"

#include "os/file.h"
#include "store/content_record.h"
#include "store/content_remote.h"
#include "store/entry.h"
#include "store/state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

int ingest_adopt_size(struct ingest *in, struct err *e)
{
	struct blob_record blob;
	struct txn t;

	if (db_read(in->s->db, &t, e) < 0)
		return -1;
	int has = blob_get(&t, in->expected, &blob, e);
	db_read_end(&t);
	if (has < 0)
		return -1;
	if (!has)
		return err_set(e, ERR_UNAVAILABLE, "content %s is being removed", in->expected);
	in->size = blob.size;
	if (!in->total)
		in->total = blob.size;
	return 0;
}

/* Too few bytes may become enough; anything else wrong never will. */
static int verify(struct ingest *in, uint64_t size, const char *digest, char sum[72], struct err *e)
{
	struct err ignored = { 0 };

	if (ingest_digest(in, sum, e) < 0)
		return -1;
	if (size && size != in->size) {
		if (in->size > size && !in->is_shared)
			(void)ingest_reset(in, &ignored); /* the next open sees what is left */
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "unexpected commit size %llu, expected %llu",
			       (unsigned long long)in->size, (unsigned long long)size);
	}
	if (digest && *digest && strcmp(digest, sum) != 0) {
		if (!in->is_shared)
			(void)ingest_reset(in, &ignored);
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "unexpected commit digest %s, expected %s", sum, digest);
	}
	return 0;
}

struct commit {
	struct ingest *in;
	struct content_new n;
	bool is_shared;
};

static int record(struct txn *t, void *arg, struct err *e)
{
	struct commit *c = arg;

	if (c->is_shared) {
		struct blob_record blob;
		int has = blob_get(t, c->n.digest, &blob, e);

		if (has < 0)
			return -1;
		if (!has)
			return err_set(e, ERR_UNAVAILABLE, "content %s was removed", c->n.digest);
	}
	if (lease_leave(t, c->n.ns, c->in->lease, "ingests", c->in->ref, e) < 0)
		return -1;
	return content_add(t, &c->n, e);
}

/* The file to its place, durably.  Whether somebody had it before does not matter: equal bytes. */
static int publish(struct ingest *in, const char *digest, struct err *e)
{
	char path[BLOB_PATH_MAX];
	int content = in->s->content.fd;

	content_blob_path(digest, path);
	if (renameat(in->dirfd, "data", content, path) < 0)
		return errno == ENOENT ? err_set(e, ERR_FAILED_PRECONDITION,
						 "ingest %s was aborted", in->ref)
				       : err_sys(e, errno, "rename ingest %s", in->ref);
	*strrchr(path, '/') = 0;
	int r = file_fsync_dir(content, path);
	return r < 0 ? err_sys(e, -r, "sync %s", path) : 0;
}

static int commit_locked(struct ingest *in, struct commit *c, struct err *e)
{
	if (!in->is_shared && !in->s->content.proxy && publish(in, c->n.digest, e) < 0)
		return -1;
	/* A failure from here leaves a blob without a record: garbage, gone with the next sweep. */
	return db_write(in->s->db, record, c, e);
}

/* The bytes to where they stay, and the record. */
static int keep(struct ingest *in, struct commit *c, struct err *e)
{
	struct content_dir *d = &in->s->content;

	if (d->proxy && !in->is_shared &&
	    remote_upload_bytes(in->s, c->n.digest, in->size, in->fd, e) < 0)
		return -1;
	pthread_mutex_lock(&d->commit);
	int r = commit_locked(in, c, e);
	pthread_mutex_unlock(&d->commit);
	in->is_dropped =
		in->is_dropped || r >= 0 || !in->is_shared; /* data is gone: close cleans */
	return r;
}

int ingest_commit(struct ingest *in, uint64_t size, const char *digest, const struct labels *labels,
		  char ret_digest[72], struct err *e)
{
	static const struct labels none;
	char sum[72];

	if (!digest || !*digest)
		digest = in->expected;
	if (digest && content_check_digest(digest, e) < 0)
		return -1;
	if (digest && strncmp(digest, "sha256:", 7) != 0)
		return err_set(e, ERR_UNIMPLEMENTED, "%.6s: unsupported digest algorithm", digest);
	if (labels && labels_check(labels, e) < 0)
		return -1;
	if (verify(in, size, digest, sum, e) < 0)
		return -1;
	if (!in->is_shared && (fchmod(in->fd, 0444) < 0 || fsync(in->fd) < 0))
		return err_sys(e, errno, "sync ingest %s", in->ref);

	struct commit c = { in,
			    { in->ns, in->lease, sum, in->size, labels ?: &none },
			    in->is_shared };

	struct remote_upload *u = in->s->content.proxy ? remote_upload_begin(in->s, sum) : NULL;
	int r = keep(in, &c, e);
	remote_upload_end(in->s, u);
	if (r < 0) {
		store_made_garbage(in->s);
		return -1;
	}
	if (ret_digest)
		memcpy(ret_digest, sum, sizeof sum);
	if (r == 1)
		return err_set(e, ERR_ALREADY_EXISTS, "content %s", sum);
	return 0;
}

/* --- other people's ingests --- */

int ingest_status(struct store *s, const char *ns, struct arena *a, const char *ref,
		  struct ingest_status *ret, struct err *e)
{
	AUTO_FREE char *key = xasprintf("%s/%s", ns, ref);
	char hash[SHA256_HEX + 1];
	const char *found;

	ingest_hash(key, hash);
	int r = ingest_read(&s->content, hash, a, ret, &found, e);
	if (r < 0)
		return -1;
	return r ? 0 : err_set(e, ERR_NOT_FOUND, "reference %s", ref);
}

int ingest_abort(struct store *s, const char *ns, const char *ref, struct err *e)
{
	AUTO_FREE char *key = xasprintf("%s/%s", ns, ref);
	char hash[SHA256_HEX + 1];
	struct stat st;

	ingest_hash(key, hash);
	AUTO_FREE char *path = xasprintf("ingest/%s", hash);
	if (fstatat(s->content.fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? err_set(e, ERR_NOT_FOUND, "reference %s", ref)
				       : err_sys(e, errno, "stat ingest %s", ref);
	int r = file_remove_tree(s->content.fd, path);
	return r < 0 ? err_sys(e, -r, "remove ingest %s", ref) : 0;
}
