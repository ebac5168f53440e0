#include "image/transfer.h"

#include "base/log.h"
#include "base/mem.h"
#include "image/channel.h"
#include "image/serve.h"
#include "image/start.h"
#include "image/wire.h"
#include "os/fd.h"
#include "os/spawn.h"
#include "os/syscall.h"
#include "store/content.h"

#include <poll.h>
#include <string.h>

enum { END_TIMEOUT_MS = 5000 };

/* upper, when there is one, then the lowers. */
static int add_dirs(const struct snapshot_dirs *d, int *fds, size_t *n, struct err *e)
{
	if (*n + d->nlowers + 1 > CHANNEL_FDS)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "more than %d layers", CHANNEL_FDS);
	if (d->upper >= 0)
		fds[(*n)++] = d->upper;
	for (size_t i = 0; i < d->nlowers; i++)
		fds[(*n)++] = d->lowers[i];
	return 0;
}

/* The job and the descriptors that belong to it. */
static int send_job(const struct transfer_job *job, int sock, struct err *e)
{
	AUTO_STR struct str text = STR_INIT(CHANNEL_MAX);
	AUTO_FD int blob = -1;
	int fds[CHANNEL_FDS];
	size_t n = 0;
	struct jsonw w;

	jsonw_init(&w, &text, 0);
	wire_write_job(&w, job);
	if (job->kind == TRANSFER_IMPORT)
		fds[n++] = job->import.fd;
	if (job->kind == TRANSFER_EXPORT)
		fds[n++] = job->export.fd;
	if (job->kind == TRANSFER_APPLY) {
		uint64_t size;

		if (content_open(job->store, job->ns, job->apply.blob.digest, &blob, &size, e) < 0)
			return -1;
		fds[n++] = blob;
		if (add_dirs(job->apply.dirs, fds, &n, e) < 0)
			return -1;
	}
	if (job->kind == TRANSFER_DIFF &&
	    (add_dirs(job->diff.right, fds, &n, e) < 0 || add_dirs(job->diff.left, fds, &n, e) < 0))
		return -1;
	return channel_send(sock, &text, fds, n, e);
}

/* It has closed its end: by dying, or by a bug. */
static int gone(struct session *s, struct err *e)
{
	int status = 0;

	if (spawn_wait(s->pidfd, END_TIMEOUT_MS, &status) < 0)
		return err_set(e, ERR_INTERNAL, "the transfer worker fell silent");
	close_fd(&s->pidfd); /* reaped */
	s->pidfd = -1;
	if (status > 128)
		return err_set(e, ERR_UNAVAILABLE, "the transfer worker was ended by signal %d",
			       status - 128);
	return err_set(e, ERR_INTERNAL, "the transfer worker ended with %d, without a word",
		       status);
}

static int converse(struct session *s, struct arena *a, struct transfer_result *ret, struct err *e)
{
	for (;;) {
		AUTO_PACKET struct channel_packet p = { 0 };
		bool failed = false;

		if (cancel_poll(s->job->cancel, s->sock, POLLIN, 0, e) < 0)
			return -1;
		int r = channel_recv(s->sock, &p, e);
		if (r == 0)
			return gone(s, e);
		if (r > 0)
			r = serve_packet(s, &p, a, ret, &failed, e);
		if (r < 0 || failed)
			return -1;
		if (r == 1)
			return 0;
	}
}

/* Its end, at the latest by force. */
static void end(int pidfd)
{
	int status, r = spawn_wait(pidfd, 0, &status);

	if (r < 0) {
		/* It has said its last word, or must not say another: nothing is lost. */
		(void)sys_pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
		r = spawn_wait(pidfd, END_TIMEOUT_MS, &status);
	}
	if (r < 0)
		log_error(LOG_NONE, "a transfer worker does not die");
	else if (status != 0 && status != 137)
		log_debug(LOG_NONE, "transfer worker ended with %d", status);
}

int transfer_run(const struct transfer_job *job, struct arena *a, struct transfer_result *ret,
		 struct err *e)
{
	struct session s = { .job = job, .sock = -1, .pidfd = -1 };
	int pair[2], r;

	r = channel_pair(pair);
	if (r < 0)
		return err_sys(e, -r, "socketpair");
	s.sock = pair[0];
	r = worker_start(job->worker, pair[1], &s.pidfd, e);
	close(pair[1]);
	if (r == 0) {
		r = send_job(job, s.sock, e);
		if (r == 0)
			r = converse(&s, a, ret, e);
		if (s.pidfd >= 0)
			end(s.pidfd);
	}
	close_fd(&s.pidfd);
	session_end(&s);
	close(s.sock);
	return r;
}
