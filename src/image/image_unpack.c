/* An image's layers into snapshots, bottom first, each as soon as it has been fetched. */
#include "image/unpack.h"
#include "image/worker.h"

#include <string.h>
#include <sys/random.h>
#include <time.h>

/* "extract-NANOSECONDS-RANDOM CHAIN": containerd's, so that its tools see what it is. */
static const char *key_of(struct arena *a, const char *chain)
{
	struct timespec now;
	uint32_t random = 0;

	clock_gettime(CLOCK_REALTIME, &now);
	(void)!getrandom(&random, sizeof random, 0); /* a clash is refused by the store */
	return arena_printf(a, "extract-%09ld-%08x %s", now.tv_nsec, random, chain);
}

static int extract(struct worker *w, const struct oci_descriptor *layer, const char *snapshotter,
		   const char *key, const char *want_diff_id, struct err *e)
{
	AUTO_PACKET struct channel_packet dirs = { 0 };
	AUTO_FD int blob = -1;
	struct unpack_result got;
	bool overlay;

	if (peer_snapshot_dirs(&w->peer, snapshotter, key, &dirs, &overlay, e) < 0 ||
	    peer_blob_open(&w->peer, layer->digest, &blob, e) < 0)
		return -1;

	const struct unpack_dirs d = { .upper = dirs.fds[0],
				       .lowers = dirs.fds + 1,
				       .n_lowers = dirs.n_fds - 1,
				       .overlay = overlay };
	if (unpack_layer(blob, layer->media_type, &d, &got, e) < 0)
		return err_wrap(e, "%s", layer->digest);
	if (strcmp(got.diff_id, want_diff_id) != 0)
		return err_set(e, ERR_DATA_LOSS,
			       "wrong diff id calculated on extraction \"%s\", expected \"%s\"",
			       got.diff_id, want_diff_id);
	return 0;
}

static int unpack_one(struct worker *w, const struct oci_descriptor *layer, const char *snapshotter,
		      const char *parent, const char *chain, const char *diff_id, struct err *e)
{
	const char *key = key_of(w->arena, chain);
	const struct transfer_progress p = { .event = "extracting",
					     .name = worker_object_name(w->arena, layer),
					     .parent = w->name,
					     .progress = layer->size,
					     .total = layer->size,
					     .desc = layer };
	struct labels uncompressed = { 0 };
	bool exists;

	if (peer_snapshot_prepare(&w->peer, snapshotter, key, parent, chain, &exists, e) < 0)
		return err_wrap(e, "failed to prepare extraction snapshot \"%s\"", key);
	if (exists)
		return 0;
	peer_progress(&w->peer, &p);
	if (extract(w, layer, snapshotter, key, diff_id, e) < 0) {
		peer_snapshot_remove(&w->peer, snapshotter, key);
		return -1;
	}
	if (peer_snapshot_commit(&w->peer, snapshotter, chain, key, e) < 0)
		return err_wrap(e, "failed to commit snapshot %s", key);
	struct transfer_progress done = p;
	done.event = "extracted";
	peer_progress(&w->peer, &done);
	labels_set(w->arena, &uncompressed, "containerd.io/uncompressed", diff_id);
	return peer_blob_label(&w->peer, layer->digest, &uncompressed, e);
}

static int unpack_manifest(struct worker *w, const struct worker_manifest *m,
			   const char *snapshotter, struct fetch *f, struct err *e)
{
	const char *const *diff_ids = (const char *const *)m->config.diff_ids;
	const char **chains = image_chain_ids(w->arena, diff_ids, m->config.n_diff_ids);
	struct labels ref = { 0 };

	if (m->config.n_diff_ids != m->doc.n_layers)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "number of layers and diffIDs don't match: %zu != %zu",
			       m->doc.n_layers, m->config.n_diff_ids);
	for (size_t i = 0; i < m->doc.n_layers; i++) {
		const struct oci_descriptor *layer = &m->doc.layers[i];
		bool exists;

		if (peer_snapshot_exists(&w->peer, snapshotter, chains[i], &exists, e) < 0)
			return -1;
		if (exists)
			continue;
		if (fetch_wait(f, layer->digest, e) < 0 ||
		    unpack_one(w, layer, snapshotter, i ? chains[i - 1] : "", chains[i],
			       diff_ids[i], e) < 0)
			return -1;
	}
	if (m->doc.n_layers == 0)
		return 0;
	labels_set(w->arena, &ref,
		   arena_printf(w->arena, "containerd.io/gc.ref.snapshot.%s", snapshotter),
		   chains[m->doc.n_layers - 1]);
	return peer_blob_label(&w->peer, m->doc.config.digest, &ref, e);
}

/* Does the unpack's platform mean this manifest? */
static bool fits(const struct transfer_unpack *u, const struct worker_manifest *m)
{
	const struct platform *have =
		m->desc.has_platform ? &m->desc.platform : &m->config.platform;

	return m->is_image && (!have->os[0] || platform_matches(&u->platform, have));
}

int worker_unpack(struct worker *w, struct fetch *f, struct err *e)
{
	for (size_t u = 0; u < w->job.n_unpacks; u++) {
		const struct transfer_unpack *want = &w->job.unpacks[u];

		for (size_t i = 0; i < w->n_manifests; i++)
			if (fits(want, &w->manifests[i]) &&
			    unpack_manifest(w, &w->manifests[i], want->snapshotter, f, e) < 0)
				return -1;
	}
	return 0;
}

int worker_apply(struct worker *w, struct channel_packet *job, struct transfer_result *ret,
		 struct err *e)
{
	bool overlay = false;
	struct unpack_result *got = ARENA_NEW(w->arena, struct unpack_result);

	if (job->n_fds < 2 || jsonr_bool(job->json, "overlay", &overlay, e) < 0)
		return e->code ? -1 : err_set(e, ERR_INTERNAL, "the job lacks its folders");

	const struct unpack_dirs d = { .upper = job->fds[1],
				       .lowers = job->fds + 2,
				       .n_lowers = job->n_fds - 2,
				       .overlay = overlay };
	if (unpack_layer(job->fds[0], w->job.apply.blob.media_type, &d, got, e) < 0)
		return -1;
	ret->diff_id = got->diff_id;
	ret->size = got->size;
	return 0;
}
