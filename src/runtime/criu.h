/* A talk with `criu swrk`: started by us, one request, its notifications, its answer. */
#pragma once

#include "cgroup/cgroup.h"
#include "criu/rpc.pb-c.h"
#include "runtime/checkpoint.h"
#include "runtime/plan.h"

enum {
	CRIU_VERSION_MIN = 31100, /* external network namespaces */
	CRIU_VERSION_LSM = 31600, /* --lsm-profile that works */
	CRIU_FIRST_FD = 4, /* behind stdio and the socket */
	CRIU_FDS_MAX = 8,
	CRIU_MOUNTS_MAX = 512,
};

/* Answers a notification; -1 makes criu give up.  fd: what came with it, owned by the callee, or
 * -1.  pid: of the restored first process, where there is one. */
typedef int (*criu_notify_fn)(void *arg, const char *script, pid_t pid, int fd, struct err *e);

/* How criu is started. */
struct criu_start {
	const char *program;
	int fds[CRIU_FDS_MAX]; /* become CRIU_FIRST_FD … in it; borrowed */
	size_t n_fds;
};

struct criu {
	int sock, pidfd;
	pid_t pid;
};
#define CRIU_NONE ((struct criu){ .sock = -1, .pidfd = -1 })
void criu_done(struct criu *c); /* kills it if it still runs */
#define AUTO_CRIU CLEANUP(criu_done)

int criu_start(const struct criu_start *s, struct criu *ret, struct err *e);

/* Sends the request and serves notifications until the answer; the restored pid in *ret_pid. */
int criu_call(struct criu *c, CriuReq *req, criu_notify_fn notify, void *arg, pid_t *ret_pid,
	      struct err *e);

/* Both start a criu of their own. */
int criu_check_version(const char *program, int min, struct err *e);
int criu_check_features(const char *program, bool mem_track, bool lazy_pages, struct err *e);

/* What its log says went wrong, as warnings: without it a failure is a riddle. */
void criu_quote_log(int dirfd, const char *dir, const char *file);

/* Options that dump and restore share. */
void criu_fill_opts(const struct checkpoint *c, const struct oci_spec *spec, struct arena *a,
		    CriuOpts *o);

/* External mounts (criu_mounts.c).  What is not in the images is known there by tokens that we
 * make ("casco-mount-3"), never by a path: a path of the container's own making could name
 * another thing on restore. */
struct criu_mounts {
	CriuMountMap *v[CRIU_MOUNTS_MAX];
	size_t n;
};
int criu_mounts_dump(struct arena *a, const struct plan *p, bool has_notify, int procfd, pid_t pid,
		     struct criu_mounts *ret, struct err *e);
int criu_mounts_restore(struct arena *a, const struct plan *p, const struct oci_pairs *cgroups,
			struct criu_mounts *ret, struct err *e);
/* Mount points that the root file system lacks. */
int criu_mounts_prepare(const struct plan *p, struct err *e);

/* criu_verify.c: before the restored processes run.  pids: all of the container's. */
int criu_list_tree(int procfd, pid_t init, struct cgroup_pids *ret, struct err *e);
int criu_verify(const struct plan *p, bool has_seccomp, int procfd, pid_t init, const pid_t *pids,
		size_t n_pids, struct err *e);
