#include "cmd/ctr/blob_write.h"

#include "cmd/ctr/image_read.h"

#include "base/sha256.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

enum { CHUNK = 1 << 20 };

typedef CONTENT(WriteContentRequest) write_request;
typedef CONTENT(WriteContentResponse) write_response;

struct writer {
	struct grpc_stream *s;
	const struct blob_source *from;
	uint64_t offset;
	struct sha256 sum; /* of what was read: a blob that is there already has no answer */
};

/* One request and its answer; NULL: a failure. */
static write_response *exchange(struct writer *w, struct arena *a, const write_request *q,
				struct err *e)
{
	void *rsp = NULL;

	if (grpc_stream_send(w->s, &q->base, e) < 0)
		return NULL;
	if (grpc_stream_recv(w->s, a, &rsp, e) == 0)
		err_set(e, ERR_UNAVAILABLE, "the daemon ended the upload of %s", w->from->ref);
	return rsp;
}

static int begin(struct writer *w, struct arena *a, struct err *e)
{
	write_request q = CONTENT_INIT(WRITE_CONTENT_REQUEST);
	write_response *rsp;

	q.action = CONTAINERD__SERVICES__CONTENT__V1__WRITE_ACTION__STAT;
	q.ref = PB(w->from->ref);
	q.total = (int64_t)w->from->size;
	q.expected = PB(w->from->expected ? w->from->expected : "");
	rsp = exchange(w, a, &q, e);
	if (!rsp)
		return -1;
	w->offset = rsp->offset > 0 ? (uint64_t)rsp->offset : 0;
	return 0;
}

/* What an earlier try has sent. */
static int skip(struct writer *w, unsigned char *buf, struct err *e)
{
	for (uint64_t left = w->offset; left;) {
		size_t want = left < CHUNK ? (size_t)left : CHUNK;
		ssize_t n = fd_read_all(w->from->fd, buf, want);

		if (n < 0)
			return err_sys(e, (int)-n, "read");
		if ((size_t)n < want)
			return err_set(e, ERR_FAILED_PRECONDITION,
				       "ingest %s has more bytes than what is to be written",
				       w->from->ref);
		sha256_add(&w->sum, buf, want);
		left -= want;
	}
	return 0;
}

static int send_all(struct writer *w, unsigned char *buf, struct err *e)
{
	for (;;) {
		struct arena *a AUTO_ARENA = arena_new();
		write_request q = CONTENT_INIT(WRITE_CONTENT_REQUEST);
		ssize_t n = fd_read_all(w->from->fd, buf, CHUNK);

		if (n < 0)
			return err_sys(e, (int)-n, "read");
		if (n == 0)
			return 0;
		q.action = CONTAINERD__SERVICES__CONTENT__V1__WRITE_ACTION__WRITE;
		q.offset = (int64_t)w->offset;
		q.data = (ProtobufCBinaryData){ (size_t)n, buf };
		if (!exchange(w, a, &q, e))
			return err_wrap(e, "failed to send write");
		sha256_add(&w->sum, buf, (size_t)n);
		w->offset += (uint64_t)n;
	}
}

static int commit(struct writer *w, struct arena *a, const char **ret_digest, struct err *e)
{
	write_request q = CONTENT_INIT(WRITE_CONTENT_REQUEST);
	write_response *rsp;

	q.action = CONTAINERD__SERVICES__CONTENT__V1__WRITE_ACTION__COMMIT;
	q.total = (int64_t)(w->from->size ? w->from->size : w->offset);
	q.offset = (int64_t)w->offset;
	q.expected = PB(w->from->expected ? w->from->expected : "");
	if (w->from->labels) {
		q.n_labels = w->from->labels->n;
		q.labels = (void *)labels_to_pb(
			a, w->from->labels,
			&containerd__services__content__v1__write_content_request__labels_entry__descriptor);
	}
	rsp = exchange(w, a, &q, e);
	if (!rsp)
		return -1;
	*ret_digest = rsp->digest;
	return 0;
}

static int run(struct ctr *ctr, struct writer *w, const char **ret_digest, struct err *e)
{
	unsigned char *buf AUTO_FREE = xmalloc(CHUNK);

	if (ctr_open(ctr, "content.v1.Content/Write", NULL,
		     &containerd__services__content__v1__write_content_response__descriptor, &w->s,
		     e) < 0)
		return -1;
	if (begin(w, ctr->arena, e) < 0 || skip(w, buf, e) < 0 || send_all(w, buf, e) < 0)
		return -1;
	return commit(w, ctr->arena, ret_digest, e);
}

int blob_write(struct ctr *ctr, const struct blob_source *from, const char **ret_digest,
	       struct err *e)
{
	const char *expected = from->expected ? from->expected : "", *got = expected;
	struct writer w = { .from = from };
	char digest[DIGEST_SHA256 + 1];
	struct err why = { 0 };
	int r;

	sha256_init(&w.sum);
	r = run(ctr, &w, &got, &why);
	grpc_stream_free(w.s);
	if (r < 0 && why.code != ERR_ALREADY_EXISTS)
		return err_copy(e, &why);
	sha256_digest(&w.sum, digest);
	if (ret_digest)
		*ret_digest = r == 0      ? got
			      : *expected ? expected
					  : arena_strdup(ctr->arena, digest);
	return 0;
}

int blob_scratch(int *ret_fd, struct err *e)
{
	const char *dir = getenv("TMPDIR");

	*ret_fd = open(dir && *dir ? dir : "/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (*ret_fd < 0)
		*ret_fd = memfd_create("blob", MFD_CLOEXEC); /* no such folder or file system */
	return *ret_fd < 0 ? err_sys(e, errno, "make a temporary file") : 0;
}

int blob_copy(struct ctr *ctr, const char *digest, int fd, struct err *e)
{
	struct grpc_stream *s AUTO_GRPC_STREAM = NULL;
	CONTENT(ReadContentResponse) * rsp;
	int r;

	if (blob_open(ctr, digest, &s, e) < 0)
		return -1;
	for (;;) {
		struct arena *a AUTO_ARENA = arena_new(); /* blobs may be larger than memory */

		r = grpc_stream_recv(s, a, (void **)&rsp, e);
		if (r <= 0)
			return r;
		r = fd_write_all(fd, rsp->data.data, rsp->data.len);
		if (r < 0)
			return err_sys(e, -r, "write");
	}
}
