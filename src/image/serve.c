#include "image/serve.h"

#include "base/log.h"
#include "base/mem.h"
#include "image/credentials.h"
#include "image/verify.h"
#include "image/wire.h"
#include "oci/reference.h"
#include "store/content.h"
#include "store/lease.h"

#include <string.h>

/* What an answer consists of. */
struct answer {
	struct jsonw *w;
	int fds[CHANNEL_FDS];
	size_t n_fds;
};

typedef int op_fn(struct session *s, json_object *q, struct answer *a, struct err *e);

static int text(json_object *q, const char *key, const char **ret, struct err *e)
{
	*ret = "";
	return jsonr_string(q, key, ret, e);
}

/* --- blobs -------------------------------------------------------------------------------------
 */

static int blob_info(struct session *s, json_object *q, struct answer *a, struct err *e)
{
	const struct transfer_job *j = s->job;
	struct content_info info;
	struct err why = { 0 };
	const char *digest;

	if (text(q, "digest", &digest, e) < 0)
		return -1;
	int r = content_info(j->store, j->ns, s->arena, digest, &info, &why);
	if (r < 0 && why.code != ERR_NOT_FOUND)
		return err_copy(e, &why);
	if (r < 0) {
		/* Another namespace may have it: then it is ours for the asking. */
		err_clear(&why);
		const struct labels none = { 0 };
		r = content_share(j->store, j->ns, j->lease, digest, &none, e);
		if (r < 0)
			return -1;
		if (r == 0) {
			jsonw_kbool(a->w, "exists", false);
			return 0;
		}
		if (content_info(j->store, j->ns, s->arena, digest, &info, e) < 0)
			return -1;
	}
	jsonw_kbool(a->w, "exists", true);
	jsonw_ku64(a->w, "size", info.size);
	jsonw_key(a->w, "labels");
	jsonw_object(a->w);
	for (size_t i = 0; i < info.labels.n; i++)
		jsonw_kstring(a->w, info.labels.v[i].key, info.labels.v[i].value);
	jsonw_end(a->w);
	return 0;
}

static int blob_open(struct session *s, json_object *q, struct answer *a, struct err *e)
{
	const char *digest;
	uint64_t size;

	if (text(q, "digest", &digest, e) < 0 ||
	    content_open(s->job->store, s->job->ns, digest, &a->fds[0], &size, e) < 0)
		return -1;
	a->n_fds = 1;
	return 0;
}

static int blob_label(struct session *s, json_object *q, UNUSED struct answer *a, struct err *e)
{
	struct content_info in = { 0 }, out;

	if (text(q, "digest", &in.digest, e) < 0 ||
	    wire_read_labels(s->arena, q, "labels", &in.labels, e) < 0)
		return -1;
	if (in.labels.n == 0)
		return 0;

	const char **paths = arena_array(s->arena, in.labels.n, sizeof *paths);
	for (size_t i = 0; i < in.labels.n; i++)
		paths[i] = arena_printf(s->arena, "labels.%s", in.labels.v[i].key);
	const struct mask mask = { paths, in.labels.n };
	return content_update(s->job->store, s->job->ns, s->arena, &in, &mask, &out, e);
}

/* --- ingests -----------------------------------------------------------------------------------
 */

static int open_ingest(struct session *s, json_object *q, struct answer *a, struct err *e)
{
	const char *ref, *digest;
	struct ingest_status st;
	struct err why = { 0 };
	uint64_t total = 0;
	size_t id = 0;

	while (id < SERVE_INGESTS && s->ingests[id])
		id++;
	if (id == SERVE_INGESTS)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "too many open ingests");
	if (text(q, "ref", &ref, e) < 0 || text(q, "digest", &digest, e) < 0 ||
	    jsonr_u64(q, "total", &total, e) < 0)
		return -1;
	if (ingest_open(s->job->store, s->job->ns, s->job->lease, ref, total,
			*digest ? digest : NULL, &s->ingests[id], &why) < 0) {
		s->ingests[id] = NULL;
		if (why.code != ERR_ALREADY_EXISTS)
			return err_copy(e, &why);
		jsonw_kbool(a->w, "exists", true);
		return 0;
	}
	if (ingest_fd(s->ingests[id], &a->fds[0], e) < 0) {
		ingest_close(TAKE_PTR(s->ingests[id]));
		return -1;
	}
	/* the descriptor is the ingest's: the packet sends a copy, and nobody closes this one */
	a->n_fds = 1;
	ingest_get_status(s->ingests[id], &st);
	jsonw_ku64(a->w, "id", id);
	jsonw_ku64(a->w, "offset", st.offset);
	return 0;
}

static int find_ingest(struct session *s, json_object *q, size_t *ret, struct err *e)
{
	uint64_t id = SERVE_INGESTS;

	if (jsonr_u64(q, "id", &id, e) < 0)
		return -1;
	if (id >= SERVE_INGESTS || !s->ingests[id])
		return err_set(e, ERR_NOT_FOUND, "ingest %llu", (unsigned long long)id);
	*ret = (size_t)id;
	return 0;
}

static int commit_ingest(struct session *s, json_object *q, struct answer *a, struct err *e)
{
	char got[136] = "";
	struct labels labels;
	struct err why = { 0 };
	const char *digest;
	uint64_t size = 0;
	size_t id;

	if (find_ingest(s, q, &id, e) < 0 || text(q, "digest", &digest, e) < 0 ||
	    jsonr_u64(q, "size", &size, e) < 0 ||
	    wire_read_labels(s->arena, q, "labels", &labels, e) < 0)
		return -1;
	struct ingest *in = TAKE_PTR(s->ingests[id]);
	if (ingest_sync(in, e) < 0) {
		ingest_close(in);
		return -1;
	}
	if (!*digest && ingest_digest(in, got, e) < 0) {
		ingest_close(in);
		return -1;
	}
	int r = ingest_commit(in, size, *digest ? digest : got, &labels, NULL, &why);
	ingest_close(in);
	if (r < 0 && why.code != ERR_ALREADY_EXISTS)
		return err_copy(e, &why);
	const char *name = *digest ? digest : got;
	jsonw_kstring(a->w, "digest", name);
	if (r == 0 && s->job->hooks && s->job->hooks->content_created)
		s->job->hooks->content_created(name, size, s->job->hooks->arg);
	return 0;
}

static int close_ingest(struct session *s, json_object *q, UNUSED struct answer *a, struct err *e)
{
	bool keep = false;
	size_t id;

	if (find_ingest(s, q, &id, e) < 0 || jsonr_bool(q, "keep", &keep, e) < 0)
		return -1;
	struct ingest *in = TAKE_PTR(s->ingests[id]);
	if (keep)
		ingest_close(in);
	else
		ingest_discard(in);
	return 0;
}

/* --- snapshots ---------------------------------------------------------------------------------
 */

static int where(struct session *s, json_object *q, struct snapshot_at *at, struct err *e)
{
	*at = (struct snapshot_at){ .ns = s->job->ns, .lease = s->job->lease };
	return text(q, "snapshotter", &at->snapshotter, e);
}

static void forget(struct session *s, const char *snapshotter, const char *key)
{
	for (struct served_snapshot **p = &s->active; *p; p = &(*p)->next)
		if (strcmp((*p)->key, key) == 0 && strcmp((*p)->snapshotter, snapshotter) == 0) {
			struct served_snapshot *gone = *p;

			*p = gone->next;
			free(gone->snapshotter);
			free(gone->key);
			free(gone->parent);
			free(gone);
			return;
		}
}

/* A worker may only touch what it has prepared itself. */
static int find_own(const struct session *s, const char *snapshotter, const char *key,
		    const struct served_snapshot **ret, struct err *e)
{
	for (const struct served_snapshot *p = s->active; p; p = p->next)
		if (strcmp(p->key, key) == 0 && strcmp(p->snapshotter, snapshotter) == 0) {
			*ret = p;
			return 0;
		}
	return err_set(e, ERR_NOT_FOUND, "snapshot %s does not exist in this transfer", key);
}

static int check_own(const struct session *s, const char *snapshotter, const char *key,
		     struct err *e)
{
	const struct served_snapshot *p;

	return find_own(s, snapshotter, key, &p, e);
}

static int stat_snapshot(struct session *s, json_object *q, struct answer *a, struct err *e)
{
	struct snapshot_info info;
	struct snapshot_at at;
	struct err why = { 0 };
	const char *name;

	if (where(s, q, &at, e) < 0 || text(q, "name", &name, e) < 0)
		return -1;
	int r = snapshot_stat(s->job->store, &at, s->arena, name, &info, &why);
	/* The next layer is put upon it: a collection must not take it till then.  It may just
	 * have. */
	if (r == 0 && at.lease && *at.lease) {
		const struct lease_resource held = { name, arena_printf(s->arena, "snapshots/%s",
									at.snapshotter) };

		if (lease_add(s->job->store, at.ns, at.lease, &held, e) < 0)
			return -1;
		r = snapshot_stat(s->job->store, &at, s->arena, name, &info, &why);
	}
	if (r < 0 && why.code != ERR_NOT_FOUND)
		return err_copy(e, &why);
	jsonw_kbool(a->w, "exists", r == 0 && info.kind == SNAPSHOT_COMMITTED);
	return 0;
}

static int prepare_snapshot(struct session *s, json_object *q, struct answer *a, struct err *e)
{
	const char *key, *parent, *target;
	struct labels labels = { 0 };
	struct mounts mounts;
	struct snapshot_at at;
	struct err why = { 0 };

	if (where(s, q, &at, e) < 0 || text(q, "key", &key, e) < 0 ||
	    text(q, "parent", &parent, e) < 0 || text(q, "target", &target, e) < 0)
		return -1;
	labels_set(s->arena, &labels, "containerd.io/snapshot.ref", target);
	if (snapshot_prepare(s->job->store, &at, s->arena, key, parent, &labels, &mounts, &why) <
	    0) {
		if (why.code != ERR_ALREADY_EXISTS)
			return err_copy(e, &why);
		jsonw_kbool(a->w, "exists", true);
		return 0;
	}

	struct served_snapshot *n = NEW(struct served_snapshot);
	*n = (struct served_snapshot){ xstrdup(at.snapshotter), xstrdup(key), xstrdup(parent),
				       s->active };
	s->active = n;
	if (s->job->hooks && s->job->hooks->snapshot_prepared)
		s->job->hooks->snapshot_prepared(at.snapshotter, key, parent, s->job->hooks->arg);
	return 0;
}

static int open_snapshot(struct session *s, json_object *q, struct answer *a, struct err *e)
{
	struct snapshot_dirs dirs = { 0 };
	struct snapshot_at at;
	const char *key;

	if (where(s, q, &at, e) < 0 || text(q, "key", &key, e) < 0 ||
	    check_own(s, at.snapshotter, key, e) < 0 ||
	    snapshot_open_dirs(s->job->store, &at, key, &dirs, e) < 0)
		return -1;
	if (dirs.nlowers + 1 > CHANNEL_FDS) {
		snapshot_dirs_done(&dirs);
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "an image of more than %d layers",
			       CHANNEL_FDS - 1);
	}
	jsonw_kbool(a->w, "overlay", dirs.whiteout == WHITEOUT_OVERLAY);
	a->fds[a->n_fds++] = TAKE_FD(dirs.upper);
	for (size_t i = 0; i < dirs.nlowers; i++)
		a->fds[a->n_fds++] = TAKE_FD(dirs.lowers[i]);
	snapshot_dirs_done(&dirs);
	return 0;
}

static int commit_snapshot(struct session *s, json_object *q, UNUSED struct answer *a,
			   struct err *e)
{
	const struct transfer_hooks *h = s->job->hooks;
	struct labels labels = { 0 };
	struct snapshot_at at;
	struct err why = { 0 };
	const struct served_snapshot *own;
	const char *key, *name, *parent;
	struct grant_request g = { 0 };
	bool is_synced = false;

	if (where(s, q, &at, e) < 0 || text(q, "key", &key, e) < 0 ||
	    text(q, "name", &name, e) < 0 || text(q, "parent", &parent, e) < 0 ||
	    text(q, "manifest", &g.manifest, e) < 0 || text(q, "config", &g.config, e) < 0 ||
	    jsonr_bool(q, "synced", &is_synced, e) < 0 ||
	    find_own(s, at.snapshotter, key, &own, e) < 0)
		return -1;
	g.snapshotter = at.snapshotter;
	g.name = name;
	g.parent = *own->parent ? own->parent : parent; /* as the store does */
	if (grant_snapshot(s, &g, e) < 0)
		return -1;
	labels_set(s->arena, &labels, "containerd.io/snapshot.ref", name);
	int r = is_synced
			? snapshot_commit_synced(s->job->store, &at, name, key, parent, &labels,
						 &why)
			: snapshot_commit_on(s->job->store, &at, name, key, parent, &labels, &why);
	if (r < 0) {
		/* Somebody was faster with the same layers: theirs is as good. */
		if (why.code != ERR_ALREADY_EXISTS)
			return err_copy(e, &why);
		if (snapshot_remove(s->job->store, &at, key, e) < 0)
			return -1;
		forget(s, at.snapshotter, key);
		return 0;
	}
	if (h && h->snapshot_committed)
		h->snapshot_committed(at.snapshotter, key, name, h->arg);
	forget(s, at.snapshotter, key);
	return 0;
}

static int drop(struct session *s, const char *snapshotter, const char *key, struct err *e)
{
	const struct transfer_hooks *h = s->job->hooks;
	const struct snapshot_at at = { s->job->ns, s->job->lease, snapshotter };

	if (snapshot_remove(s->job->store, &at, key, e) < 0)
		return -1;
	if (h && h->snapshot_removed)
		h->snapshot_removed(snapshotter, key, h->arg);
	return 0;
}

static int remove_snapshot(struct session *s, json_object *q, UNUSED struct answer *a,
			   struct err *e)
{
	struct snapshot_at at;
	const char *key;

	if (where(s, q, &at, e) < 0 || text(q, "key", &key, e) < 0 ||
	    check_own(s, at.snapshotter, key, e) < 0 || drop(s, at.snapshotter, key, e) < 0)
		return -1;
	forget(s, at.snapshotter, key);
	return 0;
}

/* --- the client's side ---------------------------------------------------------------------------
 */

static int auth(struct session *s, json_object *q, struct answer *a, struct err *e)
{
	const struct transfer_hooks *h = s->job->hooks;
	struct transfer_credentials c = { 0 };
	const char *www[9] = { NULL }, *host;
	json_object *list = NULL;

	if (text(q, "host", &host, e) < 0 || jsonr_array(q, "www_authenticate", &list, e) < 0)
		return -1;
	for (size_t i = 0; list && i < json_object_array_length(list) && i < 8; i++) {
		www[i] = json_object_get_string(json_object_array_get_idx(list, i));
		if (!www[i])
			www[i] = "";
	}
	if (h && h->auth && h->auth(s->arena, host, www, &c, h->arg, e) < 0)
		return -1;
	/* What the client has given counts; then what the operator has. */
	if (c.type == TRANSFER_AUTH_NONE &&
	    credentials_find(s->job->pull.hosts_dirs, host, s->arena, &c, e) < 0)
		return -1;
	jsonw_ku64(a->w, "type", c.type);
	jsonw_kstring(a->w, "username", c.username ? c.username : "");
	jsonw_kstring(a->w, "secret", c.secret ? c.secret : "");
	jsonw_kstring(a->w, "source", c.source ? c.source : "");
	return 0;
}

static void progress(struct session *s, json_object *q)
{
	struct transfer_progress p = { 0 };
	struct oci_descriptor d;
	json_object *desc = NULL;
	struct err e = { 0 };

	if (!s->job->hooks || !s->job->hooks->progress)
		return;
	if (text(q, "event", &p.event, &e) < 0 || text(q, "name", &p.name, &e) < 0 ||
	    text(q, "parent", &p.parent, &e) < 0 || jsonr_u64(q, "progress", &p.progress, &e) < 0 ||
	    jsonr_u64(q, "total", &p.total, &e) < 0 || jsonr_object(q, "desc", &desc, &e) < 0)
		return; /* it is only a display */
	if (desc && oci_descriptor_parse(s->arena, desc, &d, &e) == 0)
		p.desc = &d;
	s->job->hooks->progress(&p, s->job->hooks->arg);
}

/* What a pull brings is called what was asked for, and is that where its digest was given.  The
 * name is of this side: by it the policy chooses its rules. */
static int check_pulled(struct session *s, const struct oci_descriptor *target,
			const char **ret_name, struct err *e)
{
	AUTO_REFERENCE struct reference ref = { 0 };

	if (reference_parse(s->job->pull.reference, &ref, e) < 0)
		return -1;
	if (ref.digest && strcmp(ref.digest, target->digest) != 0)
		return err_set(e, ERR_PERMISSION_DENIED,
			       "the transfer worker brought %s instead of %s", target->digest,
			       ref.digest);
	reference_add_default_tag(&ref);
	AUTO_FREE char *name = reference_text(&ref);
	*ret_name = arena_strdup(s->arena, name);
	return 0;
}

/* The worker brings the signatures; the judges are of this side. */
static int judge(struct session *s, struct verify_request *v, struct err *e)
{
	enum { VERIFIED_MAX = 1024 };
	const struct transfer_job *j = s->job;

	if (s->verified.n == VERIFIED_MAX)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "more than %d images", VERIFIED_MAX);
	v->transport = j->kind == TRANSFER_PULL ? "docker" : "oci-archive";
	if (j->verifier && verifier_judge(j->verifier, j, v, e) < 0)
		return -1;
	strv_add(&s->verified, v->target->digest);
	return 0;
}

static int verify(struct session *s, json_object *q, UNUSED struct answer *a, struct err *e)
{
	struct verify_request v = { 0 };
	struct oci_descriptor target;
	json_object *o = NULL;

	if (s->job->kind != TRANSFER_PULL && s->job->kind != TRANSFER_IMPORT)
		return err_set(e, ERR_INTERNAL, "this job brings no image");
	if (text(q, "name", &v.name, e) < 0 || jsonr_object(q, "target", &o, e) < 0 ||
	    oci_descriptor_parse(s->arena, o, &target, e) < 0 ||
	    wire_read_signatures(s->arena, q, &v.signatures, &v.n_signatures, e) < 0)
		return -1;
	v.target = &target;
	if (s->job->kind == TRANSFER_PULL && check_pulled(s, &target, &v.name, e) < 0)
		return -1;
	return judge(s, &v, e);
}

static int check_image(struct session *s, const struct transfer_image *i, struct err *e)
{
	const struct transfer_job *j = s->job;
	struct verify_request q = { .name = i->name, .target = &i->target };
	const char *name;

	if (j->kind == TRANSFER_PULL) {
		if (check_pulled(s, &i->target, &name, e) < 0)
			return -1;
		if (strcmp(name, i->name) != 0)
			return err_set(e, ERR_PERMISSION_DENIED,
				       "the transfer worker brought %.300s instead of %s", i->name,
				       name);
	}
	if (!j->verifier || strv_has(&s->verified, i->target.digest))
		return 0;
	if (j->kind == TRANSFER_PULL)
		return err_set(e, ERR_PERMISSION_DENIED,
			       "the transfer worker brought %s, which nobody has verified",
			       i->target.digest);
	return j->kind == TRANSFER_IMPORT ? judge(s, &q, e) : 0;
}

/* A pull's image is the one that was judged; an archive's are judged now, if they are not yet. */
static int check_result(struct session *s, const struct transfer_result *r, struct err *e)
{
	const struct transfer_image root = { "", r->root };
	bool has_root = r->root.digest && *r->root.digest;

	/* What else it named would get the name that the client asked for, and nobody's verdict. */
	if (s->job->kind == TRANSFER_PULL && (r->n_images != 1 || has_root))
		return err_set(e, ERR_PERMISSION_DENIED,
			       "the transfer worker brought %zu images%s instead of one",
			       r->n_images, has_root ? " and an archive's index" : "");
	for (size_t i = 0; i < r->n_images; i++)
		if (check_image(s, &r->images[i], e) < 0)
			return -1;
	/* It gets the name that the client has chosen, where the archive has not one image. */
	if (s->job->kind == TRANSFER_IMPORT && r->n_images != 1 && has_root)
		return check_image(s, &root, e);
	return 0;
}

/* --- one packet
 * ----------------------------------------------------------------------------------- */

static const struct op {
	const char *name;
	op_fn *fn;
	bool keeps_fds; /* the descriptors sent stay ours */
} ops[] = {
	{ "blob_info", blob_info, false },
	{ "blob_open", blob_open, false },
	{ "blob_label", blob_label, false },
	{ "ingest_open", open_ingest, true },
	{ "ingest_commit", commit_ingest, false },
	{ "ingest_close", close_ingest, false },
	{ "snapshot_stat", stat_snapshot, false },
	{ "snapshot_prepare", prepare_snapshot, false },
	{ "snapshot_dirs", open_snapshot, false },
	{ "snapshot_commit", commit_snapshot, false },
	{ "snapshot_remove", remove_snapshot, false },
	{ "auth", auth, false },
	{ "verify", verify, false },
};

static int answer(struct session *s, const struct op *op, json_object *q, struct err *e)
{
	AUTO_STR struct str out = STR_INIT(CHANNEL_MAX), plain = STR_INIT(CHANNEL_MAX);
	struct answer a = { 0 };
	struct err why = { 0 };
	struct jsonw w, we;
	int r;

	jsonw_init(&w, &out, 0);
	jsonw_object(&w);
	a.w = &w;
	if (op->fn(s, q, &a, &why) < 0) {
		jsonw_init(&we, &plain, 0);
		jsonw_object(&we);
		channel_write_err(&we, &why);
		jsonw_end(&we);
		r = channel_send(s->sock, &plain, NULL, 0, e);
	} else {
		jsonw_end(&w);
		r = channel_send(s->sock, &out, a.fds, a.n_fds, e);
	}
	for (size_t i = 0; i < a.n_fds && !op->keeps_fds; i++)
		close_fd(&a.fds[i]);
	return r;
}

static int dispatch(struct session *s, json_object *q, struct arena *a,
		    struct transfer_result *ret_result, bool *ret_failed, struct err *e)
{
	const char *op;

	if (text(q, "op", &op, e) < 0)
		return -1;
	if (strcmp(op, "progress") == 0) {
		progress(s, q);
		return 0;
	}
	if (strcmp(op, "sync") == 0) {
		struct err late = { 0 };
		size_t id;

		/* Hashing ahead is a favour: the commit does what this could not. */
		if (find_ingest(s, q, &id, &late) == 0)
			(void)ingest_sync(s->ingests[id], &late);
		return 0;
	}
	if (strcmp(op, "done") == 0)
		return wire_read_result(a, q, ret_result, e) < 0 ||
				       check_result(s, ret_result, e) < 0
			       ? -1
			       : 1;
	if (strcmp(op, "fail") == 0) {
		*ret_failed = true;
		return channel_read_err(q, e) > 0 ? 1 : -1;
	}
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		if (strcmp(ops[i].name, op) == 0)
			return answer(s, &ops[i], q, e);
	return err_set(e, ERR_INTERNAL, "the worker asks for \"%.40s\"", op);
}

int serve_packet(struct session *s, struct channel_packet *p, struct arena *a,
		 struct transfer_result *ret_result, bool *ret_failed, struct err *e)
{
	s->arena = arena_new();
	int r = dispatch(s, p->json, a, ret_result, ret_failed, e);
	arena_free(s->arena);
	s->arena = NULL;
	return r;
}

void session_end(struct session *s)
{
	for (size_t i = 0; i < SERVE_INGESTS; i++)
		ingest_close(TAKE_PTR(s->ingests[i]));
	while (s->active) {
		struct served_snapshot *p = s->active;
		struct err e = { 0 };

		if (drop(s, p->snapshotter, p->key, &e) < 0)
			log_warn(LOG({ "error", e.msg }), "cannot remove snapshot %s", p->key);
		s->active = p->next;
		free(p->snapshotter);
		free(p->key);
		free(p->parent);
		free(p);
	}
	strv_done(&s->verified);
	arena_free(s->image.arena);
}
