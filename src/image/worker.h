/* The worker process: one job, done with what the daemon hands over (peer.h).
 *
 * The main thread walks documents and unpacks; layers are fetched by threads beside it (fetch.c).
 * The arena is the main thread's. */
#pragma once

#include "image/peer.h"
#include "image/registry.h"

enum {
	WORKER_MANIFESTS = 1024,
	WORKER_DOCUMENTS =
		4096, /* different ones that one transfer reads: indexes, manifests, configs */
	WORKER_DOCUMENT_BYTES = 256 << 20, /* of all of them */
};

/* A manifest that was chosen, with its config. */
struct worker_manifest {
	struct oci_descriptor desc;
	struct image_doc doc;
	bool is_image; /* its config is an image's */
	struct image_config config;
};

/* Diff: opened folders, -1 for none; upper is right's part over left where that is all of it. */
struct worker_trees {
	int left, right, upper;
};

struct worker {
	struct peer peer;
	struct transfer_job job;
	struct arena *arena;
	struct registry *registry; /* pull only */
	struct labels source; /* what every blob of this pull gets */
	const char *name; /* of what is transferred, for progress */
	struct worker_manifest *manifests;
	size_t n_manifests;
	struct strv seen; /* digests of the indexes and manifests that were walked */
	uint64_t document_bytes;
	struct worker_trees trees;
};

/* Each returns when its job is done; *ret is for the daemon. */
int worker_pull(struct worker *w, struct transfer_result *ret, struct err *e);
int worker_import(struct worker *w, int fd, struct transfer_result *ret, struct err *e);
int worker_push(struct worker *w, struct err *e);
int worker_export(struct worker *w, int fd, struct err *e);
int worker_apply(struct worker *w, struct channel_packet *job, struct transfer_result *ret,
		 struct err *e);

/* object.c: single objects of a registry, to fd and from the store. */
int worker_fetch(struct worker *w, int fd, struct err *e);
int worker_put(struct worker *w, struct err *e);

/* convert.c: result's one image is the new one. */
int worker_convert(struct worker *w, struct transfer_result *ret, struct err *e);
/* The images of an import, whose plain layers become gzip. */
int worker_compress(struct worker *w, struct transfer_result *ret, struct err *e);

/* verify_job.c: the job; and in a pull, before anything but the top document is fetched. */
int worker_verify(struct worker *w, struct err *e);
int worker_ask_verdict(struct worker *w, const struct oci_descriptor *target, struct err *e);

/* install.c: into the folder fd. */
int worker_install(struct worker *w, int fd, struct err *e);

/* In the daemon's own mount namespace: overlayfs takes no folder of another one. */
int worker_diff_open(struct worker *w, struct channel_packet *job, struct err *e);
int worker_diff(struct worker *w, struct transfer_result *ret, struct err *e);

/* pull.c: w->registry for job.pull.reference, with the client's credentials; w->name. */
int worker_open_registry(struct worker *w, struct reference *ref, struct err *e);
int worker_open_registry_of(struct worker *w, const struct reference *ref, struct err *e);

/* check_job.c: every endpoint of job.pull.reference, a HOST or HOST/REPOSITORY. */
int worker_check(struct worker *w, struct err *e);

/* tree.c: the documents below d, into the store with their labels; fills w->manifests. */
int worker_tree(struct worker *w, const struct oci_descriptor *d, struct err *e);
/* A small document into the store; what is there already only gets the labels. */
int worker_store_document(struct worker *w, const struct oci_descriptor *d, const char *bytes,
			  size_t n, const struct labels *labels, struct err *e);

/* A document of the store, or of the registry of a pull, bounded; in w->arena. */
int worker_get_document(struct worker *w, const struct oci_descriptor *d, char **ret, size_t *ret_n,
			struct err *e);

/* fetch.c: all layers of w->manifests by threads.  Start, wait for single ones, join. */
struct fetch;
struct fetch *fetch_start(struct worker *w);
int fetch_wait(struct fetch *f, const char *digest, struct err *e); /* NULL f: nothing to fetch */
/* The bytes of a layer as they come, unverified until fetch_wait() has said that it is whole; *ret
 * NULL: it is whole already.  The reader goes before the fetch does. */
struct fetch_reader;
int fetch_read_along(struct fetch *f, const struct oci_descriptor *d, struct fetch_reader **ret,
		     struct err *e);
ssize_t fetch_reader_read(void *reader, void *buf, size_t n, struct err *e);
void fetch_reader_free(struct fetch_reader *r); /* NULL is fine */
int fetch_end(struct fetch *f, struct err *e); /* of the first failure; frees f */
void fetch_stop(struct fetch *f); /* after a failure elsewhere; then fetch_end() */

/* image_unpack.c: the snapshots that the job asks for. */
int worker_unpack(struct worker *w, struct fetch *f, struct err *e);

/* unpack_layers.c: these layers, bottom first, as snapshots of which none is there yet. */
struct layer_plan {
	const struct oci_descriptor *desc;
	const struct worker_manifest *image; /* that it is of */
	const char *parent, *chain, *diff_id; /* parent "": none */
};
int worker_unpack_layers(struct worker *w, struct fetch *f, const char *snapshotter,
			 const struct layer_plan *v, size_t n, struct err *e);

/* "manifest-sha256:…": how progress and ingests name an object. */
const char *worker_object_name(struct arena *a, const struct oci_descriptor *d);
