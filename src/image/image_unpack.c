/* Which of an image's layers become snapshots; and a single one onto the folders of a client. */
#include "image/unpack.h"
#include "image/worker.h"

static int unpack_manifest(struct worker *w, const struct worker_manifest *m,
			   const char *snapshotter, struct fetch *f, struct err *e)
{
	const char *const *diff_ids = (const char *const *)m->config.diff_ids;
	const char **chains = image_chain_ids(w->arena, diff_ids, m->config.n_diff_ids);
	struct labels ref = { 0 };
	size_t n = 0;

	if (m->config.n_diff_ids != m->doc.n_layers)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "number of layers and diffIDs don't match: %zu != %zu",
			       m->doc.n_layers, m->config.n_diff_ids);
	struct layer_plan *plans = arena_array(w->arena, m->doc.n_layers + 1, sizeof *plans);
	for (size_t i = 0; i < m->doc.n_layers; i++) {
		bool exists = false;

		if (n == 0 &&
		    peer_snapshot_exists(&w->peer, snapshotter, chains[i], &exists, e) < 0)
			return -1;
		if (!exists)
			plans[n++] = (struct layer_plan){ .desc = &m->doc.layers[i],
							  .image = m,
							  .parent = i ? chains[i - 1] : "",
							  .chain = chains[i],
							  .diff_id = diff_ids[i] };
	}
	if (worker_unpack_layers(w, f, snapshotter, plans, n, e) < 0)
		return -1;
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
