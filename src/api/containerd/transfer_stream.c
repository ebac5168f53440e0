#include "api/containerd/transfer_stream.h"

#include "api/containerd/convert.h"
#include "base/log.h"
#include "loop/pool.h"
#include "os/fd.h"
#include "wire/rpc.h"

#include "containerd/types/transfer/progress.pb-c.h"
#include "containerd/types/transfer/registry.pb-c.h"
#include "containerd/types/transfer/streaming.pb-c.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>

enum { WINDOW = 65536 }; /* of credit, and of what a client may send in one message */

static int send_any(struct stream *st, struct arena *a, const ProtobufCMessage *msg, struct err *e)
{
	struct any any = conv_pack(a, msg);

	return rpc_send(stream_call(st), conv_to_any(a, &any), e);
}

void transfer_send_progress(struct stream *st, const struct transfer_progress *p)
{
	Containerd__Types__Transfer__Progress m = CONTAINERD__TYPES__TRANSFER__PROGRESS__INIT;
	Containerd__Types__Descriptor d = CONTAINERD__TYPES__DESCRIPTOR__INIT;
	char *parents[] = { (char *)p->parent };
	struct err lost = { 0 };

	/* A transfer says thousands of these: they must not pile up in its arena. */
	AUTO_ARENA struct arena *own = arena_new();
	m.event = (char *)(p->event ? p->event : "");
	m.name = (char *)(p->name ? p->name : "");
	m.n_parents = p->parent && *p->parent;
	m.parents = parents;
	m.progress = (int64_t)p->progress;
	m.total = (int64_t)p->total;
	if (p->desc) {
		d.media_type = (char *)(p->desc->media_type ? p->desc->media_type : "");
		d.digest = (char *)(p->desc->digest ? p->desc->digest : "");
		d.size = (int64_t)p->desc->size;
		m.desc = &d;
	}
	(void)send_any(st, own, &m.base, &lost); /* nobody looks any more: the work goes on */
}

static enum transfer_auth auth_of(Containerd__Types__Transfer__AuthType t)
{
	switch (t) {
	case CONTAINERD__TYPES__TRANSFER__AUTH_TYPE__CREDENTIALS:
		return TRANSFER_AUTH_PASSWORD;
	case CONTAINERD__TYPES__TRANSFER__AUTH_TYPE__REFRESH:
		return TRANSFER_AUTH_REFRESH;
	case CONTAINERD__TYPES__TRANSFER__AUTH_TYPE__HEADER:
		return TRANSFER_AUTH_HEADER;
	default:
		return TRANSFER_AUTH_NONE;
	}
}

int transfer_ask_credentials(struct stream *st, struct arena *a, const char *host,
			     const char *reference, const char *const *www_authenticate,
			     struct transfer_credentials *ret, struct err *e)
{
	Containerd__Types__Transfer__AuthRequest q =
		CONTAINERD__TYPES__TRANSFER__AUTH_REQUEST__INIT;
	const void *msg;

	q.host = (char *)host;
	q.reference = (char *)reference;
	q.wwwauthenticate = (char **)www_authenticate;
	while (www_authenticate && www_authenticate[q.n_wwwauthenticate])
		q.n_wwwauthenticate++;
	if (send_any(st, a, &q.base, e) < 0)
		return err_wrap(e, "failed to ask for credentials");

	int r = rpc_recv(stream_call(st), &msg, e);
	if (r < 0)
		return err_wrap(e, "failed to get credentials");
	if (r == 0)
		return err_set(e, ERR_UNAUTHENTICATED, "the client gave no credentials for %s",
			       host);

	struct any any = conv_any(msg);
	const Containerd__Types__Transfer__AuthResponse *p =
		conv_unpack(a, &any, &containerd__types__transfer__auth_response__descriptor);
	if (!p)
		return err_set(e, ERR_INVALID_ARGUMENT, "credentials for %s: no AuthResponse",
			       host);
	*ret = (struct transfer_credentials){ .type = auth_of(p->authtype),
					      .username = arena_strdup(a, p->username),
					      .secret = arena_strdup(a, p->secret) };
	return 0;
}

struct pump {
	struct stream *st;
	int fd; /* the pipe's writing end */
};

/* 1: go on, 0: the end, -1: failed. */
static int pump_message(struct pump *p, int64_t *credit, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	const void *msg;

	if (*credit < WINDOW) {
		Containerd__Types__Transfer__WindowUpdate w =
			CONTAINERD__TYPES__TRANSFER__WINDOW_UPDATE__INIT;

		w.update = WINDOW;
		if (send_any(p->st, a, &w.base, e) < 0)
			return -1;
		*credit += WINDOW;
	}
	int r = rpc_recv(stream_call(p->st), &msg, e);
	if (r <= 0)
		return r;

	struct any any = conv_any(msg);
	const Containerd__Types__Transfer__Data *d =
		conv_unpack(a, &any, &containerd__types__transfer__data__descriptor);
	if (!d)
		return err_set(e, ERR_INVALID_ARGUMENT, "stream of bytes: no Data message");
	if ((int64_t)d->data.len > *credit)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "stream of bytes: more than its credit");
	*credit -= (int64_t)d->data.len;
	r = fd_write_all(p->fd, d->data.data, d->data.len);
	return r < 0 ? err_sys(e, -r, "write stream") : 1;
}

static void pump_run(void *arg)
{
	struct pump *p = arg;
	struct err e = { 0 };
	int64_t credit = 0;
	sigset_t pipe_only;

	/* A worker that has gone away is EPIPE here, not the daemon's end. */
	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe_only, NULL);
	while (pump_message(p, &credit, &e) > 0)
		continue;
	if (e.code)
		log_debug(LOG({ "error", e.msg }), "stream of bytes ended early");
	close(p->fd);
	stream_end(p->st);
	free(p);
}

int transfer_pump(struct pool *pool, struct stream *st, struct err *e)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0) {
		stream_end(st);
		return err_sys(e, errno, "pipe");
	}

	struct pump *p = NEW(struct pump);
	*p = (struct pump){ st, fds[1] };
	pool_run(pool, pump_run, p);
	return fds[0];
}
