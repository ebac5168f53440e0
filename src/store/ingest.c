#include "store/ingest.h"

#include "base/num.h"
#include "base/timefmt.h"
#include "os/fd.h"
#include "os/file.h"
#include "store/content_record.h"
#include "store/entry.h"
#include "store/state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { REF_MAX = 4096, READ_CHUNK = 256 << 10 };

void ingest_hash(const char *key, char ret[SHA256_HEX + 1])
{
	sha256_of(key, strlen(key), ret);
}

/* --- opening --- */

struct admission {
	const struct ingest *in;
	bool is_shared;
};

/* 1: ns has the blob (and the lease now has it, too). */
static int admit(struct txn *t, void *arg, struct err *e)
{
	struct admission *ad = arg;
	const struct ingest *in = ad->in;

	ad->is_shared = false;
	if (in->expected) {
		struct blob_record blob;
		int has = content_has(t, in->ns, in->expected, e);

		if (has < 0)
			return -1;
		if (has)
			return lease_join(t, in->ns, in->lease, "content", in->expected, e) < 0 ? -1
												: 1;
		has = content_is_shared(t, &in->s->content, in->expected, &blob, e);
		if (has < 0)
			return -1;
		ad->is_shared = has;
	}
	/* The namespace shows up with its first ingest, as in containerd. */
	return namespace_ensure(t, in->ns, e) < 0 ||
			       lease_join(t, in->ns, in->lease, "ingests", in->ref, e) < 0
		       ? -1
		       : 0;
}

static void put_time(int dirfd, const char *name, struct timespec t)
{
	char text[TIMEFMT_MAX];

	timefmt_rfc3339(t, text);
	/* For people and tools that look; nothing depends on it. */
	(void)file_replace(dirfd, name, text, strlen(text), 0600, false);
}

static struct timespec get_time(int dirfd, const char *name, struct timespec otherwise)
{
	AUTO_FREE char *text = NULL;
	struct timespec t;

	if (file_read(dirfd, name, TIMEFMT_MAX, &text, NULL) < 0 || timefmt_parse(text, &t) < 0)
		return otherwise;
	return t;
}

static uint64_t get_total(int dirfd)
{
	AUTO_FREE char *text = NULL;
	uint64_t total = 0;

	if (file_read(dirfd, "total", 32, &text, NULL) == 0)
		(void)num_u64(text, &total); /* unreadable: unknown */
	return total;
}

static int put_total(struct ingest *in)
{
	char text[32];

	snprintf(text, sizeof text, "%llu", (unsigned long long)in->total);
	return file_replace(in->dirfd, "total", text, strlen(text), 0600, false);
}

/* ref last: a directory without one is no ingest. */
static int write_fresh(struct ingest *in)
{
	int r = 0;

	put_time(in->dirfd, "startedat", in->started);
	put_time(in->dirfd, "updatedat", in->started);
	if (in->total)
		r = put_total(in);
	if (r == 0)
		r = file_replace(in->dirfd, "ref", in->key, strlen(in->key), 0600, false);
	return r;
}

static int open_files(struct ingest *in, struct err *e)
{
	AUTO_FREE char *path = xasprintf("ingest/%s", in->hash);
	int content = in->s->content.fd, r = 0;
	struct stat st;

	if (mkdirat(content, path, 0700) < 0 && errno != EEXIST)
		return err_sys(e, errno, "create ingest %s", in->ref);
	in->dirfd = openat(content, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (in->dirfd < 0)
		return err_sys(e, errno, "open ingest %s", in->ref);
	in->fd = openat(in->dirfd, "data", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (in->fd < 0 || fstat(in->fd, &st) < 0)
		return err_sys(e, errno, "open ingest %s", in->ref);
	in->size = (uint64_t)st.st_size;
	in->updated = st.st_mtim;

	if (in->size == 0) {
		r = write_fresh(in);
	} else {
		uint64_t total = get_total(in->dirfd);

		in->started = get_time(in->dirfd, "startedat", st.st_mtim);
		if (in->total && total && in->total != total)
			return err_set(e, ERR_UNKNOWN,
				       "provided total differs from status: %llu != %llu",
				       (unsigned long long)in->total, (unsigned long long)total);
		if (total)
			in->total = total;
		else if (in->total)
			r = put_total(in);
	}
	if (r == 0 && in->lease && faccessat(in->dirfd, "leased", F_OK, 0) < 0)
		r = file_replace(in->dirfd, "leased", "", 0, 0600, false);
	if (r < 0)
		return err_sys(e, -r, "write ingest %s", in->ref);
	if (lseek(in->fd, 0, SEEK_END) < 0)
		return err_sys(e, errno, "seek ingest %s", in->ref);
	return 0;
}

static struct ingest *ingest_new(struct store *s, const char *ns, const char *lease,
				 const char *ref, uint64_t total, const char *expected)
{
	struct ingest *in = NEW(struct ingest);

	in->s = s;
	in->ns = xstrdup(ns);
	in->lease = lease && *lease ? xstrdup(lease) : NULL;
	in->expected = expected && *expected ? xstrdup(expected) : NULL;
	in->key = xasprintf("%s/%s", ns, ref);
	in->ref = in->key + strlen(ns) + 1;
	in->total = total;
	in->dirfd = in->fd = -1;
	in->started = in->updated = entry_now();
	sha256_init(&in->sum);
	ingest_hash(in->key, in->hash);
	return in;
}

static void ingest_free(struct ingest *in)
{
	close_fd(&in->fd);
	close_fd(&in->dirfd);
	free(in->ns);
	free(in->lease);
	free(in->expected);
	free(in->key);
	free(in);
}

static int check_args(const char *ref, const char *expected, struct err *e)
{
	if (!ref || !*ref)
		return err_set(e, ERR_INVALID_ARGUMENT, "ref must not be empty");
	if (strlen(ref) > REF_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "ref is longer than %d bytes", REF_MAX);
	if (expected && *expected)
		return content_check_digest(expected, e);
	return 0;
}

int ingest_open(struct store *s, const char *ns, const char *lease, const char *ref, uint64_t total,
		const char *expected, struct ingest **ret, struct err *e)
{
	if (check_args(ref, expected, e) < 0)
		return -1;

	struct ingest *in = ingest_new(s, ns, lease, ref, total, expected);
	struct admission ad = { .in = in };

	if (ref_acquire(&s->content, in->key, e) < 0) {
		ingest_free(in);
		return -1;
	}
	int r = db_write(s->db, admit, &ad, e);
	if (r == 1)
		r = err_set(e, ERR_ALREADY_EXISTS, "content %s", expected);
	if (r == 0 && ad.is_shared) {
		in->is_shared = true;
		r = ingest_adopt_size(in, e);
	} else if (r == 0) {
		r = open_files(in, e);
	}
	if (r < 0) {
		ref_release(&s->content, in->key);
		ingest_free(in);
		return -1;
	}
	*ret = in;
	return 0;
}

void ingest_close(struct ingest *in)
{
	if (!in)
		return;
	if (in->is_dropped && in->dirfd >= 0) {
		AUTO_FREE char *path = xasprintf("ingest/%s", in->hash);

		/* What stays is found by the next collection. */
		(void)file_remove_tree(in->s->content.fd, path);
	} else if (in->dirfd >= 0) {
		put_time(in->dirfd, "updatedat", entry_now());
	}
	ref_release(&in->s->content, in->key);
	ingest_free(in);
}

void ingest_discard(struct ingest *in)
{
	if (in)
		in->is_dropped = true;
	ingest_close(in);
}

/* --- bytes --- */

void ingest_get_status(const struct ingest *in, struct ingest_status *ret)
{
	*ret = (struct ingest_status){ .ref = in->ref,
				       .expected = in->expected ?: "",
				       .offset = in->size,
				       .total = in->total,
				       .started = in->started,
				       .updated = in->updated };
}

int ingest_sync(struct ingest *in, struct err *e)
{
	struct stat st;

	if (in->is_shared)
		return 0;
	if (fstat(in->fd, &st) < 0)
		return err_sys(e, errno, "stat ingest %s", in->ref);
	in->size = (uint64_t)st.st_size;
	in->updated = st.st_mtim;
	if (in->hashed > in->size) { /* the other writer started again */
		sha256_init(&in->sum);
		in->hashed = 0;
	}
	if (in->hashed == in->size)
		return 0;

	AUTO_FREE char *buf = xmalloc(READ_CHUNK);

	while (in->hashed < in->size) {
		uint64_t left = in->size - in->hashed;
		ssize_t n = pread(in->fd, buf, left < READ_CHUNK ? (size_t)left : READ_CHUNK,
				  (off_t)in->hashed);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(e, n < 0 ? errno : EIO, "read ingest %s", in->ref);
		sha256_add(&in->sum, buf, (size_t)n);
		in->hashed += (uint64_t)n;
	}
	return 0;
}

int ingest_digest(struct ingest *in, char ret[72], struct err *e)
{
	if (in->is_shared) {
		snprintf(ret, 72, "%s", in->expected);
		return 0;
	}
	if (ingest_sync(in, e) < 0)
		return -1;

	struct sha256 copy = in->sum;

	sha256_digest(&copy, ret);
	return 0;
}

int ingest_reset(struct ingest *in, struct err *e)
{
	if (ftruncate(in->fd, 0) < 0 || lseek(in->fd, 0, SEEK_SET) < 0)
		return err_sys(e, errno, "truncate ingest %s", in->ref);
	sha256_init(&in->sum);
	in->size = in->hashed = 0;
	return 0;
}

/* A client that has bytes of its own for a blob we could have shared: then they are written. */
static int leave_share(struct ingest *in, struct err *e)
{
	in->is_shared = false;
	in->size = 0;
	return open_files(in, e) < 0 ? -1 : ingest_reset(in, e);
}

int ingest_write(struct ingest *in, const void *p, size_t n, struct err *e)
{
	if (in->is_shared && leave_share(in, e) < 0)
		return -1;
	if (in->hashed != in->size && ingest_sync(in, e) < 0)
		return -1;

	int r = fd_write_all(in->fd, p, n);
	if (r < 0) {
		if (r == -ENOSPC || r == -EDQUOT) {
			in->is_dropped = true;
			(void)!ftruncate(in->fd, 0); /* gives the space back at once, or later */
			in->size = in->hashed = 0;
			sha256_init(&in->sum);
		}
		return err_sys(e, -r, "write ingest %s", in->ref);
	}
	sha256_add(&in->sum, p, n);
	in->size += n;
	in->hashed += n;
	in->updated = entry_now();
	return 0;
}

int ingest_truncate(struct ingest *in, uint64_t size, struct err *e)
{
	if (in->is_shared)
		return leave_share(in, e);
	if (size == 0)
		return ingest_reset(in, e);
	if (ftruncate(in->fd, (off_t)size) < 0 || lseek(in->fd, 0, SEEK_END) < 0)
		return err_sys(e, errno, "truncate ingest %s", in->ref);
	sha256_init(&in->sum); /* a running sum can't go back */
	in->hashed = 0;
	in->size = size;
	return 0;
}

int ingest_fd(struct ingest *in, int *ret_fd, struct err *e)
{
	if (in->is_shared && leave_share(in, e) < 0)
		return -1;
	*ret_fd = in->fd;
	return 0;
}

/* --- looking from outside --- */

int ingest_read(struct content_dir *d, const char *name, struct arena *a, struct ingest_status *ret,
		const char **ret_key, struct err *e)
{
	AUTO_FREE char *path = xasprintf("ingest/%s", name);
	AUTO_FREE char *key = NULL;
	AUTO_FD int dirfd = openat(d->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;

	if (dirfd < 0)
		return errno == ENOENT || errno == ENOTDIR
			       ? 0
			       : err_sys(e, errno, "open ingest %s", name);
	int r = file_read(dirfd, "ref", REF_MAX + 128, &key, NULL);
	if (r == -ENOENT || (r == 0 && !strchr(key, '/')))
		return 0;
	if (r < 0)
		return err_sys(e, -r, "read ref of ingest %s", name);
	if (fstatat(dirfd, "data", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_sys(e, errno, "stat ingest %s", name);
	*ret_key = arena_strdup(a, key);
	*ret = (struct ingest_status){ .ref = strchr(*ret_key, '/') + 1,
				       .expected = "",
				       .offset = (uint64_t)st.st_size,
				       .total = get_total(dirfd),
				       .started = get_time(dirfd, "startedat", st.st_mtim),
				       .updated = st.st_mtim };
	return 1;
}
