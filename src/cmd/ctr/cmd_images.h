/* The files of `ctr images`. */
#pragma once

#include "cmd/ctr/ctr.h"
#include "oci/image.h"
#include "oci/platform.h"

command_fn images_pull, images_import, images_export, images_push, images_check, images_prune,
	images_usage, images_inspect, images_mount, images_unmount, images_convert;
extern const struct flag pull_flags[], import_flags[], export_flags[], push_flags[], prune_flags[],
	inspect_flags[], mount_flags[], unmount_flags[], convert_flags[];

/* The records that the filters of args choose. */
int images_list_records(struct ctr *ctr, const struct args *args, IMAGES(ListImagesResponse) * *ret,
			struct err *e);

bool image_is_unpacked(struct ctr *ctr, const char *snapshotter, const char *chain_id);

/* --platform of args, or the host's. */
int platform_wanted(const struct args *args, struct platform *ret, struct err *e);

/* All --platform words; none: *ret_n is 0. */
int platforms_wanted(const struct args *args, Containerd__Types__Platform ***ret, size_t *ret_n,
		     struct err *e);

/* image_inspect_json.c: the tree below target, as far as it is here. */
int image_inspect_json(struct ctr *ctr, const IMAGES(Image) * i,
		       const struct oci_descriptor *target, bool with_content, struct err *e);

/* "import-2026-11-26" */
const char *import_prefix(struct arena *a);
