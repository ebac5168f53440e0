/* ctr images check, prune, usage */
#include "cmd/ctr/cmd_images.h"

#include "cmd/ctr/image_read.h"
#include "cmd/ctr/list_json.h"
#include "cmd/ctr/table.h"

#include "base/jsonw.h"
#include "base/log.h"

#include <inttypes.h>

enum { SNAPSHOT_DEPTH = 1024 }; /* of a chain of parents: more is a loop */

const struct flag prune_flags[] = {
	{ "all", FLAG_BOOL, NULL,
	  "Remove all unused images, not just dangling ones (if all is not specified no images "
	  "will be pruned)" },
	{ NULL },
};

/* --- check --- */

static bool is_there(struct ctr *ctr, const char *digest)
{
	CONTENT(InfoRequest) req = CONTENT_INIT(INFO_REQUEST);
	struct err e = { 0 };

	req.digest = PB(digest);
	return CTR_CALL(ctr, "content.v1.Content/Info", &req, content__v1__info_response, NULL,
			&e) == 0;
}

bool image_is_unpacked(struct ctr *ctr, const char *snapshotter, const char *chain_id)
{
	SNAPSHOTS(StatSnapshotRequest) req = SNAPSHOTS_INIT(STAT_SNAPSHOT_REQUEST);
	struct err e = { 0 };

	req.snapshotter = PB(snapshotter);
	req.key = PB(chain_id);
	return CTR_CALL(ctr, "snapshots.v1.Snapshots/Stat", &req,
			snapshots__v1__stat_snapshot_response, NULL, &e) == 0;
}

/* What a check finds: the config and the layers are what a container needs. */
struct check {
	const char *status, *size;
	bool complete, unpacked;
};

static void count(struct ctr *ctr, const struct oci_descriptor *d, size_t *have, uint64_t *bytes)
{
	if (!is_there(ctr, d->digest))
		return;
	(*have)++;
	*bytes += d->size;
}

static void check_image(struct ctr *ctr, const IMAGES(Image) * r, const char *snapshotter,
			struct check *ret)
{
	struct platform host = platform_host();
	struct oci_descriptor config, *layers;
	size_t n, have = 0;
	struct err e = { 0 };
	uint64_t bytes = 0, all;
	struct image img;

	*ret = (struct check){ "unavailable (0/?)", "0.0 B/?", false, false };
	if (image_parts(ctr, r, &host, &config, &layers, &n, &e) < 0)
		return;
	all = config.size;
	count(ctr, &config, &have, &bytes);
	for (size_t i = 0; i < n; i++) {
		all += layers[i].size;
		count(ctr, &layers[i], &have, &bytes);
	}
	ret->complete = have == n + 1;
	ret->status = arena_printf(ctr->arena, "%s (%zu/%zu)",
				   ret->complete ? "complete" : "incomplete", have, n + 1);
	ret->size = arena_printf(ctr->arena, "%s/%s", size_binary(ctr->arena, (int64_t)bytes),
				 size_binary(ctr->arena, (int64_t)all));
	ret->unpacked = image_load(ctr, r, &host, &img, &e) == 0 &&
			image_is_unpacked(ctr, snapshotter, img.chain_id);
}

static void check_json(struct jsonw *w, const IMAGES(Image) * r, const struct check *c)
{
	jsonw_object(w);
	jsonw_kstring(w, "name", r->name);
	jsonw_kstring(w, "media_type", r->target->media_type);
	jsonw_kstring(w, "digest", r->target->digest);
	jsonw_kstring(w, "status", c->status);
	jsonw_kstring(w, "size", c->size);
	jsonw_kbool(w, "complete", c->complete);
	jsonw_kbool(w, "unpacked", c->unpacked);
	jsonw_end(w);
}

int images_check(struct ctr *ctr, const struct args *args, struct err *e)
{
	struct str out AUTO_STR = STR_INIT(64 << 20);
	struct table t = TABLE_NARROW(ctr->arena);
	bool quiet = args_bool(args, "quiet"), json;
	IMAGES(ListImagesResponse) * rsp;
	struct check c;
	struct jsonw w;

	if (list_wants_json(args, &json, e) < 0 || images_list_records(ctr, args, &rsp, e) < 0)
		return -1;
	jsonw_init(&w, &out, 4);
	jsonw_array(&w);
	if (rsp->n_images)
		table_row(&t, "REF", "TYPE", "DIGEST", "STATUS", "SIZE", "UNPACKED", "", NULL);
	for (size_t i = 0; i < rsp->n_images; i++) {
		const IMAGES(Image) *r = rsp->images[i];

		if (!r->target)
			continue;
		check_image(ctr, r, snapshotter_of(args), &c);
		if (json)
			check_json(&w, r, &c);
		else if (!quiet)
			table_row(&t, r->name, r->target->media_type, r->target->digest, c.status,
				  c.size, c.unpacked ? "true" : "false", NULL);
		else if (c.complete && c.unpacked)
			ctr_puts(ctr, r->name);
	}
	jsonw_end(&w);
	if (json)
		puts(str_c(&out));
	else if (!quiet)
		table_print(&t, stdout);
	return 0;
}

/* --- prune --- */

static bool is_used(const CONTAINERS(ListContainersResponse) * l, const char *image)
{
	for (size_t i = 0; i < l->n_containers; i++)
		if (!strcmp(l->containers[i]->image, image))
			return true;
	return false;
}

static void prune_one(struct ctr *ctr, const char *name, bool sync)
{
	IMAGES(DeleteImageRequest) req = IMAGES_INIT(DELETE_IMAGE_REQUEST);
	struct err e = { 0 };

	req.name = PB(name);
	req.sync = sync; /* with the last one, so that its content goes now */
	if (CTR_CALL_EMPTY(ctr, "images.v1.Images/Delete", &req, &e) == 0)
		log_info(LOG_NONE, "deleted image: %s", name);
	else if (e.code != ERR_NOT_FOUND)
		ctr_warn("failed to delete image %s: %s", name, e.msg);
}

int images_prune(struct ctr *ctr, const struct args *args, struct err *e)
{
	IMAGES(ListImagesRequest) req = IMAGES_INIT(LIST_IMAGES_REQUEST);
	CONTAINERS(ListContainersRequest) users = CONTAINERS_INIT(LIST_CONTAINERS_REQUEST);
	CONTAINERS(ListContainersResponse) * containers;
	IMAGES(ListImagesResponse) * images;
	const char *last = NULL;

	if (!args_bool(args, "all")) {
		ctr_warn("No images pruned. `image prune` requires --all to be specified.");
		return 0;
	}
	if (CTR_CALL(ctr, "images.v1.Images/List", &req, images__v1__list_images_response, &images,
		     e) < 0)
		return err_wrap(e, "failed to list images");
	if (CTR_CALL(ctr, "containers.v1.Containers/List", &users,
		     containers__v1__list_containers_response, &containers, e) < 0)
		return err_wrap(e, "failed to list containers");
	for (size_t i = 0; i < images->n_images; i++) {
		if (is_used(containers, images->images[i]->name))
			continue;
		if (last)
			prune_one(ctr, last, false);
		last = images->images[i]->name;
	}
	if (last)
		prune_one(ctr, last, true);
	return 0;
}

/* --- usage --- */

static int usage_row(struct ctr *ctr, struct table *t, const char *snapshotter, const char *key,
		     const char **ret_parent, struct err *e)
{
	SNAPSHOTS(UsageRequest) usage = SNAPSHOTS_INIT(USAGE_REQUEST);
	SNAPSHOTS(StatSnapshotRequest) stat = SNAPSHOTS_INIT(STAT_SNAPSHOT_REQUEST);
	SNAPSHOTS(StatSnapshotResponse) * info;
	SNAPSHOTS(UsageResponse) * used;

	usage.snapshotter = stat.snapshotter = PB(snapshotter);
	usage.key = stat.key = PB(key);
	if (CTR_CALL(ctr, "snapshots.v1.Snapshots/Usage", &usage, snapshots__v1__usage_response,
		     &used, e) < 0)
		return err_wrap(e, "failed to get usage for snapshot %s", key);
	table_row(t, key, size_binary(ctr->arena, used->size),
		  arena_printf(ctr->arena, "%" PRId64, used->inodes), "", NULL);
	if (CTR_CALL(ctr, "snapshots.v1.Snapshots/Stat", &stat,
		     snapshots__v1__stat_snapshot_response, &info, e) < 0)
		return err_wrap(e, "failed to ensure if snapshot %s has parent or not", key);
	*ret_parent = info->info ? info->info->parent : "";
	return 0;
}

int images_usage(struct ctr *ctr, const struct args *args, struct err *e)
{
	const char *ref = args_at(args, 0), *snapshotter = snapshotter_of(args), *key;
	struct table t = TABLE_NARROW(ctr->arena);
	struct platform host = platform_host();
	IMAGES(Image) * record;
	struct image img;

	if (!*ref)
		return err_set(e, ERR_UNKNOWN, "please provide an image reference to mount");
	if (image_get(ctr, ref, &record, e) < 0)
		return err_wrap(e, "failed to ensure if image %s exists", ref);
	if (image_load(ctr, record, &host, &img, e) < 0)
		return -1;
	if (!image_is_unpacked(ctr, snapshotter, img.chain_id))
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "image %s isn't unpacked in snapshotter %s", ref, snapshotter);
	table_row(&t, "KEY", "SIZE", "INODES", "", NULL);
	key = img.chain_id;
	for (int i = 0; *key && i < SNAPSHOT_DEPTH; i++)
		if (usage_row(ctr, &t, snapshotter, key, &key, e) < 0)
			return -1;
	table_print(&t, stdout);
	return 0;
}
