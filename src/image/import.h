/* Inside the import: the files of an archive, and the two kinds of it. */
#pragma once

#include "image/worker.h"

struct import_file {
	const char *name, *link; /* link: another name of the archive, or NULL */
	char *bytes; /* of the small documents; else it is a blob */
	const char *digest;
	uint64_t size;
	unsigned char magic[4]; /* the first bytes of a blob that was written now */
};

struct import {
	struct worker *w;
	struct import_file *files;
	size_t n_files;
};

/* Links followed.  NULL when there is none. */
struct import_file *import_find(struct import *im, const char *name);
const char *import_resolve(struct arena *a, const char *path);

/* Fill root and images of the result, and store the documents that the archive does not have as
 * blobs (index.json; Docker's manifests). */
int import_oci(struct import *im, struct transfer_result *ret, struct err *e);
int import_docker(struct import *im, struct transfer_result *ret, struct err *e);
