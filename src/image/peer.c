#include "image/peer.h"

#include "base/mem.h"
#include "image/wire.h"

#include <poll.h>
#include <string.h>
#include <time.h>

void peer_init(struct peer *p, int sock)
{
	p->sock = sock;
	pthread_mutex_init(&p->lock, NULL);
}

/* A request being written. */
struct request {
	struct str text;
	struct jsonw w;
};

static void request_done(struct request *q)
{
	str_done(&q->text);
}
#define AUTO_REQUEST CLEANUP(request_done)

static void begin(struct request *q, const char *op)
{
	q->text = STR_INIT(CHANNEL_MAX);
	jsonw_init(&q->w, &q->text, 0);
	jsonw_object(&q->w);
	jsonw_kstring(&q->w, "op", op);
}

static void write_labels(struct jsonw *w, const struct labels *l)
{
	jsonw_key(w, "labels");
	jsonw_object(w);
	for (size_t i = 0; l && i < l->n; i++)
		jsonw_kstring(w, l->v[i].key, l->v[i].value);
	jsonw_end(w);
}

/* Sends and waits for the answer, which is the caller's to end. */
static int ask(struct peer *p, struct request *q, struct channel_packet *ret, struct err *e)
{
	int r;

	jsonw_end(&q->w);
	pthread_mutex_lock(&p->lock);
	r = channel_send(p->sock, &q->text, NULL, 0, e);
	if (r == 0)
		r = channel_recv(p->sock, ret, e);
	else
		r = -1;
	pthread_mutex_unlock(&p->lock);
	if (r == 0)
		return err_set(e, ERR_UNAVAILABLE, "the daemon is gone");
	if (r < 0)
		return -1;
	r = channel_read_err(ret->json, e);
	if (r != 0) {
		channel_packet_done(ret);
		return -1;
	}
	return 0;
}

static int ask_plain(struct peer *p, struct request *q, struct err *e)
{
	AUTO_PACKET struct channel_packet a = { 0 };

	return ask(p, q, &a, e);
}

static void tell(struct peer *p, struct request *q)
{
	struct err lost = { 0 };

	jsonw_end(&q->w);
	pthread_mutex_lock(&p->lock);
	/* A daemon that is gone shows at the next request. */
	(void)channel_send(p->sock, &q->text, NULL, 0, &lost);
	pthread_mutex_unlock(&p->lock);
}

int peer_blob_info(struct peer *p, struct arena *a, const char *digest, struct peer_blob *ret,
		   struct err *e)
{
	AUTO_PACKET struct channel_packet packet = { 0 };
	AUTO_REQUEST struct request q;

	*ret = (struct peer_blob){ 0 };
	begin(&q, "blob_info");
	jsonw_kstring(&q.w, "digest", digest);
	if (ask(p, &q, &packet, e) < 0 || jsonr_bool(packet.json, "exists", &ret->exists, e) < 0 ||
	    jsonr_u64(packet.json, "size", &ret->size, e) < 0)
		return -1;
	return wire_read_labels(a, packet.json, "labels", &ret->labels, e);
}

int peer_blob_open(struct peer *p, const char *digest, int *ret_fd, struct err *e)
{
	AUTO_PACKET struct channel_packet packet = { 0 };
	AUTO_REQUEST struct request q;

	begin(&q, "blob_open");
	jsonw_kstring(&q.w, "digest", digest);
	if (ask(p, &q, &packet, e) < 0)
		return -1;
	*ret_fd = channel_take_fd(&packet, 0);
	if (*ret_fd < 0)
		return err_set(e, ERR_INTERNAL, "the daemon gave no file for %s", digest);
	return 0;
}

int peer_blob_label(struct peer *p, const char *digest, const struct labels *labels, struct err *e)
{
	AUTO_REQUEST struct request q;

	begin(&q, "blob_label");
	jsonw_kstring(&q.w, "digest", digest);
	write_labels(&q.w, labels);
	return ask_plain(p, &q, e);
}

static int ingest_try(struct peer *p, const char *ref, uint64_t total, const char *digest,
		      struct peer_ingest *ret, struct err *e)
{
	AUTO_PACKET struct channel_packet packet = { 0 };
	AUTO_REQUEST struct request q;
	bool exists = false;

	*ret = (struct peer_ingest){ .fd = -1 };
	begin(&q, "ingest_open");
	jsonw_kstring(&q.w, "ref", ref);
	jsonw_ku64(&q.w, "total", total);
	jsonw_kstring(&q.w, "digest", digest);
	if (ask(p, &q, &packet, e) < 0 || jsonr_bool(packet.json, "exists", &exists, e) < 0)
		return -1;
	if (exists)
		return 0;
	if (jsonr_u64(packet.json, "id", &ret->id, e) < 0 ||
	    jsonr_u64(packet.json, "offset", &ret->offset, e) < 0)
		return -1;
	ret->fd = channel_take_fd(&packet, 0);
	return ret->fd < 0 ? err_set(e, ERR_INTERNAL, "the daemon gave no file for %s", ref) : 0;
}

static bool daemon_is_gone(const struct peer *p)
{
	struct pollfd f = { .fd = p->sock };

	return poll(&f, 1, 0) > 0; /* nothing but errors was asked for */
}

/* Another transfer may be fetching the same bytes: then we wait, and find the blob, or go on with
 * what it leaves when it fails. */
int peer_ingest_open(struct peer *p, const char *ref, uint64_t total, const char *digest,
		     struct peer_ingest *ret, struct err *e)
{
	const struct timespec pause = { .tv_nsec = 100000000 };
	struct err why = { 0 };

	while (ingest_try(p, ref, total, digest, ret, &why) < 0) {
		if (why.code != ERR_UNAVAILABLE || daemon_is_gone(p))
			return err_copy(e, &why);
		err_clear(&why);
		(void)nanosleep(&pause, NULL); /* shorter is fine */
	}
	return 0;
}

void peer_ingest_sync(struct peer *p, const struct peer_ingest *in)
{
	AUTO_REQUEST struct request q;

	begin(&q, "sync");
	jsonw_ku64(&q.w, "id", in->id);
	tell(p, &q);
}

int peer_ingest_commit(struct peer *p, struct peer_ingest *in, uint64_t size, const char *digest,
		       const struct labels *labels, char ret_digest[136], struct err *e)
{
	AUTO_PACKET struct channel_packet packet = { 0 };
	AUTO_REQUEST struct request q;
	const char *got = "";

	begin(&q, "ingest_commit");
	jsonw_ku64(&q.w, "id", in->id);
	jsonw_ku64(&q.w, "size", size);
	jsonw_kstring(&q.w, "digest", digest);
	write_labels(&q.w, labels);
	close_fd(&in->fd);
	in->fd = -1;
	if (ask(p, &q, &packet, e) < 0 || jsonr_string(packet.json, "digest", &got, e) < 0)
		return -1;
	if (ret_digest)
		snprintf(ret_digest, 136, "%s", got);
	return 0;
}

void peer_ingest_close(struct peer *p, struct peer_ingest *in, bool keep)
{
	AUTO_REQUEST struct request q;
	struct err lost = { 0 };

	if (in->fd < 0)
		return;
	close_fd(&in->fd);
	in->fd = -1;
	begin(&q, "ingest_close");
	jsonw_ku64(&q.w, "id", in->id);
	jsonw_kbool(&q.w, "keep", keep);
	(void)ask_plain(p, &q, &lost); /* a failure is being told already */
}

int peer_snapshot_exists(struct peer *p, const char *snapshotter, const char *name, bool *ret,
			 struct err *e)
{
	AUTO_PACKET struct channel_packet packet = { 0 };
	AUTO_REQUEST struct request q;

	*ret = false;
	begin(&q, "snapshot_stat");
	jsonw_kstring(&q.w, "snapshotter", snapshotter);
	jsonw_kstring(&q.w, "name", name);
	if (ask(p, &q, &packet, e) < 0)
		return -1;
	return jsonr_bool(packet.json, "exists", ret, e);
}

int peer_snapshot_prepare(struct peer *p, const char *snapshotter, const char *key,
			  const char *parent, const char *target, bool *ret_exists, struct err *e)
{
	AUTO_PACKET struct channel_packet packet = { 0 };
	AUTO_REQUEST struct request q;

	*ret_exists = false;
	begin(&q, "snapshot_prepare");
	jsonw_kstring(&q.w, "snapshotter", snapshotter);
	jsonw_kstring(&q.w, "key", key);
	jsonw_kstring(&q.w, "parent", parent);
	jsonw_kstring(&q.w, "target", target);
	if (ask(p, &q, &packet, e) < 0)
		return -1;
	return jsonr_bool(packet.json, "exists", ret_exists, e);
}

int peer_snapshot_dirs(struct peer *p, const char *snapshotter, const char *key,
		       struct channel_packet *ret, bool *ret_overlay, struct err *e)
{
	AUTO_REQUEST struct request q;

	*ret_overlay = false;
	begin(&q, "snapshot_dirs");
	jsonw_kstring(&q.w, "snapshotter", snapshotter);
	jsonw_kstring(&q.w, "key", key);
	if (ask(p, &q, ret, e) < 0)
		return -1;
	if (ret->n_fds == 0 || jsonr_bool(ret->json, "overlay", ret_overlay, e) < 0) {
		channel_packet_done(ret);
		return e->code ? -1 : err_set(e, ERR_INTERNAL, "the daemon gave no folder");
	}
	return 0;
}

int peer_snapshot_commit(struct peer *p, const struct peer_commit *c, struct err *e)
{
	AUTO_REQUEST struct request q;

	begin(&q, "snapshot_commit");
	jsonw_kstring(&q.w, "snapshotter", c->snapshotter);
	jsonw_kstring(&q.w, "name", c->name);
	jsonw_kstring(&q.w, "key", c->key);
	jsonw_kstring(&q.w, "parent", c->parent);
	jsonw_kstring(&q.w, "manifest", c->manifest);
	jsonw_kstring(&q.w, "config", c->config);
	jsonw_kbool(&q.w, "synced", true);
	return ask_plain(p, &q, e);
}

void peer_snapshot_remove(struct peer *p, const char *snapshotter, const char *key)
{
	AUTO_REQUEST struct request q;
	struct err lost = { 0 };

	begin(&q, "snapshot_remove");
	jsonw_kstring(&q.w, "snapshotter", snapshotter);
	jsonw_kstring(&q.w, "key", key);
	(void)ask_plain(p, &q, &lost); /* the daemon removes what stays */
}

void peer_progress(struct peer *p, const struct transfer_progress *what)
{
	AUTO_REQUEST struct request q;

	begin(&q, "progress");
	jsonw_kstring(&q.w, "event", what->event);
	jsonw_kstring(&q.w, "name", what->name ? what->name : "");
	jsonw_kstring(&q.w, "parent", what->parent ? what->parent : "");
	jsonw_ku64(&q.w, "progress", what->progress);
	jsonw_ku64(&q.w, "total", what->total);
	if (what->desc) {
		jsonw_key(&q.w, "desc");
		wire_write_descriptor(&q.w, what->desc);
	}
	tell(p, &q);
}

int peer_verify(struct peer *p, const struct peer_verdict *v, struct err *e)
{
	AUTO_REQUEST struct request q;

	begin(&q, "verify");
	jsonw_kstring(&q.w, "name", v->name);
	jsonw_key(&q.w, "target");
	wire_write_descriptor(&q.w, v->target);
	wire_write_signatures(&q.w, v->v, v->n);
	return ask_plain(p, &q, e);
}

int peer_auth(struct peer *p, struct arena *a, const char *host,
	      const char *const *www_authenticate, struct transfer_credentials *ret, struct err *e)
{
	AUTO_PACKET struct channel_packet packet = { 0 };
	AUTO_REQUEST struct request q;
	const char *user = "", *secret = "", *source = "";
	uint64_t type = 0;

	begin(&q, "auth");
	jsonw_kstring(&q.w, "host", host);
	jsonw_key(&q.w, "www_authenticate");
	jsonw_array(&q.w);
	for (; www_authenticate && *www_authenticate; www_authenticate++)
		jsonw_string(&q.w, *www_authenticate);
	jsonw_end(&q.w);
	if (ask(p, &q, &packet, e) < 0 || jsonr_u64(packet.json, "type", &type, e) < 0 ||
	    jsonr_string(packet.json, "username", &user, e) < 0 ||
	    jsonr_string(packet.json, "secret", &secret, e) < 0 ||
	    jsonr_string(packet.json, "source", &source, e) < 0)
		return -1;
	*ret = (struct transfer_credentials){ .type = type <= TRANSFER_AUTH_HEADER
							      ? (enum transfer_auth)type
							      : TRANSFER_AUTH_NONE,
					      .username = arena_strdup(a, user),
					      .secret = arena_strdup(a, secret),
					      .source = arena_strdup(a, source) };
	return 0;
}

int peer_done(struct peer *p, const struct transfer_result *r, struct err *e)
{
	AUTO_REQUEST struct request q;

	begin(&q, "done");
	wire_write_result(&q.w, r);
	jsonw_end(&q.w);
	return channel_send(p->sock, &q.text, NULL, 0, e);
}

void peer_fail(struct peer *p, const struct err *why)
{
	AUTO_REQUEST struct request q;

	begin(&q, "fail");
	channel_write_err(&q.w, why);
	tell(p, &q);
}
