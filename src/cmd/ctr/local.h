/* A transfer by a worker of our own (containerd-transfer) instead of one of the daemon's: it uses
 * this process's network and files, and what it asks for is answered from the daemon's content
 * store over gRPC.  So it works with every containerd, and with options that the Transfer service
 * has no field for.
 *
 *	struct local l AUTO_LOCAL;
 *	local_init(&l, ctr, "pull");
 *	jsonw_kbool(&l.job, "all_metadata", true); …        (fields as image/wire.c reads them)
 *	local_run(&l, -1, e);
 */
#pragma once

#include "cmd/ctr/progress.h"
#include "cmd/ctr/transfer.h"

#include "base/jsonw.h"
#include "oci/image.h"

enum { LOCAL_INGESTS = 16 };

struct local_image {
	const char *name;
	struct oci_descriptor target;
};

struct local_ingest {
	int fd; /* 0: not used */
	const char *ref, *expected;
};

struct local {
	struct ctr *ctr;
	struct jsonw job; /* the job's object, open */
	struct credentials answer; /* for registries that ask */
	const char *hosts_dirs[2]; /* of the operator's credentials; ended by NULL */
	void (*report)(const char *name, const char *event); /* instead of a display; NULL: none */
	bool is_quiet; /* no progress: the standard output is for bytes */

	/* what the worker has made */
	struct local_image *images;
	size_t n_images;
	struct oci_descriptor root; /* import: the archive's index; digest NULL: none */

	/* its own */
	struct str text;
	struct progress *view;
	struct local_ingest ingests[LOCAL_INGESTS];
};

void local_init(struct local *l, struct ctr *ctr, const char *kind);
void local_done(struct local *l);
#define AUTO_LOCAL CLEANUP(local_done)

/* The job's platforms by their words; none: every one, or the host's. */
int local_platforms(struct local *l, const char *const *words, size_t n, bool none_is_host,
		    struct err *e);
/* --platform and --all-platforms; without both the host's. */
int local_platforms_from_flags(struct local *l, const struct args *args, struct err *e);

/* An item of the job's images; and the whole of them, where the job is about one. */
void local_add_image(struct local *l, const char *name,
		     const Containerd__Types__Descriptor *target);
void local_one_image(struct local *l, const char *name,
		     const Containerd__Types__Descriptor *target);

/* fd goes along with the job; -1: none.  Blocks until the worker has ended. */
int local_run(struct local *l, int fd, struct err *e);

/* local_serve.c: one question of the worker.  1: the last word; *ret_failed: it is in *e. */
int local_serve(struct local *l, int sock, json_object *question, bool *ret_failed, struct err *e);
