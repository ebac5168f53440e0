/* The parts of criu_verify(): each compares what the kernel says of restored processes, or an image
 * that says what the kernel can't, with config.json.  A difference is ERR_PERMISSION_DENIED. */
#pragma once

#include "runtime/plan.h"
#include "runtime/seccomp.h"

#include <sys/types.h>

#define CRIU_MISFIT "the images do not fit config.json: "

/* Masks, read-only paths and mounts, seen from the first process (criu_verify_mounts.c). */
int criu_verify_mounts(const struct plan *p, int procfd, pid_t init, int rootfd, struct err *e);

/* Whether the restored container uses the folder for sd_notify(); true where that can't be told. */
bool criu_has_notify(const struct plan *p, int procfd, pid_t init);

/* "INSIDE OUTSIDE COUNT" lines as in /proc/PID/uid_map; NULL: ids are what they are. */
struct criu_id_maps {
	char *uid, *gid;
};
void criu_id_maps_done(struct criu_id_maps *m);

/* The maps of the first process, which must be those of config.json (criu_verify_user.c). */
int criu_verify_id_maps(const struct plan *p, int procfd, pid_t init, struct criu_id_maps *ret,
			struct err *e);

/* User, capabilities, no_new_privs and seccomp mode of a thread by its /proc/…/status.  A dead
 * process has nothing that it could use. */
bool criu_status_is_dead(const char *status);
int criu_verify_status(const struct plan *p, bool has_seccomp, const struct criu_id_maps *m,
		       pid_t pid, const char *status, struct err *e);

/* Every process and thread is where the first one is: namespaces and root. */
int criu_verify_process(const struct plan *p, bool has_seccomp, const struct criu_id_maps *m,
			int procfd, pid_t init, pid_t pid, struct err *e);

/* Before the restore: each stack of filters in seccomp.img begins with f (criu_verify_filter.c). */
int criu_verify_filters(int images, const struct seccomp_filter *f, struct err *e);

/* The decimal number behind blanks; where its text ends, NULL: there is none. */
const char *criu_next_number(const char *at, const char *blanks, uint64_t *ret);
