/* Checkpoint and restore of a whole container through CRIU (criu(8), 3.11 or newer), which is a
 * program of its own that must be installed: the state of its processes goes into a folder of
 * image files, and comes back from there, here or on another machine.
 *
 * Trust: whoever can write the images can put any memory into the restored processes, but gets
 * nothing that config.json does not give: what is mounted where, capabilities, no_new_privs and
 * the presence of a filter are compared with it before anything runs.  A library of its own
 * (libruntime_criu), so that only programs that use it carry it. */
#pragma once

#include "runtime/runtime.h"

enum checkpoint_cgroups {
	CHECKPOINT_CGROUPS_DEFAULT,
	CHECKPOINT_CGROUPS_SOFT,
	CHECKPOINT_CGROUPS_FULL,
	CHECKPOINT_CGROUPS_STRICT,
	CHECKPOINT_CGROUPS_IGNORE,
};

struct checkpoint {
	const char *criu; /* the program: a path, or a name for PATH */
	const char *image_path; /* made when missing */
	const char *work_path; /* logs; NULL: with the images */
	const char *parent_path; /* of a pre-dump, relative to image_path; NULL: none */
	const char *page_server; /* address of criu page-server; NULL: none */
	int page_port;
	const char *lsm_profile, *lsm_mount_context; /* restore; "TYPE:NAME" */
	enum checkpoint_cgroups cgroups;
	bool leave_running, tcp_established, tcp_skip_in_flight, link_remap, ext_unix_sk, shell_job,
		lazy_pages, file_locks, pre_dump, auto_dedup;
	int status_fd; /* gets a NUL byte when lazy pages can be asked for; -1: none */
};

/* A running or paused container.  Its processes are gone afterwards unless leave_running or
 * pre_dump is set; the caller deletes what remains. */
int runtime_checkpoint(const struct runtime *rt, const char *id, const struct checkpoint *c,
		       struct err *e);

/* A container as runtime_run() would make it, its processes from the images.  They are children
 * of the caller. */
int runtime_restore(const struct runtime *rt, const struct runtime_create *create,
		    const struct checkpoint *c, struct runtime_process *ret, struct err *e);
