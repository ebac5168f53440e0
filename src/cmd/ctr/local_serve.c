/* What a worker of our own asks for, answered from the daemon's content store. */
#include "cmd/ctr/local.h"

#include "cmd/ctr/blob_write.h"
#include "cmd/ctr/image_read.h"

#include "image/channel.h"
#include "image/credentials.h"
#include "os/fd.h"

#include <errno.h>

struct answer {
	struct jsonw w;
	int fd; /* -1: none; closed after it was sent */
};

typedef int op_fn(struct local *l, json_object *q, struct answer *a, struct err *e);

static int text(json_object *q, const char *key, const char **ret, struct err *e)
{
	*ret = "";
	return jsonr_string(q, key, ret, e);
}

static int read_labels(struct arena *a, json_object *q, struct labels *ret, struct err *e)
{
	json_object *map = NULL;

	*ret = (struct labels){ 0 };
	if (jsonr_object(q, "labels", &map, e) < 0 || !map)
		return e->code ? -1 : 0;
	json_object_object_foreach(map, key, value)
	{
		const char *v = json_object_get_string(value);

		labels_add(a, ret, arena_strdup(a, key), arena_strdup(a, v ? v : ""));
	}
	return 0;
}

/* --- blobs --- */

static int blob_info(struct local *l, const char *digest, CONTENT(Info) * *ret, struct err *e)
{
	CONTENT(InfoRequest) req = CONTENT_INIT(INFO_REQUEST);
	CONTENT(InfoResponse) * rsp;

	*ret = NULL;
	req.digest = PB(digest);
	if (CTR_CALL(l->ctr, "content.v1.Content/Info", &req, content__v1__info_response, &rsp,
		     e) == 0) {
		*ret = rsp->info;
		return 0;
	}
	if (e->code != ERR_NOT_FOUND)
		return -1;
	err_clear(e);
	return 0;
}

static int op_blob_info(struct local *l, json_object *q, struct answer *a, struct err *e)
{
	const char *digest;
	CONTENT(Info) * info;
	struct labels labels;

	if (text(q, "digest", &digest, e) < 0 || blob_info(l, digest, &info, e) < 0)
		return -1;
	jsonw_kbool(&a->w, "exists", info);
	if (!info)
		return 0;
	jsonw_ku64(&a->w, "size", (uint64_t)info->size);
	labels_from_pb(l->ctr->arena, info->labels, info->n_labels, &labels);
	jsonw_key(&a->w, "labels");
	jsonw_object(&a->w);
	for (size_t i = 0; i < labels.n; i++)
		jsonw_kstring(&a->w, labels.keys[i], labels.values[i]);
	jsonw_end(&a->w);
	return 0;
}

static int op_blob_open(struct local *l, json_object *q, struct answer *a, struct err *e)
{
	const char *digest;

	if (text(q, "digest", &digest, e) < 0 || blob_scratch(&a->fd, e) < 0 ||
	    blob_copy(l->ctr, digest, a->fd, e) < 0)
		return -1;
	return lseek(a->fd, 0, SEEK_SET) < 0 ? err_sys(e, errno, "seek") : 0;
}

static int op_blob_label(struct local *l, json_object *q, struct answer *a, struct err *e)
{
	struct labels labels;
	const char *digest;

	(void)a;
	if (text(q, "digest", &digest, e) < 0 || read_labels(l->ctr->arena, q, &labels, e) < 0)
		return -1;
	return labels.n ? blob_label(l->ctr, digest, &labels, e) : 0;
}

/* --- ingests: a file here, which goes to the daemon when it is whole --- */

static int op_ingest_open(struct local *l, json_object *q, struct answer *a, struct err *e)
{
	const char *ref, *digest;
	CONTENT(Info) *info = NULL;
	size_t id = 0;
	int fd;

	while (id < LOCAL_INGESTS && l->ingests[id].fd > 0)
		id++;
	if (id == LOCAL_INGESTS)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "too many open ingests");
	if (text(q, "ref", &ref, e) < 0 || text(q, "digest", &digest, e) < 0 ||
	    (*digest && blob_info(l, digest, &info, e) < 0))
		return -1;
	if (info) {
		jsonw_kbool(&a->w, "exists", true);
		return 0;
	}
	if (blob_scratch(&fd, e) < 0)
		return -1;
	l->ingests[id] = (struct local_ingest){ fd, arena_strdup(l->ctr->arena, ref),
						arena_strdup(l->ctr->arena, digest) };
	a->fd = fd_copy(fd);
	jsonw_ku64(&a->w, "id", id);
	jsonw_ku64(&a->w, "offset", 0);
	return a->fd < 0 ? err_sys(e, -a->fd, "dup") : 0;
}

static int find_ingest(struct local *l, json_object *q, struct local_ingest **ret, struct err *e)
{
	uint64_t id = LOCAL_INGESTS;

	if (jsonr_u64(q, "id", &id, e) < 0)
		return -1;
	if (id >= LOCAL_INGESTS || l->ingests[id].fd <= 0)
		return err_set(e, ERR_NOT_FOUND, "ingest %llu", (unsigned long long)id);
	*ret = &l->ingests[id];
	return 0;
}

static void drop(struct local_ingest *in)
{
	close(in->fd);
	*in = (struct local_ingest){ 0 };
}

static int op_ingest_commit(struct local *l, json_object *q, struct answer *a, struct err *e)
{
	struct blob_source from = { 0 };
	struct local_ingest *in;
	const char *digest, *got;
	struct labels labels;
	int r = -1;

	if (find_ingest(l, q, &in, e) < 0)
		return -1;
	if (text(q, "digest", &digest, e) == 0 && jsonr_u64(q, "size", &from.size, e) == 0 &&
	    read_labels(l->ctr->arena, q, &labels, e) == 0) {
		from.fd = in->fd;
		from.ref = in->ref;
		from.expected = digest;
		from.labels = &labels;
		r = lseek(in->fd, 0, SEEK_SET) < 0 ? err_sys(e, errno, "seek")
						   : blob_write(l->ctr, &from, &got, e);
	}
	drop(in);
	if (r < 0)
		return -1;
	jsonw_kstring(&a->w, "digest", got);
	return 0;
}

static int op_ingest_close(struct local *l, json_object *q, struct answer *a, struct err *e)
{
	struct local_ingest *in;

	(void)a;
	if (find_ingest(l, q, &in, e) < 0)
		return -1;
	drop(in); /* what came is not worth a temporary file that stays */
	return 0;
}

/* --- the user's side --- */

static int op_auth(struct local *l, json_object *q, struct answer *a, struct err *e)
{
	enum { NONE, PASSWORD, REFRESH }; /* enum transfer_auth */
	struct transfer_credentials own;
	const char *host;

	if (text(q, "host", &host, e) < 0)
		return -1;
	/* What the user gave is for this, whatever host asks; else each host has its own. */
	if (!l->answer.refresh && !l->answer.user) {
		if (credentials_find(l->hosts_dirs, host, l->ctr->arena, &own, e) < 0)
			return -1;
		jsonw_ku64(&a->w, "type", own.type);
		jsonw_kstring(&a->w, "username", own.username ? own.username : "");
		jsonw_kstring(&a->w, "secret", own.secret ? own.secret : "");
		jsonw_kstring(&a->w, "source", own.source ? own.source : "");
		return 0;
	}
	jsonw_kstring(&a->w, "source", "the command line");
	jsonw_ku64(&a->w, "type", l->answer.refresh ? REFRESH : l->answer.user ? PASSWORD : NONE);
	jsonw_kstring(&a->w, "username", l->answer.user ? l->answer.user : "");
	jsonw_kstring(&a->w, "secret",
		      l->answer.refresh  ? l->answer.refresh
		      : l->answer.secret ? l->answer.secret
					 : "");
	return 0;
}

static void on_progress(struct local *l, json_object *q)
{
	Containerd__Types__Transfer__Progress m = CONTAINERD__TYPES__TRANSFER__PROGRESS__INIT;
	const char *event, *name, *parent;
	uint64_t done = 0, total = 0;
	struct err e = { 0 };

	if (l->report && text(q, "event", &event, &e) == 0 && text(q, "name", &name, &e) == 0)
		l->report(name, event);
	if (!l->view || text(q, "event", &event, &e) < 0 || text(q, "name", &name, &e) < 0 ||
	    text(q, "parent", &parent, &e) < 0 || jsonr_u64(q, "progress", &done, &e) < 0 ||
	    jsonr_u64(q, "total", &total, &e) < 0)
		return; /* it is only a display */
	m.event = PB(event);
	m.name = PB(name);
	m.parents = (char *[]){ PB(parent) };
	m.n_parents = *parent != 0;
	m.progress = (int64_t)done;
	m.total = (int64_t)total;
	progress_event(l->view, &m);
}

static int on_done(struct local *l, json_object *q, struct err *e)
{
	json_object *list = NULL, *root = NULL, *target, *item;
	struct arena *a = l->ctr->arena;

	if (jsonr_array(q, "images", &list, e) < 0 || jsonr_object(q, "root", &root, e) < 0)
		return -1;
	l->n_images = list ? json_object_array_length(list) : 0;
	l->images = arena_array(a, l->n_images, sizeof *l->images);
	for (size_t i = 0; i < l->n_images; i++) {
		const char *name;

		item = json_object_array_get_idx(list, i);
		target = NULL;
		if (text(item, "name", &name, e) < 0 ||
		    jsonr_object(item, "target", &target, e) < 0 ||
		    oci_descriptor_parse(a, target, &l->images[i].target, e) < 0)
			return -1;
		l->images[i].name = arena_strdup(a, name);
	}
	if (root && oci_descriptor_parse(a, root, &l->root, e) < 0)
		return -1;
	return 1;
}

static const struct op {
	const char *name;
	op_fn *fn;
} ops[] = {
	{ "blob_info", op_blob_info },
	{ "blob_open", op_blob_open },
	{ "blob_label", op_blob_label },
	{ "ingest_open", op_ingest_open },
	{ "ingest_commit", op_ingest_commit },
	{ "ingest_close", op_ingest_close },
	{ "auth", op_auth },
};

static int reply(struct local *l, int sock, const struct op *op, json_object *q, struct err *e)
{
	struct str out AUTO_STR = STR_INIT(CHANNEL_MAX), plain AUTO_STR = STR_INIT(CHANNEL_MAX);
	struct answer a = { .fd = -1 };
	struct err why = { 0 };
	struct jsonw w;
	int r;

	jsonw_init(&a.w, &out, 0);
	jsonw_object(&a.w);
	if (op->fn(l, q, &a, &why) < 0) {
		jsonw_init(&w, &plain, 0);
		jsonw_object(&w);
		channel_write_err(&w, &why);
		jsonw_end(&w);
		r = channel_send(sock, &plain, NULL, 0, e);
	} else {
		jsonw_end(&a.w);
		r = channel_send(sock, &out, &a.fd, a.fd >= 0, e);
	}
	close_fd(&a.fd);
	return r;
}

int local_serve(struct local *l, int sock, json_object *q, bool *ret_failed, struct err *e)
{
	const char *op;

	if (text(q, "op", &op, e) < 0)
		return -1;
	if (!strcmp(op, "sync"))
		return 0;
	if (!strcmp(op, "progress")) {
		on_progress(l, q);
		return 0;
	}
	if (!strcmp(op, "done"))
		return on_done(l, q, e);
	if (!strcmp(op, "fail")) {
		*ret_failed = true;
		return channel_read_err(q, e) > 0 ? 1 : -1;
	}
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		if (!strcmp(ops[i].name, op))
			return reply(l, sock, &ops[i], q, e);
	return err_set(e, ERR_INTERNAL, "the transfer worker asks for \"%.40s\"", op);
}
