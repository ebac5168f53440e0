/* A content store in another program (proxy_plugins of type content).  What is known of content
 * (labels, namespaces, leases) and ingests are ours as ever; the bytes of what is committed are
 * there, one store for all namespaces.
 *
 * A commit uploads before it records, so that a failure leaves the ingest for another try; a blob
 * is fetched for whoever opens it, and verified.  Collection removes there what was written from
 * here and no record names: what else is there belongs to others. */
#pragma once

#include "base/err.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>

typedef int content_remote_visit(const char *digest, void *arg, struct err *e);

/* How to call one: the daemon's table speaks gRPC.  address: of its socket.  Any thread, blocking.
 * Errors are the other program's own. */
struct content_remote {
	/* size bytes from there on, appended to fd */
	int (*read)(const char *address, const char *digest, uint64_t from, uint64_t size, int fd,
		    struct err *e);
	/* the whole of fd; one that is there already is fine */
	int (*write)(const char *address, const char *digest, uint64_t size, int fd, struct err *e);
	int (*remove)(const char *address, const char *digest, struct err *e); /* gone: fine */
	/* of what write() has made, nothing else */
	int (*list)(const char *address, content_remote_visit *visit, void *arg, struct err *e);
};

struct content_proxy {
	const char *name, *address;
	const struct content_remote *remote;
};

/* --- for the files of this folder --- */

struct store;

/* A file without a name that holds these bytes, at its start; a whole blob is verified. */
int remote_fetch(struct store *s, const char *digest, uint64_t from, uint64_t size, bool is_whole,
		 int *ret_fd, struct err *e);
int remote_upload_bytes(struct store *s, const char *digest, uint64_t size, int fd, struct err *e);
/* From before an upload till its record is made; a removal of this digest comes before or not at
 * all.  Uploads of the same digest may overlap. */
struct remote_upload;
struct remote_upload *remote_upload_begin(struct store *s, const char *digest);
void remote_upload_end(struct store *s, struct remote_upload *u); /* NULL is fine */
/* Removes what no record names; counts it. */
int remote_sweep_blobs(struct store *s, size_t *ret_removed, struct err *e);
