/* The Transfer service: pull (registry to image), import (stream to image), export (image to
 * stream) and tag (image to image).  A transfer is one unary call that lasts as long as its worker
 * process. */
#include "image/transfer.h"

#include "api/containerd/api.h"
#include "api/containerd/convert.h"
#include "api/containerd/services.h"
#include "api/containerd/transfer_events.h"
#include "api/containerd/transfer_image.h"
#include "api/containerd/transfer_stream.h"
#include "api/containerd/worker_run.h"
#include "base/log.h"
#include "base/timefmt.h"
#include "image/hosts.h"
#include "store/lease.h"

#include "containerd/services/transfer/v1/transfer.pb-c.h"
#include "containerd/types/transfer/imagestore.pb-c.h"
#include "containerd/types/transfer/importexport.pb-c.h"
#include "containerd/types/transfer/registry.pb-c.h"
#include "google/protobuf/empty.pb-c.h"
#include <inttypes.h>
#include <string.h>

typedef Containerd__Types__Transfer__ImageStore image_store;
typedef Containerd__Types__Transfer__ImageImportStream import_stream;
typedef Containerd__Types__Transfer__ImageExportStream export_stream;
typedef Containerd__Types__Transfer__OCIRegistry oci_registry;

/* One transfer on its way; what the hooks get. */
struct transfer {
	struct call call; /* first: of the hooks that publish */
	struct stream *progress, *auth;
	struct transfer_job job;
	const char *reference; /* of the registry, for the credentials' question */
};

static void on_progress(const struct transfer_progress *p, void *arg)
{
	struct transfer *t = arg;

	transfer_send_progress(t->progress, p);
}

static int on_auth(struct arena *a, const char *host, const char *const *www_authenticate,
		   struct transfer_credentials *ret, void *arg, struct err *e)
{
	struct transfer *t = arg;

	return transfer_ask_credentials(t->auth, a, host, t->reference, www_authenticate, ret, e);
}

/* --- what the request says -------------------------------------------------------------------- */

static int set_platform(const Containerd__Types__Platform *p, struct platform *ret, struct err *e)
{
	if (!p || (!*p->os && !*p->architecture))
		return 0; /* zeroed: the host's */
	return platform_set(ret, p->os, p->architecture, p->variant, p->os_version, e);
}

static int from_image_store(struct transfer *t, const image_store *d, struct err *e)
{
	struct arena *a = t->call.arena;
	struct platform *platforms = arena_array(a, d->n_platforms, sizeof *platforms);
	struct transfer_unpack *unpacks = arena_array(a, d->n_unpacks, sizeof *unpacks);

	for (size_t i = 0; i < d->n_platforms; i++)
		if (set_platform(d->platforms[i], &platforms[i], e) < 0)
			return -1;
	for (size_t i = 0; i < d->n_unpacks; i++) {
		const char *s = d->unpacks[i]->snapshotter;

		if (set_platform(d->unpacks[i]->platform, &unpacks[i].platform, e) < 0)
			return -1;
		unpacks[i].snapshotter = *s ? s : t->call.engine->cfg->snapshotter;
	}
	t->job.platforms = platforms;
	t->job.n_platforms = d->n_platforms;
	t->job.all_metadata = d->all_metadata;
	t->job.manifest_limit = d->manifest_limit;
	t->job.unpacks = unpacks;
	t->job.n_unpacks = d->n_unpacks;
	return 0;
}

/* "Name: value" lines; one with a line break would smuggle another. */
static int set_headers(struct transfer *t, const Containerd__Types__Transfer__RegistryResolver *r,
		       struct err *e)
{
	struct labels l = CONV_LABELS(t->call.arena, r, headers);
	const char **lines = arena_array(t->call.arena, l.n + 1, sizeof *lines);

	for (size_t i = 0; i < l.n; i++) {
		if (strpbrk(l.v[i].key, "\r\n:") || strpbrk(l.v[i].value, "\r\n"))
			return err_set(e, ERR_INVALID_ARGUMENT, "header \"%s\" is malformed",
				       l.v[i].key);
		lines[i] = arena_printf(t->call.arena, "%s: %s", l.v[i].key, l.v[i].value);
	}
	t->job.pull.headers = lines;
	return 0;
}

static int from_registry(struct transfer *t, const oci_registry *s, struct err *e)
{
	const struct config *cfg = t->call.engine->cfg;
	struct transfer_pull *p = &t->job.pull;
	const char *dirs = cfg->registry_config ? cfg->registry_config : "";

	t->job.kind = TRANSFER_PULL;
	t->reference = p->reference = s->reference;
	p->max_downloads = cfg->max_downloads;
	p->default_scheme = "";
	if (s->resolver) {
		if (set_headers(t, s->resolver, e) < 0)
			return -1;
		p->default_scheme = s->resolver->default_scheme;
		if (*s->resolver->host_dir)
			dirs = s->resolver->host_dir;
		if (*s->resolver->auth_stream) {
			if (stream_take(t->call.engine->streams, t->call.ns,
					s->resolver->auth_stream, &t->auth, e) < 0)
				return err_wrap(e, "failed to get auth stream");
			p->has_auth = true;
		}
	}
	p->hosts_dirs = hosts_split_dirs(t->call.arena, dirs);
	return 0;
}

/* --- the lease that keeps what is being made ---------------------------------------------------
 */

static int make_lease(struct transfer *t, struct err *e)
{
	struct lease_record in = { 0 }, out;
	char expire[TIMEFMT_MAX];
	struct timespec now;

	if (t->call.lease)
		return 0; /* the caller's keeps it */
	clock_gettime(CLOCK_REALTIME, &now);
	in.id = arena_printf(t->call.arena, "transfer-%" PRIu64 "-%p",
			     (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec, (void *)t);
	now.tv_sec += 24 * 3600; /* what a crash leaves goes by itself */
	labels_set(t->call.arena, &in.labels, "containerd.io/gc.expire",
		   timefmt_rfc3339(now, expire));
	if (lease_create(t->call.engine->store, t->call.ns, t->call.arena, &in, &out, e) < 0)
		return err_wrap(e, "failed to create lease");
	t->job.lease = out.id;
	return 0;
}

static void drop_lease(struct transfer *t)
{
	struct err e = { 0 };

	if (t->call.lease || !t->job.lease)
		return;
	if (lease_delete(t->call.engine->store, t->call.ns, t->job.lease, &e) < 0)
		log_warn(LOG({ "error", e.msg }), "cannot delete lease %s", t->job.lease);
}

/* --- the three ways ----------------------------------------------------------------------------
 */

static int run_worker(struct transfer *t, struct transfer_result *ret, struct err *e)
{
	struct transfer_hooks hooks = { .arg = t,
					.progress = t->progress ? on_progress : NULL,
					.auth = t->auth ? on_auth : NULL };

	transfer_publish(&hooks);
	t->job.hooks = &hooks;
	int r = worker_run(&t->call, &t->job, ret, e);

	t->job.hooks = NULL;
	return r;
}

static int run_job(struct transfer *t, const image_store *dest, struct err *e)
{
	struct transfer_result result = { 0 };

	if (from_image_store(t, dest, e) < 0 || make_lease(t, e) < 0)
		return -1;
	if (!t->job.lease)
		t->job.lease = t->call.lease;
	int r = run_worker(t, &result, e);

	if (r == 0)
		r = transfer_store_images(&t->call, dest, &result, e);
	drop_lease(t);
	return r;
}

static int pull(struct transfer *t, const oci_registry *source, const image_store *dest,
		struct err *e)
{
	if (from_registry(t, source, e) < 0)
		return -1;
	return run_job(t, dest, e);
}

static int import(struct transfer *t, const import_stream *source, const image_store *dest,
		  struct err *e)
{
	struct stream *bytes;

	t->job.kind = TRANSFER_IMPORT;
	t->job.import.compress = source->force_compress;
	if (stream_take(t->call.engine->streams, t->call.ns, source->stream, &bytes, e) < 0)
		return err_wrap(e, "failed to get import stream");

	AUTO_FD int fd = transfer_pump(t->call.engine->pool, bytes, e); /* takes the stream */
	if (fd < 0)
		return -1;
	t->job.import.fd = fd;
	return run_job(t, dest, e);
}

static int push(struct transfer *t, const image_store *source, const oci_registry *dest,
		struct err *e)
{
	struct transfer_result none = { 0 };
	struct transfer_image *images;
	size_t n;

	if (transfer_find_images(&t->call, source, &images, &n, e) < 0 ||
	    from_image_store(t, source, e) < 0 || from_registry(t, dest, e) < 0)
		return -1;
	t->job.kind = TRANSFER_PUSH;
	t->job.image = images[0];
	return run_worker(t, &none, e);
}

static int set_export(struct transfer *t, const image_store *source, const export_stream *dest,
		      struct err *e)
{
	struct transfer_export *x = &t->job.export;
	struct transfer_image *images;
	/* none asked for: the host's */
	size_t n = dest->all_platforms ? 0 : dest->n_platforms ? dest->n_platforms : 1;
	struct platform *platforms = arena_array(t->call.arena, n, sizeof *platforms);

	t->job.kind = TRANSFER_EXPORT;
	for (size_t i = 0; i < n; i++) {
		platforms[i] = platform_host();
		if (dest->n_platforms && set_platform(dest->platforms[i], &platforms[i], e) < 0)
			return -1;
	}
	t->job.platforms = platforms;
	t->job.n_platforms = n;
	x->no_docker_manifest = dest->skip_compatibility_manifest;
	x->no_nondistributable = dest->skip_non_distributable;
	if (transfer_find_images(&t->call, source, &images, &x->n_images, e) < 0)
		return -1;
	x->images = images;
	return 0;
}

static int export(struct transfer *t, const image_store *source, const export_stream *dest,
		  struct err *e)
{
	struct transfer_result none = { 0 };
	struct err left = { 0 };
	struct outflow *flow;
	struct stream *bytes;

	if (set_export(t, source, dest, e) < 0)
		return -1;
	if (stream_take(t->call.engine->streams, t->call.ns, dest->stream, &bytes, e) < 0)
		return err_wrap(e, "failed to get export stream");
	if (transfer_outflow_new(t->call.engine->pool, bytes, &t->job.export.fd, &flow, e) < 0)
		return -1;
	int r = run_worker(t, &none, e);

	close(t->job.export.fd);
	if (transfer_outflow_end(flow, &left) < 0 && r == 0)
		r = err_copy(e, &left);
	return r;
}

static int dispatch(struct transfer *t, const struct any *from, const struct any *to, struct err *e)
{
	struct arena *a = t->call.arena;
	const image_store *dest =
		conv_unpack(a, to, &containerd__types__transfer__image_store__descriptor);
	const oci_registry *registry =
		conv_unpack(a, from, &containerd__types__transfer__ociregistry__descriptor);
	const import_stream *stream =
		conv_unpack(a, from, &containerd__types__transfer__image_import_stream__descriptor);
	const image_store *image =
		conv_unpack(a, from, &containerd__types__transfer__image_store__descriptor);

	const export_stream *archive =
		conv_unpack(a, to, &containerd__types__transfer__image_export_stream__descriptor);

	const oci_registry *to_registry =
		conv_unpack(a, to, &containerd__types__transfer__ociregistry__descriptor);

	if (image && to_registry)
		return push(t, image, to_registry, e);
	if (image && archive)
		return export(t, image, archive, e);
	if (dest && registry)
		return pull(t, registry, dest, e);
	if (dest && stream)
		return import(t, stream, dest, e);
	if (dest && image)
		return transfer_tag(&t->call, image->name, dest, e);
	return err_set(e, ERR_UNIMPLEMENTED, "method Transfer not implemented for %s to %s",
		       from->type_url ? from->type_url : "nothing",
		       to->type_url ? to->type_url : "nothing");
}

static int transfer(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const Containerd__Services__Transfer__V1__TransferRequest *q = req;
	struct any from = conv_any(q->source), to = conv_any(q->destination);
	struct transfer t = { 0 };

	if (api_call(c, &t.call, e) < 0)
		return -1;
	if (q->options && *q->options->progress_stream &&
	    stream_take(t.call.engine->streams, t.call.ns, q->options->progress_stream, &t.progress,
			e) < 0)
		return err_wrap(e, "failed to get progress stream");
	int r = dispatch(&t, &from, &to, e);
	stream_end(t.progress);
	stream_end(t.auth);
	return r;
}

const struct rpc_method transfer_methods[] = {
	/* the handler's for credentials and progress, a second one for an archive's bytes */
	RPC_UNARY_WAITING("Transfer", containerd__services__transfer__v1__transfer_request,
			  google__protobuf__empty, transfer, 2),
	RPC_END,
};
