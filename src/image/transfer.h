/* Transfers: pull, push, import, export, apply and diff, each in a process of its own
 * (containerd-transfer).
 *
 * transfer_run() starts the worker, gives it the job, and then serves it: the worker never opens a
 * path of the store, it asks for descriptors (a blob, the file of an ingest, the folders of a
 * snapshot) and for small steps (commit, label, prepare).  Each step is a store call of this
 * process, so the store's checks (digest, size, names) hold whatever the worker became.  The call
 * blocks until the worker has ended: use it on a pool thread.  Its end, also by a crash, a kill or
 * a cancel, leaves no process, no open ingest and no half-made snapshot; ingests keep their bytes
 * for a resume.  Nothing becomes an image here: the caller records what is in the result.
 *
 * Everything a job makes joins job->lease, so that no collection takes it before the record is
 * there.  Callbacks come on the calling thread. */
#pragma once

#include "image/start.h"
#include "loop/cancel.h"
#include "oci/image.h"
#include "store/snapshot.h"
#include "store/store.h"

enum transfer_kind {
	TRANSFER_PULL,
	TRANSFER_IMPORT,
	TRANSFER_APPLY,
	TRANSFER_DIFF,
	TRANSFER_EXPORT,
	TRANSFER_PUSH,
	/* asked for by clients that start a worker of their own (cmd/ctr/local.h), not by the
	 * daemon
	 */
	TRANSFER_FETCH,
	TRANSFER_PUT,
	TRANSFER_CONVERT,
	TRANSFER_INSTALL,
	TRANSFER_VERIFY, /* image: what; verify.h */
	TRANSFER_CHECK /* pull.reference: HOST or HOST/REPOSITORY */
};

/* Snapshots wanted of the image for that platform. */
struct transfer_unpack {
	struct platform platform; /* os "" : the host's */
	const char *snapshotter;
};

/* What of the HTTP requests goes to the standard error: bits. */
enum transfer_debug { TRANSFER_QUIET, TRANSFER_DUMP = 1, TRANSFER_TRACE = 2 };

/* A registry, to pull from or to push to. */
struct transfer_pull {
	const char *reference; /* as the user wrote it; normalised by the worker */
	const char *const
		*hosts_dirs; /* certs.d folders, first one counts; NULL-terminated or NULL */
	const char *default_scheme; /* "", "http" or "https" */
	const char *const
		*headers; /* "Name: value" for the registry itself; NULL-terminated or NULL */
	unsigned max_downloads; /* 0: 3 */
	bool has_auth; /* auth() may be asked */
	bool has_credentials; /* the operator has some (credentials.h) */
	/* how to talk to the registry itself; mirrors have their hosts.toml */
	bool skip_verify;
	const char *ca, *cert, *key; /* files; "" or NULL: none */
	enum transfer_debug debug;
	unsigned stall_seconds; /* without a byte, after which a request ends; 0: 30 */
};

struct transfer_import {
	int fd; /* a tar stream, perhaps compressed: read to its end; borrowed */
	bool compress; /* layers of a `docker save` archive become gzip */
};

/* Diff.Apply: one blob onto the folders of mounts. */
struct transfer_apply {
	struct oci_descriptor blob;
	const struct snapshot_dirs *dirs;
};

/* Diff.Diff: what changed from left to right, as a blob. */
struct transfer_diff {
	const struct snapshot_dirs *left, *right;
	const char *media_type; /* of a layer that can be written: plain, gzip, zstd */
	const char *ref; /* of the ingest */
	struct labels labels; /* of the blob; containerd.io/uncompressed is added */
	bool has_epoch;
	int64_t epoch; /* seconds; no time in the layer is later */
};

struct transfer_image {
	const char *name; /* pull: the normalised reference; import: a name in the archive or "" */
	struct oci_descriptor target;
};

/* Images into an archive that is an OCI layout and, unless not wanted, what docker load reads. */
struct transfer_export {
	int fd; /* the stream; borrowed */
	const struct transfer_image *images;
	size_t n_images;
	bool no_docker_manifest, no_nondistributable;
};

/* Objects of a registry to a stream: by their digests, or (none) what the reference is. */
struct transfer_fetch {
	const char *const *digests; /* NULL-terminated */
	const char *media_type; /* to ask for; "": any */
};

/* An image's layers compressed another way, its documents with the other family of media types. */
struct transfer_convert {
	bool recompress;
	int compression; /* enum inflate_kind, not INFLATE_GUESS */
	bool only_plain; /* recompress what is not compressed, and nothing else */
	bool to_oci, to_docker;
};

/* Programs of an image's bin/ (and its lib/) into a folder of the host, which is a descriptor. */
struct transfer_install {
	bool libs, replace;
};

struct sigstore_signature;

/* A pull: its worker asks for a verdict before it fetches (policy NULL: it does not; "": what the
 * signatures are does not matter). The job "verify": all of it. */
struct transfer_verify {
	const char *policy, *transport;
	const struct sigstore_signature *signatures;
	size_t n_signatures;
};

/* One line of progress; the names are containerd's. Strings "" or NULL when absent. */
struct transfer_progress {
	const char *event, *name, *parent;
	uint64_t progress, total;
	const struct oci_descriptor *desc; /* may be NULL */
};

enum transfer_auth {
	TRANSFER_AUTH_NONE,
	TRANSFER_AUTH_PASSWORD,
	TRANSFER_AUTH_REFRESH,
	TRANSFER_AUTH_HEADER
};

struct transfer_credentials {
	enum transfer_auth type;
	const char *username, *secret; /* in the arena given to auth() */
	const char *source; /* where they are from, for people; "" or NULL: the client */
};

struct transfer_hooks {
	void *arg;
	/* Each may be NULL. */
	void (*progress)(const struct transfer_progress *p, void *arg);
	/* A registry asked for credentials; blocks until the client has answered. */
	int (*auth)(struct arena *a, const char *host, const char *const *www_authenticate,
		    struct transfer_credentials *ret, void *arg, struct err *e);
	/* What the job did to the store, for the event exchange. */
	void (*content_created)(const char *digest, uint64_t size, void *arg);
	void (*snapshot_prepared)(const char *snapshotter, const char *key, const char *parent,
				  void *arg);
	void (*snapshot_committed)(const char *snapshotter, const char *key, const char *name,
				   void *arg);
	void (*snapshot_removed)(const char *snapshotter, const char *key, void *arg);
};

struct transfer_job {
	const char *worker; /* absolute path of containerd-transfer: transfer_find_worker() */
	struct store *store;
	const char *ns, *lease;
	struct cancel *cancel; /* may be NULL */
	const struct transfer_hooks *hooks; /* may be NULL */
	enum transfer_kind kind;
	struct transfer_image image; /* push, put, convert, install: what */
	union {
		struct transfer_pull pull; /* push, too */
		struct transfer_import import;
		struct transfer_apply apply;
		struct transfer_diff diff;
		struct transfer_export export;
		struct transfer_convert convert;
		struct transfer_install install;
	};
	struct transfer_fetch fetch; /* with pull */
	struct transfer_verify verify;
	const struct verifier *verifier; /* of what comes in; NULL: all may */
	bool allow_nondistributable; /* push: layers that are marked so go, too */
	/* What to fetch; none: every platform of an index. */
	const struct platform *platforms;
	size_t n_platforms;
	bool all_metadata; /* manifests and configs of all platforms, too */
	bool metadata_only; /* and no layers at all */
	unsigned manifest_limit; /* of the matching manifests; 0: all that match */
	const struct transfer_unpack *unpacks;
	size_t n_unpacks;
};

struct transfer_result {
	size_t n_images;
	struct transfer_image *images;
	struct oci_descriptor root; /* import: the archive's index; diff: the layer */
	/* apply */
	const char *diff_id;
	uint64_t size;
};

int transfer_run(const struct transfer_job *job, struct arena *a, struct transfer_result *ret,
		 struct err *e);
