/* ctr images pull, push, import and export --local: by a worker of this process. */
#pragma once

#include "cmd/ctr/image_read.h"
#include "cmd/ctr/image_registry.h"

enum fetch_what { FETCH_ALL, FETCH_WITHOUT_METADATA, FETCH_METADATA_ONLY };

/* The image's content and its record; no snapshots.  args has registry_flags, --label, --platform
 * and --all-platforms. */
int image_fetch(struct ctr *ctr, const struct args *args, const char *ref, enum fetch_what what,
		uint64_t max_downloads, IMAGES(Image) * *ret, struct err *e);

/* Of a blob of the store. */
int blob_size(struct ctr *ctr, const char *digest, int64_t *ret, struct err *e);

int images_pull_local(struct ctr *ctr, const struct args *args, const char *ref, struct err *e);
int images_push_local(struct ctr *ctr, const struct args *args, const char *ref, struct err *e);
int images_import_local(struct ctr *ctr, const struct args *args, int fd, struct err *e);
int images_export_local(struct ctr *ctr, const struct args *args, int fd, struct err *e);
