/* Bytes of an archive to a client, by a thread of the pool. */
#include "api/containerd/transfer_stream.h"

#include "api/containerd/convert.h"
#include "loop/pool.h"
#include "os/fd.h"
#include "wire/rpc.h"

#include "containerd/types/transfer/streaming.pb-c.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

enum { CHUNK = 32 * 1024 }; /* of one Data message, as containerd's */

struct outflow {
	struct stream *st;
	int fd; /* the pipe's reading end */
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool has_ended;
	struct err failure;
};

/* Blocks until the client grants some. */
static int get_credit(struct outflow *o, int64_t *credit, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	const void *msg;
	int r = rpc_recv(stream_call(o->st), &msg, e);

	if (r < 0)
		return -1;
	if (r == 0)
		return err_set(e, ERR_CANCELLED, "the client has closed its stream");

	struct any any = conv_any(msg);
	const Containerd__Types__Transfer__WindowUpdate *w =
		conv_unpack(a, &any, &containerd__types__transfer__window_update__descriptor);
	if (!w || w->update < 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "stream of bytes: no WindowUpdate message");
	*credit += w->update;
	return 0;
}

static int send_chunk(struct outflow *o, uint8_t *buf, size_t n, struct err *e)
{
	Containerd__Types__Transfer__Data d = CONTAINERD__TYPES__TRANSFER__DATA__INIT;
	AUTO_ARENA struct arena *a = arena_new();

	d.data = (ProtobufCBinaryData){ n, buf };
	struct any any = conv_pack(a, &d.base);
	return rpc_send(stream_call(o->st), conv_to_any(a, &any), e);
}

static int pass_all(struct outflow *o, struct err *e)
{
	AUTO_FREE uint8_t *buf = xmalloc(CHUNK);
	int64_t credit = 0;

	for (;;) {
		while (credit <= 0)
			if (get_credit(o, &credit, e) < 0)
				return -1;
		ssize_t n = read(o->fd, buf, credit < CHUNK ? (size_t)credit : CHUNK);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, errno, "read archive");
		if (n == 0)
			return 0;
		if (send_chunk(o, buf, (size_t)n, e) < 0)
			return -1;
		credit -= n;
	}
}

static void run(void *arg)
{
	struct outflow *o = arg;
	struct err e = { 0 };

	(void)pass_all(o, &e);
	close(o->fd); /* a worker that goes on writing is told so */
	stream_end(o->st);
	pthread_mutex_lock(&o->lock);
	o->failure = e;
	o->has_ended = true;
	pthread_cond_signal(&o->ended);
	pthread_mutex_unlock(&o->lock);
}

int transfer_outflow_new(struct pool *pool, struct stream *st, int *ret_fd, struct outflow **ret,
			 struct err *e)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0) {
		stream_end(st);
		return err_sys(e, errno, "pipe");
	}

	struct outflow *o = NEW(struct outflow);

	*o = (struct outflow){ .st = st,
			       .fd = fds[0],
			       .lock = PTHREAD_MUTEX_INITIALIZER,
			       .ended = PTHREAD_COND_INITIALIZER };
	pool_run(pool, run, o);
	*ret_fd = fds[1];
	*ret = o;
	return 0;
}

int transfer_outflow_end(struct outflow *o, struct err *e)
{
	int r = 0;

	pthread_mutex_lock(&o->lock);
	while (!o->has_ended)
		pthread_cond_wait(&o->ended, &o->lock);
	pthread_mutex_unlock(&o->lock);
	if (o->failure.code)
		r = err_copy(e, &o->failure);
	pthread_mutex_destroy(&o->lock);
	pthread_cond_destroy(&o->ended);
	free(o);
	return r;
}
