/* containerd-transfer: one pull, push, import, export, unpack or diff for the daemon, or for the
 * ctr, that has started it, over the socket it was given as descriptor 3.  It reads hostile bytes,
 * so it gives up first what it does not need. */
#include "cmd/transfer/syscalls.h"

#include "base/log.h"
#include "image/wire.h"
#include "image/worker.h"
#include "os/fd.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <sched.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum { CHANNEL = 3 };
#define ADDRESS_SPACE (4ull << 30)
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

/* Owners, modes, devices and attributes of files, and nothing else.  CAP_SYS_ADMIN is for
 * trusted.overlay.opaque. */
static int drop_capabilities(struct err *e)
{
	static const cap_value_t keep[] = { CAP_CHOWN,     CAP_DAC_OVERRIDE,   CAP_FOWNER,
					    CAP_FSETID,    CAP_MKNOD,          CAP_SETFCAP,
					    CAP_SYS_ADMIN, CAP_DAC_READ_SEARCH };
	cap_t caps = cap_init();
	int r = 0;

	if (!caps || cap_set_flag(caps, CAP_PERMITTED, ARRAY_LEN(keep), keep, CAP_SET) < 0 ||
	    cap_set_flag(caps, CAP_EFFECTIVE, ARRAY_LEN(keep), keep, CAP_SET) < 0 ||
	    cap_set_proc(caps) < 0)
		r = err_sys(e, errno, "drop capabilities");
	cap_free(caps);
	return r;
}

static bool has_registry(enum transfer_kind k)
{
	return k == TRANSFER_PULL || k == TRANSFER_PUSH || k == TRANSFER_FETCH ||
	       k == TRANSFER_PUT || k == TRANSFER_CHECK;
}

/* A mount namespace of its own, bounded memory, no core files, no new privileges. */
static int confine(const struct transfer_job *job, struct err *e)
{
	const struct rlimit memory = { ADDRESS_SPACE, ADDRESS_SPACE }, none = { 0, 0 };

	umask(0); /* modes are a layer's, exactly; it makes no other file */
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_sys(e, errno, "make a mount namespace");
	/* AddressSanitizer reserves terabytes */
	if ((!SANITIZED && setrlimit(RLIMIT_AS, &memory) < 0) || setrlimit(RLIMIT_CORE, &none) < 0)
		return err_sys(e, errno, "set limits");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, errno, "set no_new_privs");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_sys(e, errno, "become undumpable");
	return drop_capabilities(e) < 0 ? -1 : syscalls_give_up(has_registry(job->kind), e);
}

static int do_job(struct worker *w, struct channel_packet *job, struct transfer_result *ret,
		  struct err *e)
{
	switch (w->job.kind) {
	case TRANSFER_PULL:
		return worker_pull(w, ret, e);
	case TRANSFER_IMPORT:
		if (job->n_fds != 1)
			return err_set(e, ERR_INTERNAL, "the job lacks its stream");
		return worker_import(w, job->fds[0], ret, e);
	case TRANSFER_PUSH:
		return worker_push(w, e);
	case TRANSFER_EXPORT:
		if (job->n_fds != 1)
			return err_set(e, ERR_INTERNAL, "the job lacks its stream");
		return worker_export(w, job->fds[0], e);
	case TRANSFER_FETCH:
		if (job->n_fds != 1)
			return err_set(e, ERR_INTERNAL, "the job lacks its stream");
		return worker_fetch(w, job->fds[0], e);
	case TRANSFER_PUT:
		return worker_put(w, e);
	case TRANSFER_CONVERT:
		return worker_convert(w, ret, e);
	case TRANSFER_CHECK:
		return worker_check(w, e);
	case TRANSFER_VERIFY:
		return worker_verify(w, e);
	case TRANSFER_INSTALL:
		if (job->n_fds != 1)
			return err_set(e, ERR_INTERNAL, "the job lacks its folder");
		return worker_install(w, job->fds[0], e);
	case TRANSFER_APPLY:
		return worker_apply(w, job, ret, e);
	case TRANSFER_DIFF:
		return worker_diff(w, ret, e);
	}
	return err_set(e, ERR_UNIMPLEMENTED, "unknown job");
}

static int run(struct err *e)
{
	struct worker w = { .arena = arena_new() };
	AUTO_PACKET struct channel_packet job = { 0 };
	struct transfer_result result = { 0 };
	int r = channel_recv(CHANNEL, &job, e);

	if (r <= 0)
		return r < 0 ? -1 : err_set(e, ERR_UNAVAILABLE, "no job came");
	peer_init(&w.peer, CHANNEL);
	r = wire_read_job(w.arena, job.json, &w.job, e);
	if (r == 0 && w.job.kind == TRANSFER_DIFF)
		r = worker_diff_open(&w, &job, e);
	if (r == 0)
		r = confine(&w.job, e);
	if (r == 0)
		r = do_job(&w, &job, &result, e);
	if (r == 0)
		r = peer_done(&w.peer, &result, e);
	else
		peer_fail(&w.peer, e);
	strv_done(&w.seen);
	arena_free(w.arena);
	return r;
}

int main(void)
{
	struct err e = { 0 };
	int type;
	socklen_t n = sizeof type;

	if (fd_fill_std() < 0)
		return 1;
	if (getsockopt(CHANNEL, SOL_SOCKET, SO_TYPE, &type, &n) < 0 || type != SOCK_SEQPACKET) {
		fprintf(stderr,
			"containerd-transfer is started by containerd or ctr, not by hand\n");
		return 2;
	}
	(void)fd_set_cloexec(CHANNEL, true); /* it starts nothing; for form's sake */
	/* names in archives are UTF-8 or bytes: never the locale's */
	(void)setlocale(LC_ALL, "C");
	curl_global_init(CURL_GLOBAL_DEFAULT);
	return run(&e) < 0 ? 1 : 0; /* the daemon has been told why */
}
