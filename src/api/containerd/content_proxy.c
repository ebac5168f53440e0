#include "api/containerd/content_proxy.h"

#include "base/str.h"
#include "loop/loop.h"
#include "os/fd.h"
#include "wire/grpc_client.h"

#include "containerd/services/content/v1/content.pb-c.h"
#include "google/protobuf/empty.pb-c.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define V1(name) Containerd__Services__Content__V1__##name
#define P(x) containerd__services__content__v1__##x
#define METHOD(name) "/containerd.services.content.v1.Content/" name

/* Its own namespaces, if it has any, are not ours: all of our blobs are in one. */
#define NAMESPACE "default"

/* What our commits say of a blob, and what is ours to remove. */
#define LABEL "containerd.io/gc.root"
#define OURS "casco"

static const uint64_t second = UINT64_C(1000000000);
/* A blob may be large; what has no bytes is quick. */
enum { SLOW = 600, QUICK = 30, CHUNK = 1 << 20 };

typedef V1(WriteContentRequest) write_request;
typedef V1(WriteContentResponse) write_response;

static int dial(const char *address, struct grpc_client **ret, struct err *e)
{
	if (grpc_connect_until(address, NULL, loop_now() + QUICK * second, ret, e) < 0)
		return -1;
	grpc_meta(*ret, "containerd-namespace", NAMESPACE);
	return 0;
}

/* --- read --- */

/* As many bytes as were asked for, no more. */
static int receive(struct grpc_stream *s, uint64_t size, int fd, struct err *e)
{
	uint64_t got = 0;

	for (;;) {
		AUTO_ARENA struct arena *a = arena_new();
		V1(ReadContentResponse) * rsp;
		int more = grpc_stream_recv(s, a, (void **)&rsp, e);

		if (more < 0)
			return -1;
		if (!more)
			break;
		if (rsp->data.len > size - got)
			return err_set(e, ERR_DATA_LOSS, "more than %llu bytes came",
				       (unsigned long long)size);
		int r = fd_write_all(fd, rsp->data.data, rsp->data.len);

		if (r < 0)
			return err_sys(e, -r, "write blob");
		got += rsp->data.len;
	}
	return got == size ? 0
			   : err_set(e, ERR_DATA_LOSS, "%llu of %llu bytes came",
				     (unsigned long long)got, (unsigned long long)size);
}

static int read_blob(const char *address, const char *digest, uint64_t from, uint64_t size, int fd,
		     struct err *e)
{
	const struct grpc_options opt = { .timeout_ns = SLOW * second };
	V1(ReadContentRequest) q;
	AUTO_GRPC struct grpc_client *c = NULL;
	AUTO_GRPC_STREAM struct grpc_stream *s = NULL;

	P(read_content_request__init)(&q);
	q.digest = (char *)digest;
	q.offset = (int64_t)from;
	q.size = (int64_t)size;
	if (dial(address, &c, e) < 0 ||
	    grpc_stream_open(c, METHOD("Read"), &P(read_content_response__descriptor), &opt, &s,
			     e) < 0 ||
	    grpc_stream_send_last(s, &q.base, e) < 0)
		return -1;
	return receive(s, size, fd, e);
}

/* --- write --- */

struct writer {
	struct grpc_stream *s;
	struct arena *a;
	const char *digest;
	uint64_t size, offset;
	int fd;
};

static int exchange(struct writer *w, write_request *q, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	write_response *rsp;
	int r;

	q->offset = (int64_t)w->offset;
	if (grpc_stream_send(w->s, &q->base, e) < 0 ||
	    (r = grpc_stream_recv(w->s, a, (void **)&rsp, e)) < 0)
		return -1;
	if (!r)
		return err_set(e, ERR_UNAVAILABLE, "the upload was ended");
	if (rsp->offset < 0 || (uint64_t)rsp->offset > w->size)
		return err_set(e, ERR_DATA_LOSS, "it has %lld of %llu bytes",
			       (long long)rsp->offset, (unsigned long long)w->size);
	w->offset = (uint64_t)rsp->offset;
	return 0;
}

/* Goes on where an earlier try has ended. */
static int begin(struct writer *w, struct err *e)
{
	write_request q;

	P(write_content_request__init)(&q);
	q.action = CONTAINERD__SERVICES__CONTENT__V1__WRITE_ACTION__STAT;
	q.ref = arena_printf(w->a, "casco-%s", w->digest);
	q.total = (int64_t)w->size;
	q.expected = (char *)w->digest;
	return exchange(w, &q, e);
}

static int send_bytes(struct writer *w, struct err *e)
{
	AUTO_FREE uint8_t *buf = xmalloc(CHUNK);

	while (w->offset < w->size) {
		uint64_t before = w->offset;
		write_request q;
		ssize_t n = pread(w->fd, buf, CHUNK, (off_t)before);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(e, n < 0 ? errno : EIO, "read blob");
		P(write_content_request__init)(&q);
		q.action = CONTAINERD__SERVICES__CONTENT__V1__WRITE_ACTION__WRITE;
		q.data = (ProtobufCBinaryData){ (size_t)n, buf };
		if (exchange(w, &q, e) < 0)
			return -1;
		if (w->offset <= before)
			return err_set(e, ERR_DATA_LOSS, "it takes no bytes at offset %llu",
				       (unsigned long long)before);
	}
	return 0;
}

/* One that collects garbage must not take for it what only we refer to. */
static int commit(struct writer *w, struct err *e)
{
	V1(WriteContentRequest__LabelsEntry) label, *labels = &label;
	write_request q;

	P(write_content_request__labels_entry__init)(&label);
	label.key = (char *)LABEL;
	label.value = (char *)OURS;
	P(write_content_request__init)(&q);
	q.action = CONTAINERD__SERVICES__CONTENT__V1__WRITE_ACTION__COMMIT;
	q.total = (int64_t)w->size;
	q.expected = (char *)w->digest;
	q.labels = &labels;
	q.n_labels = 1;
	return exchange(w, &q, e);
}

static int write_blob(const char *address, const char *digest, uint64_t size, int fd, struct err *e)
{
	const struct grpc_options opt = { .timeout_ns = SLOW * second };
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_GRPC struct grpc_client *c = NULL;
	AUTO_GRPC_STREAM struct grpc_stream *s = NULL;
	struct err why = { 0 };

	if (dial(address, &c, e) < 0 ||
	    grpc_stream_open(c, METHOD("Write"), &P(write_content_response__descriptor), &opt, &s,
			     e) < 0)
		return -1;
	struct writer w = { s, a, digest, size, 0, fd };

	if (begin(&w, &why) < 0 || send_bytes(&w, &why) < 0 || commit(&w, &why) < 0)
		return why.code == ERR_ALREADY_EXISTS ? 0 : err_copy(e, &why);
	return 0;
}

/* --- what is there --- */

static int remove_blob(const char *address, const char *digest, struct err *e)
{
	const struct grpc_options opt = { .timeout_ns = QUICK * second };
	V1(DeleteContentRequest) q;
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_GRPC struct grpc_client *c = NULL;
	struct err why = { 0 };
	void *ignored;

	P(delete_content_request__init)(&q);
	q.digest = (char *)digest;
	if (dial(address, &c, e) < 0)
		return -1;
	if (grpc_call(c, METHOD("Delete"), &q.base, &google__protobuf__empty__descriptor, a,
		      &ignored, &opt, &why) < 0 &&
	    why.code != ERR_NOT_FOUND)
		return err_copy(e, &why);
	return 0;
}

static bool is_ours(const V1(Info) * info)
{
	for (size_t i = 0; i < info->n_labels; i++)
		if (strcmp(info->labels[i]->key, LABEL) == 0)
			return strcmp(info->labels[i]->value, OURS) == 0;
	return false;
}

/* The list ends before the first visit: visitors call the other program, too.  The labels are
 * looked at again: visitors remove, and not every program knows filters. */
static int gather(struct grpc_stream *s, struct arena *a, struct strv *ret, struct err *e)
{
	enum { LIST_MAX = 1 << 20 };
	V1(ListContentResponse) * rsp;
	int more;

	while ((more = grpc_stream_recv(s, a, (void **)&rsp, e)) > 0)
		for (size_t i = 0; i < rsp->n_info && ret->n < LIST_MAX; i++)
			if (is_ours(rsp->info[i]))
				strv_add(ret, rsp->info[i]->digest);
	return more;
}

static int list(const char *address, content_remote_visit *visit, void *arg, struct err *e)
{
	const struct grpc_options opt = { .timeout_ns = QUICK * second };
	char *filter = (char *)"labels.\"" LABEL "\"==" OURS;
	V1(ListContentRequest) q;
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_STRV struct strv digests = { 0 };
	AUTO_GRPC struct grpc_client *c = NULL;
	AUTO_GRPC_STREAM struct grpc_stream *s = NULL;

	P(list_content_request__init)(&q);
	q.filters = &filter;
	q.n_filters = 1;
	if (dial(address, &c, e) < 0 ||
	    grpc_stream_open(c, METHOD("List"), &P(list_content_response__descriptor), &opt, &s,
			     e) < 0 ||
	    grpc_stream_send_last(s, &q.base, e) < 0 || gather(s, a, &digests, e) < 0)
		return -1;
	for (size_t i = 0; i < digests.n; i++)
		if (visit(digests.v[i], arg, e) < 0)
			return -1;
	return 0;
}

const struct content_remote content_proxy_remote = {
	.read = read_blob,
	.write = write_blob,
	.remove = remove_blob,
	.list = list,
};
