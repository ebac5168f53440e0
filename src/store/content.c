#include "store/content.h"

#include "base/ident.h"
#include "base/str.h"
#include "store/content_record.h"
#include "store/content_remote.h"
#include "store/entry.h"
#include "store/record_tables.h"
#include "store/state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

const struct rec_field content_fields[] = {
	REC(1, TEXT, struct content_info, digest),   REC(2, U64, struct content_info, size),
	REC(3, LABELS, struct content_info, labels), REC(4, TIME, struct content_info, created),
	REC(5, TIME, struct content_info, updated),  { 0 },
};

static const struct rec_field blob_fields[] = {
	REC(1, U64, struct blob_record, size),
	REC(2, U64, struct blob_record, namespaces),
	{ 0 },
};

struct call {
	struct store *s;
	struct arena *a;
	const char *ns, *lease, *digest;
	const struct content_info *in;
	const struct labels *labels;
	const struct mask *mask;
	struct content_info *ret;
};

int content_check_digest(const char *digest, struct err *e)
{
	if (!digest || !digest_is_valid(digest))
		return err_set(e, ERR_INVALID_ARGUMENT, "\"%s\": invalid checksum digest format",
			       digest ?: "");
	return 0;
}

static int not_found(const char *digest, struct err *e)
{
	return err_set(e, ERR_NOT_FOUND, "content digest %s", digest);
}

/* --- records, inside a transaction --- */

int content_has(struct txn *t, const char *ns, const char *digest, struct err *e)
{
	struct key k = KEY(ns, digest);

	return entry_has(t, TABLE_CONTENT, &k, e);
}

int blob_get(struct txn *t, const char *digest, struct blob_record *ret, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct key k = KEY(digest);

	return entry_get(t, TABLE_BLOBS, &k, blob_fields, a, ret, e);
}

static int blob_put(struct txn *t, const char *digest, const struct blob_record *r, struct err *e)
{
	struct key k = KEY(digest);

	if (r->namespaces == 0)
		return db_del(t, TABLE_BLOBS, &k, e) < 0 ? -1 : 0;
	return entry_put(t, TABLE_BLOBS, &k, blob_fields, r, e);
}

int content_is_shared(struct txn *t, const struct content_dir *d, const char *digest,
		      struct blob_record *ret, struct err *e)
{
	AUTO_STRV struct strv open = { 0 };
	int has = blob_get(t, digest, ret, e);

	if (has <= 0 || !d->is_isolated)
		return has;
	if (namespace_find(t, "containerd.io/namespace.shareable", "true", &open, e) < 0)
		return -1;
	has = 0;
	for (size_t i = 0; i < open.n && has == 0; i++)
		has = content_has(t, open.v[i], digest, e);
	return has;
}

int content_add(struct txn *t, const struct content_new *n, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct content_info r = { .digest = n->digest,
				  .size = n->size,
				  .labels = labels_copy(a, n->labels),
				  .created = entry_now() };
	struct blob_record blob = { .size = n->size };
	struct key k = KEY(n->ns, n->digest);

	r.updated = r.created;
	if (namespace_ensure(t, n->ns, e) < 0 ||
	    lease_join(t, n->ns, n->lease, "content", n->digest, e) < 0)
		return -1;

	int has = entry_has(t, TABLE_CONTENT, &k, e);
	if (has != 0)
		return has;
	if (blob_get(t, n->digest, &blob, e) < 0)
		return -1;
	blob.namespaces++;
	if (blob_put(t, n->digest, &blob, e) < 0)
		return -1;
	return entry_put(t, TABLE_CONTENT, &k, content_fields, &r, e);
}

int content_forget(struct txn *t, const char *ns, const char *digest, struct err *e)
{
	struct blob_record blob;
	struct key k = KEY(ns, digest);
	int had = db_del(t, TABLE_CONTENT, &k, e);

	if (had <= 0)
		return had;
	had = blob_get(t, digest, &blob, e);
	if (had < 0)
		return -1;
	if (had && blob.namespaces > 0) {
		blob.namespaces--;
		if (blob_put(t, digest, &blob, e) < 0)
			return -1;
	}
	return 1;
}

/* --- calls --- */

int content_info(struct store *s, const char *ns, struct arena *a, const char *digest,
		 struct content_info *ret, struct err *e)
{
	if (content_check_digest(digest, e) < 0)
		return -1;

	struct key k = KEY(ns, digest);
	int has = entry_read(s->db, TABLE_CONTENT, &k, content_fields, a, ret, e);
	return has < 0 ? -1 : has ? 0 : not_found(digest, e);
}

static int update(struct txn *t, void *arg, struct err *e)
{
	struct call *c = arg;
	struct content_info r;
	struct key k = KEY(c->ns, c->in->digest);
	int has = entry_get(t, TABLE_CONTENT, &k, content_fields, c->a, &r, e);

	if (has < 0)
		return -1;
	if (!has)
		return not_found(c->in->digest, e);
	if (labels_update(c->a, &r.labels, &c->in->labels, c->mask, "content info", c->in->digest,
			  e) < 0)
		return -1;
	r.updated = entry_now();
	*c->ret = r;
	return entry_put(t, TABLE_CONTENT, &k, content_fields, &r, e);
}

int content_update(struct store *s, const char *ns, struct arena *a, const struct content_info *in,
		   const struct mask *mask, struct content_info *ret, struct err *e)
{
	struct call c = { .a = a, .ns = ns, .in = in, .mask = mask, .ret = ret };

	if (content_check_digest(in->digest, e) < 0)
		return -1;
	return db_write(s->db, update, &c, e);
}

static int delete (struct txn *t, void *arg, struct err *e)
{
	struct call *c = arg;
	int had = content_forget(t, c->ns, c->digest, e);

	return had < 0 ? -1 : had ? 0 : not_found(c->digest, e);
}

int content_delete(struct store *s, const char *ns, const char *digest, struct err *e)
{
	struct call c = { .ns = ns, .digest = digest };

	if (content_check_digest(digest, e) < 0)
		return -1;
	int r = db_write(s->db, delete, &c, e);
	if (r == 0)
		store_made_garbage(s);
	return r;
}

int content_walk(struct store *s, const char *ns, struct arena *a, content_visit *visit, void *arg,
		 struct err *e)
{
	struct key below = PREFIX(ns);
	struct entries all;
	int r = entry_list(s->db, TABLE_CONTENT, &below, content_fields,
			   sizeof(struct content_info), a, &all, e);

	for (size_t i = 0; i < all.n && r == 0; i++)
		r = visit(all.v[i], arg, e);
	return r;
}

int content_open(struct store *s, const char *ns, const char *digest, int *ret_fd,
		 uint64_t *ret_size, struct err *e)
{
	uint64_t at;

	return content_open_part(s, ns, digest, 0, 0, ret_fd, &at, ret_size, e);
}

/* The file: 1, or 0 when the blob is elsewhere. */
static int open_here(struct store *s, const char *digest, int *ret_fd, uint64_t *ret_size,
		     struct err *e)
{
	char path[BLOB_PATH_MAX];
	struct stat st;

	content_blob_path(digest, path);
	AUTO_FD int fd = openat(s->content.fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return s->content.proxy ? 0 : not_found(digest, e);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, errno, "open blob %s", digest);
	*ret_fd = TAKE_FD(fd);
	*ret_size = (uint64_t)st.st_size;
	return 1;
}

static int size_of(struct store *s, const char *ns, const char *digest, uint64_t *ret,
		   struct err *e)
{
	struct blob_record blob = { 0 };
	struct txn t;

	if (content_check_digest(digest, e) < 0 || db_read(s->db, &t, e) < 0)
		return -1;
	int has = content_has(&t, ns, digest, e);
	if (has > 0)
		has = blob_get(&t, digest, &blob, e);
	db_read_end(&t);
	*ret = blob.size;
	return has < 0 ? -1 : has ? 0 : not_found(digest, e);
}

int content_open_part(struct store *s, const char *ns, const char *digest, uint64_t from,
		      uint64_t size, int *ret_fd, uint64_t *ret_at, uint64_t *ret_total,
		      struct err *e)
{
	int r;

	*ret_at = from;
	if (size_of(s, ns, digest, ret_total, e) < 0)
		return -1;
	r = open_here(s, digest, ret_fd, ret_total, e);
	if (r != 0)
		return r < 0 ? -1 : 0;
	if (from > *ret_total)
		from = *ret_total; /* the caller will say so */
	if (!size || size > *ret_total - from)
		size = *ret_total - from;
	*ret_at = 0;
	return remote_fetch(s, digest, from, size, size == *ret_total, ret_fd, e);
}

int content_is_stored(struct store *s, const char *digest, struct err *e)
{
	struct blob_record blob;
	struct txn t;

	if (content_check_digest(digest, e) < 0 || db_read(s->db, &t, e) < 0)
		return -1;
	int has = blob_get(&t, digest, &blob, e);
	db_read_end(&t);
	return has;
}

static int share(struct txn *t, void *arg, struct err *e)
{
	struct call *c = arg;
	struct blob_record blob;
	int has = content_is_shared(t, &c->s->content, c->digest, &blob, e);

	if (has <= 0)
		return has;

	struct content_new n = { c->ns, c->lease, c->digest, blob.size, c->labels };
	return content_add(t, &n, e) < 0 ? -1 : 1;
}

int content_share(struct store *s, const char *ns, const char *lease, const char *digest,
		  const struct labels *labels, struct err *e)
{
	static const struct labels none;
	struct call c = { .s = s, .ns = ns, .lease = lease, .digest = digest };

	c.labels = labels ?: &none;

	if (content_check_digest(digest, e) < 0 || labels_check(c.labels, e) < 0)
		return -1;
	pthread_mutex_lock(&s->content.commit);
	int r = db_write(s->db, share, &c, e);
	pthread_mutex_unlock(&s->content.commit);
	return r;
}
