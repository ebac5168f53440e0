/* The worker's part of Diff.Diff: two chains of folders become two trees, their difference a blob.
 */
#include "image/deflate.h"
#include "image/diff.h"
#include "image/worker.h"

#include "base/mem.h"
#include "base/sha256.h"
#include "base/str.h"
#include "os/fd.h"
#include "os/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* Folders of layers, the top-most first. */
struct chain {
	const int *fds;
	size_t n;
};

/* Every byte of the layer passes both on its way. */
struct sink {
	struct deflate *z;
	struct sha256 sha;
};

static int write_layer(void *arg, const void *p, size_t n, struct err *e)
{
	struct sink *s = arg;

	sha256_add(&s->sha, p, n);
	return deflate_write(s->z, p, n, e);
}

/* What a container would see of the chain: the only folder, or an overlay of them that is mounted
 * nowhere.  A descriptor of the caller's; -1 with e filled. */
static int merge(const struct chain *c, struct err *e)
{
	AUTO_STR struct str lower = STR_INIT(1 << 16);
	int r;

	if (c->n == 1) {
		r = openat(c->fds[0], ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
		return r < 0 ? err_sys(e, errno, "open layer") : r;
	}
	for (size_t i = 0; i < c->n; i++)
		str_addf(&lower, "%s/proc/self/fd/%d", i ? ":" : "", c->fds[i]);

	AUTO_FD int fs = sys_fsopen("overlay", FSOPEN_CLOEXEC);
	if (fs < 0)
		return err_sys(e, -fs, "fsopen overlay");
	r = sys_fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir", str_c(&lower), 0);
	if (r == 0)
		r = sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	if (r == 0)
		r = sys_fsmount(fs, FSMOUNT_CLOEXEC,
				MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	return r < 0 ? err_sys(e, -r, "merge %zu layers", c->n) : r;
}

static bool is_same_folder(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

/* Whether right is one more layer on top of left: then that layer is all there is to read. */
static bool is_one_more(const struct chain *left, const struct chain *right)
{
	if (!left->n || right->n != left->n + 1)
		return false;
	for (size_t i = 0; i < left->n; i++)
		if (!is_same_folder(left->fds[i], right->fds[i + 1]))
			return false;
	return true;
}

static int write_blob(struct worker *w, const struct diff_trees *trees, enum inflate_kind kind,
		      struct transfer_result *ret, struct err *e)
{
	const struct transfer_diff *d = &w->job.diff;
	struct labels labels = { arena_array(w->arena, d->labels.n + 1, sizeof *labels.v),
				 d->labels.n };
	char *digest = arena_alloc(w->arena, DIGEST_MAX + 1);
	char *diff_id = arena_alloc(w->arena, DIGEST_SHA256 + 1);
	struct sink sink;
	struct peer_ingest in;
	uint64_t size = 0;

	if (peer_ingest_open(&w->peer, d->ref, 0, "", &in, e) < 0)
		return -1;
	if (in.offset) { /* of one that broke off: a layer can't be continued */
		peer_ingest_close(&w->peer, &in, false);
		if (peer_ingest_open(&w->peer, d->ref, 0, "", &in, e) < 0)
			return -1;
	}
	sha256_init(&sink.sha);
	sink.z = deflate_new(in.fd, kind);
	int r = diff_write(trees, write_layer, &sink, e);
	if (r == 0)
		r = deflate_end(sink.z, &size, e);
	deflate_free(sink.z);
	sha256_digest(&sink.sha, diff_id);
	if (r < 0) {
		peer_ingest_close(&w->peer, &in, false);
		return -1;
	}
	memcpy(labels.v, d->labels.v, d->labels.n * sizeof *labels.v);
	if (kind != INFLATE_PLAIN)
		labels.v[labels.n++] = (struct label){ "containerd.io/uncompressed", diff_id };
	if (peer_ingest_commit(&w->peer, &in, size, "", &labels, digest, e) < 0 ||
	    peer_blob_label(&w->peer, digest, &labels, e) < 0) /* one that was there already */
		return -1;
	ret->root = (struct oci_descriptor){ .media_type = d->media_type,
					     .digest = digest,
					     .size = size };
	ret->diff_id = diff_id;
	return 0;
}

static int write_diff(struct worker *w, int right, bool is_upper, struct transfer_result *ret,
		      struct err *e)
{
	const struct transfer_diff *d = &w->job.diff;
	const struct diff_trees trees = { .left = w->trees.left,
					  .right = right,
					  .is_upper = is_upper,
					  .has_epoch = d->has_epoch,
					  .epoch = d->epoch };
	enum inflate_kind kind;

	if (inflate_kind_of(d->media_type, &kind, e) < 0)
		return err_set(e, ERR_UNIMPLEMENTED, "unsupported diff media type: %s",
			       d->media_type);
	if (kind == INFLATE_GUESS) /* Docker's name for what everybody compresses */
		kind = INFLATE_GZIP;
	return write_blob(w, &trees, kind, ret, e);
}

int worker_diff_open(struct worker *w, struct channel_packet *job, struct err *e)
{
	uint64_t n_right = 0;

	w->trees = (struct worker_trees){ -1, -1, -1 };
	if (jsonr_u64(job->json, "n_right", &n_right, e) < 0)
		return -1;
	if (n_right == 0 || n_right > job->n_fds)
		return err_set(e, ERR_INTERNAL, "the job lacks its folders");
	const struct chain right = { job->fds, (size_t)n_right };
	const struct chain left = { job->fds + n_right, job->n_fds - (size_t)n_right };
	const struct chain top = { right.fds, 1 };

	if (left.n && (w->trees.left = merge(&left, e)) < 0)
		return -1;
	if (is_one_more(&left, &right) && (w->trees.upper = merge(&top, e)) < 0)
		return -1;
	w->trees.right = merge(&right, e);
	return w->trees.right < 0 ? -1 : 0;
}

int worker_diff(struct worker *w, struct transfer_result *ret, struct err *e)
{
	struct err first = { 0 };

	if (w->trees.upper < 0)
		return write_diff(w, w->trees.right, false, ret, e);
	if (write_diff(w, w->trees.upper, true, ret, &first) == 0)
		return 0;
	if (first.code != ERR_FAILED_PRECONDITION)
		return err_copy(e, &first);
	return write_diff(w, w->trees.right, false, ret, e); /* the kernel knows what it means */
}
