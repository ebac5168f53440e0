/* The ImageService. */
#include "api/containerd/api.h"
#include "api/containerd/publish.h"
#include "api/cri/image.h"
#include "api/cri/services.h"
#include "base/jsonw.h"
#include "base/num.h"
#include "cri/cri.h"
#include "cri/image_read.h"
#include "engine/collector.h"
#include "store/image.h"
#include "store/snapshot.h"

#include "containerd/events/image.pb-c.h"
#include <string.h>
#include <time.h>

enum { INFO_MAX = 8 << 20, STREAMED = 100 };

static struct call call_of(struct rpc_call *c)
{
	return (struct call){ .engine = api_engine(c),
			      .ns = CRI_NAMESPACE,
			      .arena = c->arena,
			      .deadline = c->deadline,
			      .cancel = c->cancel };
}

/* --- as messages --- */

static char **copy_list(struct arena *a, const struct strv *l)
{
	char **v = arena_array(a, l->n, sizeof *v);

	for (size_t i = 0; i < l->n; i++)
		v[i] = arena_strdup(a, l->v[i]);
	return v;
}

/* "USER" or "UID", with a group behind it or not. */
static void set_user(struct arena *a, const char *user, Runtime__V1__Image *m)
{
	char *name = arena_strndup(a, user, strcspn(user, ":"));
	uint64_t uid;

	if (num_u64(name, &uid) < 0 || uid > INT64_MAX) {
		m->username = name;
		return;
	}
	m->uid = ARENA_NEW(a, Runtime__V1__Int64Value);
	runtime__v1__int64_value__init(m->uid);
	m->uid->value = (int64_t)uid;
}

static Runtime__V1__Image *to_message(struct arena *a, const struct cri_image *im)
{
	Runtime__V1__Image *m = ARENA_NEW(a, Runtime__V1__Image);

	runtime__v1__image__init(m);
	m->id = (char *)im->id;
	m->repo_tags = copy_list(a, &im->tags);
	m->n_repo_tags = im->tags.n;
	m->repo_digests = copy_list(a, &im->digests);
	m->n_repo_digests = im->digests.n;
	m->size = im->size;
	m->pinned = im->is_pinned;
	if (im->user)
		set_user(a, im->user, m);
	return m;
}

static const char *name_in(const Runtime__V1__ImageSpec *spec)
{
	return spec && spec->image ? spec->image : "";
}

/* All, or the one that a filter names. */
static int collect(struct rpc_call *c, const Runtime__V1__ImageFilter *filter,
		   Runtime__V1__Image ***ret, size_t *ret_n, struct err *e)
{
	const char *wanted = filter ? name_in(filter->image) : "";
	AUTO_CRI_IMAGES struct cri_images l = { 0 };
	struct call call = call_of(c);

	if (cri_images_read(&call, &l, e) < 0)
		return -1;
	const struct cri_image *one = *wanted ? cri_images_find(&l, wanted) : NULL;

	*ret = arena_array(c->arena, l.n, sizeof **ret);
	*ret_n = 0;
	for (size_t i = 0; i < l.n; i++)
		if (!*wanted || one == &l.v[i])
			(*ret)[(*ret_n)++] = to_message(c->arena, &l.v[i]);
	return 0;
}

/* --- methods --- */

static int list(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Runtime__V1__ListImagesRequest *q = req;
	Runtime__V1__ListImagesResponse *a = rsp;

	return collect(c, q->filter, &a->images, &a->n_images, e);
}

static int stream(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const Runtime__V1__StreamImagesRequest *q = req;
	Runtime__V1__Image **all;
	size_t n;

	if (collect(c, q->filter, &all, &n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i += STREAMED) {
		Runtime__V1__StreamImagesResponse a = RUNTIME__V1__STREAM_IMAGES_RESPONSE__INIT;

		a.images = all + i;
		a.n_images = n - i < STREAMED ? n - i : STREAMED;
		if (rpc_send(c, &a, e) < 0)
			return -1;
	}
	return 0;
}

/* Nothing where the config cannot be read any more. */
static void set_info(const struct call *call, const struct cri_image *im,
		     Runtime__V1__ImageStatusResponse *r)
{
	typedef Runtime__V1__ImageStatusResponse__InfoEntry entry;
	AUTO_STR struct str text = STR_INIT(INFO_MAX);
	struct arena *a = call->arena;
	struct image_config config;
	struct err broken = { 0 };
	const char *bytes, **chain;
	struct jsonw w;
	size_t n;

	if (image_read_blob(call, a, im->id, &bytes, &n, &broken) < 0 ||
	    image_config_parse(a, bytes, n, &config, &broken) < 0)
		return;
	chain = image_chain_ids(a, config.diff_ids, config.n_diff_ids);
	jsonw_init(&w, &text, 0);
	jsonw_object(&w);
	jsonw_kstring(&w, "chainID", config.n_diff_ids ? chain[config.n_diff_ids - 1] : "");
	jsonw_key(&w, "imageSpec");
	jsonw_raw(&w, bytes);
	jsonw_end(&w);
	r->info = arena_array(a, 1, sizeof *r->info);
	r->info[0] = ARENA_NEW(a, entry);
	runtime__v1__image_status_response__info_entry__init(r->info[0]);
	r->info[0]->key = (char *)"info";
	r->info[0]->value = arena_strdup(a, str_c(&text));
	r->n_info = 1;
}

static int status(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Runtime__V1__ImageStatusRequest *q = req;
	AUTO_CRI_IMAGES struct cri_images l = { 0 };
	Runtime__V1__ImageStatusResponse *a = rsp;
	struct call call = call_of(c);

	if (cri_images_read(&call, &l, e) < 0)
		return -1;
	const struct cri_image *im = cri_images_find(&l, name_in(q->image));

	if (!im)
		return 0; /* no image is the answer */
	a->image = to_message(c->arena, im);
	if (q->verbose)
		set_info(&call, im, a);
	return 0;
}

static int remove_name(const struct call *call, const char *name, struct err *e)
{
	Containerd__Services__Images__V1__ImageDelete m;
	struct err gone = { 0 };

	if (image_delete(call->engine->store, call->ns, name, NULL, &gone) < 0)
		return gone.code == ERR_NOT_FOUND ? 0 : err_copy(e, &gone);
	containerd__services__images__v1__image_delete__init(&m);
	m.name = (char *)name;
	api_publish(call, "/images/delete", &m.base);
	return 0;
}

/* All names of the image, whichever was given. */
static int remove_image(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const Runtime__V1__RemoveImageRequest *q = req;
	AUTO_CRI_IMAGES struct cri_images l = { 0 };
	struct call call = call_of(c);

	if (cri_images_read(&call, &l, e) < 0)
		return -1;
	const struct cri_image *im = cri_images_find(&l, name_in(q->image));

	if (!im)
		return 0;
	for (size_t i = 0; i < im->names.n; i++)
		if (remove_name(&call, im->names.v[i], e) < 0)
			return err_wrap(e, "failed to delete image reference \"%s\" for \"%s\"",
					im->names.v[i], im->id);
	return collector_run(call.engine->collector, e);
}

/* --- what images cost --- */

struct sum {
	const struct call *call;
	struct snapshot_at at;
	uint64_t bytes, inodes;
};

/* Committed layers were counted once; those that are written to, cri/usage.c counts. */
static int add_usage(const struct snapshot_info *i, void *arg, UNUSED struct err *e)
{
	struct sum *s = arg;
	struct snapshot_usage u;
	struct err gone = { 0 };

	if (i->kind != SNAPSHOT_COMMITTED)
		return 0;
	/* One may go while it is counted. */
	if (snapshot_usage(s->call->engine->store, &s->at, i->name, &u, &gone) < 0)
		return 0;
	s->bytes += (uint64_t)u.size;
	s->inodes += (uint64_t)u.inodes;
	return 0;
}

static Runtime__V1__UInt64Value *number(struct arena *a, uint64_t v)
{
	Runtime__V1__UInt64Value *m = ARENA_NEW(a, Runtime__V1__UInt64Value);

	runtime__v1__uint64_value__init(m);
	m->value = v;
	return m;
}

static int fs_info(struct rpc_call *c, UNUSED const void *req, void *rsp, struct err *e)
{
	Runtime__V1__ImageFsInfoResponse *r = rsp;
	Runtime__V1__FilesystemUsage *m = ARENA_NEW(c->arena, Runtime__V1__FilesystemUsage);
	struct call call = call_of(c);
	const char *snapshotter = call.engine->cfg->snapshotter;
	struct sum s = { .call = &call, .at = { .ns = call.ns, .snapshotter = snapshotter } };
	uint64_t bytes, inodes;
	struct timespec now;

	if (snapshot_walk(call.engine->store, &s.at, c->arena, add_usage, &s, e) < 0)
		return err_wrap(e, "usage of snapshotter %s", snapshotter);
	clock_gettime(CLOCK_REALTIME, &now);
	runtime__v1__filesystem_usage__init(m);
	m->timestamp = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	m->fs_id = ARENA_NEW(c->arena, Runtime__V1__FilesystemIdentifier);
	runtime__v1__filesystem_identifier__init(m->fs_id);
	m->fs_id->mountpoint =
		arena_strdup(c->arena, cri_snapshotter_root(call.engine->cri, snapshotter));
	cri_layers_usage(call.engine->cri, snapshotter, &bytes, &inodes);
	m->used_bytes = number(c->arena, s.bytes + bytes);
	m->inodes_used = number(c->arena, s.inodes + inodes);
	r->image_filesystems = arena_array(c->arena, 1, sizeof *r->image_filesystems);
	r->image_filesystems[0] = m;
	r->n_image_filesystems = 1;
	return 0;
}

/* Where the plugin is disabled there is no such service. */
static int absent(struct err *e)
{
	return err_set(e, ERR_UNIMPLEMENTED, "unknown service runtime.v1.ImageService");
}

#define DOOR(fn)                                                                            \
	static int fn##_door(struct rpc_call *c, const void *req, void *rsp, struct err *e) \
	{                                                                                   \
		return api_engine(c)->cri ? fn(c, req, rsp, e) : absent(e);                 \
	}                                                                                   \
	_Static_assert(true, "takes the semicolon")
DOOR(list);
DOOR(stream);
DOOR(status);
DOOR(cri_pull_image);
DOOR(remove_image);
DOOR(fs_info);

#define M(name, prefix, fn)                                                                \
	RPC_UNARY(name, runtime__v1__##prefix##_request, runtime__v1__##prefix##_response, \
		  fn##_door)
const struct rpc_method cri_image_methods[] = {
	M("ListImages", list_images, list),
	RPC_SERVER_STREAM("StreamImages", runtime__v1__stream_images_request,
			  runtime__v1__stream_images_response, stream_door),
	M("ImageStatus", image_status, status),
	M("PullImage", pull_image, cri_pull_image),
	M("RemoveImage", remove_image, remove_image),
	M("ImageFsInfo", image_fs_info, fs_info),
	RPC_END,
};
