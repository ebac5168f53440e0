#include "cmd/ctr/transfer.h"

#include "cmd/ctr/progress.h"

#include "os/fd.h"

#include <errno.h>
#include <poll.h>

enum { CHUNK = 32 << 10, WINDOW = 8 * CHUNK, REDRAW_MS = 100 };

struct transfer {
	struct ctr *ctr;
	struct grpc_stream *progress, *credentials, *bytes, *call;
	struct progress *view;
	struct credentials answer;
	int fd;
	int64_t credit; /* bytes that the daemon will take now */
	bool takes_bytes, bytes_end, call_end;
};

#define STREAM_TYPE &google__protobuf__any__descriptor

Google__Protobuf__Any *any_pack(struct arena *a, const void *message)
{
	const ProtobufCMessage *m = message;
	Google__Protobuf__Any *any = ARENA_NEW(a, Google__Protobuf__Any);
	size_t n = protobuf_c_message_get_packed_size(m);

	google__protobuf__any__init(any);
	any->type_url = PB(m->descriptor->name);
	any->value.data = arena_alloc(a, n + 1);
	any->value.len = protobuf_c_message_pack(m, any->value.data);
	return any;
}

/* 1 and *ret when the Any holds that message, 0 when it holds something else. */
static int any_unpack(struct arena *a, const Google__Protobuf__Any *any,
		      const ProtobufCMessageDescriptor *type, void *ret, struct err *e)
{
	ProtobufCMessage *m;

	if (strcmp(any->type_url, type->name) != 0)
		return 0;
	(void)a; /* freed with the process: messages of a run of ctr are few */
	m = protobuf_c_message_unpack(type, NULL, any->value.len, any->value.data);
	if (!m)
		return err_set(e, ERR_INTERNAL, "the daemon sent a %s that does not parse",
			       type->name);
	*(void **)ret = m;
	return 1;
}

static int open_stream(struct transfer *t, const char *kind, struct grpc_stream **ret,
		       const char **ret_id, struct err *e)
{
	Containerd__Services__Streaming__V1__StreamInit init =
		CONTAINERD__SERVICES__STREAMING__V1__STREAM_INIT__INIT;
	struct grpc_stream *s AUTO_GRPC_STREAM = NULL;
	Google__Protobuf__Any *ack;
	int r;

	init.id = ctr_unique(t->ctr, kind);
	if (ctr_open(t->ctr, "streaming.v1.Streaming/Stream", NULL, STREAM_TYPE, &s, e) < 0 ||
	    grpc_stream_send(s, &any_pack(t->ctr->arena, &init)->base, e) < 0)
		return -1;
	/* only after this answer may the id be used */
	r = grpc_stream_recv(s, t->ctr->arena, (void **)&ack, e);
	if (r < 0 && e->code == ERR_UNIMPLEMENTED)
		t->ctr->no_transfer = true; /* containerd older than 1.7 */
	if (r < 0)
		return err_wrap(e, "open stream %s", init.id);
	if (r == 0)
		return err_set(e, ERR_UNAVAILABLE, "open stream %s: the daemon closed it", init.id);
	*ret = TAKE_PTR(s);
	*ret_id = init.id;
	return 0;
}

int transfer_new(struct ctr *ctr, struct transfer **ret, struct err *e)
{
	struct transfer *t AUTO_TRANSFER = NEW(struct transfer);

	t->ctr = ctr;
	t->fd = -1;
	(void)e;
	t->view = progress_new(stdout, isatty(STDOUT_FILENO));
	*ret = TAKE_PTR(t);
	return 0;
}

void transfer_free(struct transfer *t)
{
	if (!t)
		return;
	grpc_stream_free(t->call);
	grpc_stream_free(t->bytes);
	grpc_stream_free(t->credentials);
	grpc_stream_free(t->progress);
	progress_free(t->view);
	free(t);
}

int transfer_offer_credentials(struct transfer *t, const struct credentials *c, const char **ret_id,
			       struct err *e)
{
	t->answer = *c;
	return open_stream(t, "creds-", &t->credentials, ret_id, e);
}

int transfer_offer_bytes(struct transfer *t, int fd, const char **ret_id, struct err *e)
{
	t->fd = fd;
	return open_stream(t, "import-", &t->bytes, ret_id, e);
}

static int grant(struct transfer *t, struct err *e)
{
	Containerd__Types__Transfer__WindowUpdate w =
		CONTAINERD__TYPES__TRANSFER__WINDOW_UPDATE__INIT;
	struct arena *a AUTO_ARENA = arena_new();

	w.update = WINDOW;
	t->credit += WINDOW;
	return grpc_stream_send(t->bytes, &any_pack(a, &w)->base, e);
}

int transfer_take_bytes(struct transfer *t, int fd, const char **ret_id, struct err *e)
{
	t->fd = fd;
	t->takes_bytes = true;
	if (open_stream(t, "export-", &t->bytes, ret_id, e) < 0)
		return -1;
	return grant(t, e);
}

static int on_data(struct transfer *t, const Google__Protobuf__Any *any, struct err *e)
{
	Containerd__Types__Transfer__Data *d;
	struct err late = { 0 };
	int r = any_unpack(t->ctr->arena, any, &containerd__types__transfer__data__descriptor, &d,
			   e);

	if (r <= 0)
		return r;
	int w = fd_write_all(t->fd, d->data.data, d->data.len);

	t->credit -= (int64_t)d->data.len;
	protobuf_c_message_free_unpacked(&d->base, NULL);
	if (w < 0)
		return err_sys(e, -w, "write the archive");
	/* One that has sent everything may have ended the stream: what is here of it is still read,
	 * and the call itself says whether that was all. */
	if (t->credit < WINDOW / 2)
		(void)grant(t, &late);
	return 0;
}

static int on_progress(struct transfer *t, const Google__Protobuf__Any *any, struct err *e)
{
	Containerd__Types__Transfer__Progress *p;
	int r = any_unpack(t->ctr->arena, any, &containerd__types__transfer__progress__descriptor,
			   &p, e);

	if (r <= 0)
		return r;
	progress_event(t->view, p);
	protobuf_c_message_free_unpacked(&p->base, NULL);
	return 0;
}

static int on_question(struct transfer *t, const Google__Protobuf__Any *any, struct err *e)
{
	Containerd__Types__Transfer__AuthResponse answer =
		CONTAINERD__TYPES__TRANSFER__AUTH_RESPONSE__INIT;

	(void)any; /* one set of credentials, whatever host asks: the user gave it for this pull */
	if (t->answer.refresh) {
		answer.authtype = CONTAINERD__TYPES__TRANSFER__AUTH_TYPE__REFRESH;
		answer.secret = PB(t->answer.refresh);
	} else if (t->answer.user) {
		answer.authtype = CONTAINERD__TYPES__TRANSFER__AUTH_TYPE__CREDENTIALS;
		answer.username = PB(t->answer.user);
		answer.secret = PB(t->answer.secret);
	}
	return grpc_stream_send(t->credentials, &any_pack(t->ctr->arena, &answer)->base, e);
}

static int on_credit(struct transfer *t, const Google__Protobuf__Any *any, struct err *e)
{
	Containerd__Types__Transfer__WindowUpdate *w;
	int r = any_unpack(t->ctr->arena, any,
			   &containerd__types__transfer__window_update__descriptor, &w, e);

	if (r <= 0)
		return r;
	if (w->update > 0)
		t->credit += w->update;
	protobuf_c_message_free_unpacked(&w->base, NULL);
	return 0;
}

typedef int message_fn(struct transfer *t, const Google__Protobuf__Any *any, struct err *e);

/* Takes what has come on one stream; an ended stream is closed and forgotten. */
static int drain(struct transfer *t, struct grpc_stream **s, message_fn *fn, struct err *e)
{
	struct arena *a AUTO_ARENA = arena_new();
	Google__Protobuf__Any *any;
	struct err ended = { 0 };
	int r;

	while (*s && grpc_stream_ready(*s)) {
		r = grpc_stream_recv(*s, a, (void **)&any, &ended);
		if (r > 0) {
			if (fn(t, any, e) < 0)
				return -1;
			continue;
		}
		/* the Transfer call itself says what went wrong, better than a side stream */
		grpc_stream_free(*s);
		*s = NULL;
	}
	return 0;
}

static int send_chunk(struct transfer *t, struct err *e)
{
	Containerd__Types__Transfer__Data data = CONTAINERD__TYPES__TRANSFER__DATA__INIT;
	struct arena *a AUTO_ARENA = arena_new();
	unsigned char *buf = arena_alloc(a, CHUNK);
	size_t want = t->credit < CHUNK ? (size_t)t->credit : CHUNK;
	ssize_t n = read(t->fd, buf, want);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n < 0)
		return err_sys(e, errno, "read the archive");
	if (n == 0) {
		t->bytes_end = true;
		return grpc_stream_close_send(t->bytes, e);
	}
	t->credit -= n;
	data.data = (ProtobufCBinaryData){ (size_t)n, buf };
	return grpc_stream_send(t->bytes, &any_pack(a, &data)->base, e);
}

static int on_call(struct transfer *t, struct err *e)
{
	void *rsp;
	int r;

	while (!t->call_end && grpc_stream_ready(t->call)) {
		r = grpc_stream_recv(t->call, t->ctr->arena, &rsp, e);
		if (r < 0)
			return -1;
		t->call_end = r == 0;
	}
	return 0;
}

static bool wants_bytes(const struct transfer *t)
{
	return t->bytes && !t->takes_bytes && !t->bytes_end && t->credit > 0;
}

static int wait_for_something(struct transfer *t, struct err *e)
{
	struct pollfd fds[2] = {
		{ .fd = grpc_fd(t->ctr->client), .events = grpc_events(t->ctr->client) },
		{ .fd = wants_bytes(t) ? t->fd : -1, .events = POLLIN },
	};

	if (poll(fds, ARRAY_LEN(fds), REDRAW_MS) < 0 && errno != EINTR)
		return err_sys(e, errno, "poll");
	if (fds[1].revents && send_chunk(t, e) < 0)
		return -1;
	return grpc_pump(t->ctr->client, e);
}

static int run_loop(struct transfer *t, struct err *e)
{
	for (;;) {
		if (drain(t, &t->progress, on_progress, e) < 0 ||
		    drain(t, &t->credentials, on_question, e) < 0 ||
		    drain(t, &t->bytes, t->takes_bytes ? on_data : on_credit, e) < 0)
			return -1;
		if (on_call(t, e) < 0)
			return -1;
		if (t->call_end && !(t->takes_bytes && t->bytes))
			return 0;
		progress_draw(t->view);
		if (wait_for_something(t, e) < 0)
			return -1;
	}
}

int transfer_run(struct transfer *t, const void *source, const void *destination, struct err *e)
{
	Containerd__Services__Transfer__V1__TransferRequest req =
		CONTAINERD__SERVICES__TRANSFER__V1__TRANSFER_REQUEST__INIT;
	Containerd__Services__Transfer__V1__TransferOptions options =
		CONTAINERD__SERVICES__TRANSFER__V1__TRANSFER_OPTIONS__INIT;
	const char *id;
	int r;

	if (open_stream(t, "progress-", &t->progress, &id, e) < 0)
		return -1;
	options.progress_stream = PB(id);
	req.source = any_pack(t->ctr->arena, source);
	req.destination = any_pack(t->ctr->arena, destination);
	req.options = &options;
	if (ctr_open(t->ctr, "transfer.v1.Transfer/Transfer", &req,
		     &google__protobuf__empty__descriptor, &t->call, e) < 0)
		return -1;
	r = run_loop(t, e);
	progress_end(t->view);
	return r;
}
