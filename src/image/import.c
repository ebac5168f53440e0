/* An archive into the store: an OCI layout, or what `docker save` writes.  Both are read in one
 * pass, as they come; the small documents are kept, everything else becomes a blob. */
#include "image/import.h"

#include "base/ident.h"
#include "image/inflate.h"
#include "image/tar.h"
#include "os/fd.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

enum { DOCUMENT_MAX = 8 << 20, FILES_MAX = 4096, ENTRIES_MAX = 16384, COPY = 256 * 1024 };

struct reader {
	struct inflate *z;
	struct import *im;
	struct tar *tar;
	char *buf;
	uint64_t serial;
};

static ssize_t pull(void *arg, void *buf, size_t n, struct err *e)
{
	return inflate_read(arg, buf, n, e);
}

/* "./a//b" is "a/b"; a name with ".." is none of an archive's. NULL then. */
static const char *clean(struct arena *a, const char *name)
{
	struct str s = STR_INIT(TAR_NAME_MAX);

	for (const char *p = name; *p;) {
		size_t n = strcspn(p, "/");

		if (n == 2 && p[0] == '.' && p[1] == '.') {
			str_done(&s);
			return NULL;
		}
		if (n && !(n == 1 && p[0] == '.')) {
			if (s.len)
				str_addc(&s, '/');
			str_addn(&s, p, n);
		}
		p += n + (p[n] == '/');
	}
	const char *out = arena_strdup(a, str_c(&s));
	str_done(&s);
	return out;
}

static struct import_file *add_file(struct import *im, const char *name, struct err *e)
{
	if (im->n_files == FILES_MAX) {
		err_set(e, ERR_RESOURCE_EXHAUSTED, "archive has over %d files", FILES_MAX);
		return NULL;
	}
	struct import_file *f = &im->files[im->n_files++];
	f->name = name;
	return f;
}

static bool is_document(const char *name)
{
	static const char *const names[] = { "oci-layout", "index.json", "manifest.json" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

static int keep_document(struct reader *r, const char *name, const struct tar_entry *t,
			 struct err *e)
{
	struct import_file *f = add_file(r->im, name, e);
	ssize_t n;

	if (!f)
		return -1;
	if (t->size > DOCUMENT_MAX)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "%s has %llu bytes, at most %d", name,
			       (unsigned long long)t->size, DOCUMENT_MAX);
	f->bytes = arena_alloc(r->im->w->arena, (size_t)t->size + 1);
	while ((n = tar_data(r->tar, f->bytes + f->size, (size_t)t->size - f->size, e)) > 0)
		f->size += (uint64_t)n;
	return n < 0 ? -1 : 0;
}

/* "blobs/sha256/HEX" says its digest; others have one when they are written. */
static const char *expected_digest(struct arena *a, const char *name)
{
	const char *slash;

	if (!str_starts(name, "blobs/") || !(slash = strchr(name + 6, '/')))
		return "";
	const char *d = arena_printf(a, "%.*s:%s", (int)(slash - name - 6), name + 6, slash + 1);
	return digest_is_valid(d) ? d : "";
}

static int write_blob(struct reader *r, struct import_file *f, struct peer_ingest *in,
		      struct err *e)
{
	uint64_t skip = in->offset, since = 0;
	ssize_t n;

	while ((n = tar_data(r->tar, r->buf, COPY, e)) > 0) {
		/* An import that broke off before has left its beginning. */
		size_t drop = (uint64_t)n < skip ? (size_t)n : (size_t)skip;
		int rc = fd_write_all(in->fd, r->buf + drop, (size_t)n - drop);

		if (rc < 0)
			return err_sys(e, -rc, "write %s", f->name);
		if (f->size == 0)
			memcpy(f->magic, r->buf,
			       (size_t)n < sizeof f->magic ? (size_t)n : sizeof f->magic);
		skip -= drop;
		f->size += (uint64_t)n;
		since += (uint64_t)n;
		if (since > (8 << 20)) {
			peer_ingest_sync(&r->im->w->peer, in);
			since = 0;
		}
	}
	return n < 0 ? -1 : 0;
}

static int add_blob(struct reader *r, const char *name, const struct tar_entry *t, struct err *e)
{
	struct worker *w = r->im->w;
	const char *digest = expected_digest(w->arena, name);
	struct import_file *f = add_file(r->im, name, e);
	const struct labels none = { 0 };
	struct peer_ingest in;
	struct timespec now;

	if (!f)
		return -1;
	clock_gettime(CLOCK_REALTIME, &now);
	const char *ref = *digest ? arena_printf(w->arena, "import-%s", digest)
				  : arena_printf(w->arena, "import-%ld%09ld-%" PRIu64,
						 (long)now.tv_sec, now.tv_nsec, r->serial++);
	if (peer_ingest_open(&w->peer, ref, t->size, digest, &in, e) < 0)
		return err_wrap(e, "%s", name);
	if (in.fd < 0) { /* the store has it: the bytes are passed over */
		f->digest = digest;
		f->size = t->size;
		return 0;
	}
	if (write_blob(r, f, &in, e) < 0) {
		peer_ingest_close(&w->peer, &in, false);
		return -1;
	}
	char *got = arena_alloc(w->arena, 136);
	if (peer_ingest_commit(&w->peer, &in, t->size, digest, &none, got, e) < 0)
		return err_wrap(e, "%s", name);
	f->digest = *digest ? digest : got;
	return 0;
}

static int read_entry(struct reader *r, const struct tar_entry *t, struct err *e)
{
	struct arena *a = r->im->w->arena;
	const char *name = clean(a, t->name);

	if (!name)
		return err_set(e, ERR_INVALID_ARGUMENT, "archive entry \"%s\": \"..\" in its name",
			       t->name);
	if (t->type == TAR_FILE)
		return is_document(name) ? keep_document(r, name, t, e) : add_blob(r, name, t, e);
	if (t->type == TAR_SYMLINK || t->type == TAR_HARDLINK) {
		/* Old `docker save`: a layer that stands twice.  Inside the archive only. */
		const char *slash = strrchr(name, '/');
		const char *target =
			t->type == TAR_HARDLINK || !slash
				? t->link
				: arena_printf(a, "%.*s/%s", (int)(slash - name), name, t->link);
		struct import_file *f = add_file(r->im, name, e);

		if (!f)
			return -1;
		f->link = import_resolve(a, target);
	}
	return 0;
}

const char *import_resolve(struct arena *a, const char *path)
{
	struct str s = STR_INIT(TAR_NAME_MAX);

	for (const char *p = path; *p;) {
		size_t n = strcspn(p, "/");

		if (n == 2 && p[0] == '.' && p[1] == '.') {
			char *slash = s.ptr ? strrchr(s.ptr, '/') : NULL;

			s.len = slash ? (size_t)(slash - s.ptr) : 0;
			if (s.ptr)
				s.ptr[s.len] = 0;
		} else if (n && !(n == 1 && p[0] == '.')) {
			if (s.len)
				str_addc(&s, '/');
			str_addn(&s, p, n);
		}
		p += n + (p[n] == '/');
	}
	const char *out = arena_strdup(a, str_c(&s));
	str_done(&s);
	return out;
}

struct import_file *import_find(struct import *im, const char *name)
{
	for (int hops = 0; hops < 8; hops++) {
		struct import_file *f = NULL;

		for (size_t i = 0; i < im->n_files && !f; i++)
			if (strcmp(im->files[i].name, name) == 0)
				f = &im->files[i];
		if (!f || !f->link)
			return f;
		name = f->link;
	}
	return NULL;
}

static int read_entries(struct reader *r, struct err *e)
{
	const struct tar_entry *t;

	for (size_t n = 0;; n++) {
		int rc = tar_next(r->tar, &t, e);

		if (rc <= 0)
			return rc;
		if (n == ENTRIES_MAX)
			return err_set(e, ERR_RESOURCE_EXHAUSTED, "archive has over %d entries",
				       ENTRIES_MAX);
		if (read_entry(r, t, e) < 0)
			return -1;
	}
}

static int read_archive(struct import *im, int fd, struct err *e)
{
	struct reader r = { .z = inflate_new(fd, INFLATE_GUESS), .im = im, .buf = xmalloc(COPY) };
	int rc;

	r.tar = tar_new(pull, r.z);
	rc = read_entries(&r, e);
	/* The sender is let finish: what follows the end is padding. */
	while (rc == 0 && inflate_read(r.z, r.buf, COPY, e) > 0)
		continue;
	if (rc == 0 && e->code)
		rc = -1;
	tar_free(r.tar);
	inflate_free(r.z);
	free(r.buf);
	return rc;
}

/* Before there is a snapshot of any of them. */
static int ask_verdicts(struct worker *w, const struct transfer_result *r, struct err *e)
{
	for (size_t i = 0; w->job.verify.policy && w->job.n_unpacks && i < r->n_images; i++) {
		const struct peer_verdict q = { .name = r->images[i].name,
						.target = &r->images[i].target };

		if (peer_verify(&w->peer, &q, e) < 0)
			return -1;
	}
	return 0;
}

/* The tree below the root, its labels, and the snapshots that were asked for. */
static int finish(struct import *im, const struct transfer_result *r, struct err *e)
{
	struct worker *w = im->w;

	if (ask_verdicts(w, r, e) < 0 || worker_tree(w, &r->root, e) < 0)
		return -1;
	struct fetch *f = fetch_start(w); /* only checks that the layers are there */
	return fetch_end(f, e) < 0 ? -1 : worker_unpack(w, NULL, e);
}

int worker_import(struct worker *w, int fd, struct transfer_result *ret, struct err *e)
{
	struct import im = { .w = w };
	const struct transfer_progress start = { .event = "Importing from stream" };
	const struct transfer_progress end = { .event = "Completed import from stream" };
	bool is_docker = false;
	int r;

	w->name = "import";
	peer_progress(&w->peer, &start);
	im.files = xcalloc(FILES_MAX, sizeof *im.files);
	r = read_archive(&im, fd, e);
	if (r == 0) {
		is_docker = !import_find(&im, "oci-layout") || !import_find(&im, "index.json");
		r = is_docker ? import_docker(&im, ret, e) : import_oci(&im, ret, e);
	}
	if (r == 0)
		r = finish(&im, ret, e);
	if (r == 0 && is_docker && w->job.import.compress)
		r = worker_compress(w, ret, e);
	free(im.files);
	if (r < 0)
		return err_wrap(e, "failed to import");
	for (size_t i = 0; i < ret->n_images; i++) {
		const struct transfer_progress saved = { .event = "saved",
							 .name = ret->images[i].name };

		peer_progress(&w->peer, &saved);
	}
	peer_progress(&w->peer, &end);
	return 0;
}
