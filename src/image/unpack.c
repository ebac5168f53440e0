#include "image/unpack.h"

#include "base/mem.h"
#include "base/str.h"
#include "image/stage.h"
#include "image/tar.h"
#include "image/unpack_entry.h"
#include "image/unpack_walk.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_ENTRIES = 10 * 1000 * 1000 };
/* Of one uncompressed layer.  Real layers shrink to a fifth or so; what grows by more than
 * MAX_RATIO beyond the first FREE_BYTES was made to fill a disk. */
static const uint64_t MAX_BYTES = 512ull << 30, FREE_BYTES = 1ull << 30, MAX_RATIO = 200;

/* The uncompressed stream: every byte passes the digest on its way to the tar reader. */
struct stream {
	struct stage *stage;
	struct sha256 sha;
	const uint8_t *buf; /* a piece of the stage's */
	size_t at, end;
	uint64_t total, max;
};

/* A pipe has no size that could be compared. */
static uint64_t size_of(int blob_fd)
{
	struct stat st;

	return fstat(blob_fd, &st) < 0 || !S_ISREG(st.st_mode) ? MAX_BYTES : (uint64_t)st.st_size;
}

static uint64_t byte_limit(uint64_t packed)
{
	return packed >= (MAX_BYTES - FREE_BYTES) / MAX_RATIO ? MAX_BYTES
							      : FREE_BYTES + packed * MAX_RATIO;
}

static ssize_t pull(void *arg, void *buf, size_t n, struct err *e)
{
	struct stream *s = arg;

	if (s->at == s->end) {
		const void *piece;
		ssize_t r = stage_read(s->stage, &piece, e);

		if (r <= 0)
			return r;
		s->buf = piece;
		s->at = 0;
		s->end = (size_t)r;
		s->total += (size_t)r;
		if (s->total > s->max)
			return err_set(e, ERR_RESOURCE_EXHAUSTED,
				       "layer unpacks to more than %llu bytes",
				       (unsigned long long)s->max);
		sha256_add(&s->sha, s->buf, (size_t)r);
	}
	if (n > s->end - s->at)
		n = s->end - s->at;
	memcpy(buf, s->buf + s->at, n);
	s->at += n;
	return (ssize_t)n;
}

static int finish_digest(struct stream *s, struct unpack_result *ret, struct err *e)
{
	/* Behind the archive's end there may be padding: it counts for the digest. */
	for (;;) {
		char rest[4096];
		ssize_t r = pull(s, rest, sizeof rest, e);

		if (r < 0)
			return -1;
		if (r == 0)
			break;
	}
	sha256_digest(&s->sha, ret->diff_id);
	ret->size = s->total;
	return 0;
}

/* "a//./b/" becomes "a/b", "/a" becomes "a", "." becomes "".  ".." is refused: no honest layer has
 * it, and what it would mean depends on links. */
static int clean_name(const char *name, char *ret, size_t n, struct err *e)
{
	size_t len = 0;

	for (const char *p = name; *p;) {
		size_t part = strcspn(p, "/");

		if (part == 2 && p[0] == '.' && p[1] == '.')
			return err_set(
				e, ERR_INVALID_ARGUMENT,
				"layer entry \"%s\" would leave the root: \"..\" in its name",
				name);
		if (part && !(part == 1 && p[0] == '.')) {
			if (len + part + 2 > n)
				return err_set(e, ERR_INVALID_ARGUMENT,
					       "layer entry name too long");
			if (len)
				ret[len++] = '/';
			memcpy(ret + len, p, part);
			len += part;
		}
		p += part + (p[part] == '/');
	}
	ret[len] = 0;
	return 0;
}

/* One entry, by what its name says. */
static int apply(const struct unpack_dirs *dirs, struct unpacker *u, struct tar *t,
		 const struct tar_entry *n, struct err *e)
{
	char name[TAR_NAME_MAX], link[TAR_NAME_MAX] = "";

	if (clean_name(n->name, name, sizeof name, e) < 0)
		return -1;
	if (n->type == TAR_HARDLINK && clean_name(n->link, link, sizeof link, e) < 0)
		return -1;

	const char *leaf = strrchr(name, '/');
	leaf = leaf ? leaf + 1 : name;
	bool is_whiteout = str_starts(leaf, ".wh.");
	struct tar_entry mine = *n;

	if (dirs->wants) {
		int wanted = is_whiteout ? 0 : dirs->wants(dirs->arg, name, &mine, e);

		if (wanted <= 0)
			return wanted;
	}
	if (is_whiteout)
		return unpack_whiteout(u, name, leaf + 4, e);
	return unpack_entry(u, t, &mine, name, link, e);
}

static int apply_all(const struct unpack_dirs *dirs, struct unpacker *u, struct tar *t,
		     struct err *e)
{
	for (uint64_t count = 0;; count++) {
		const struct tar_entry *n;
		int r = tar_next(t, &n, e);

		if (r <= 0)
			return r;
		if (count == MAX_ENTRIES)
			return err_set(e, ERR_RESOURCE_EXHAUSTED, "layer has over %d entries",
				       MAX_ENTRIES);
		if (apply(dirs, u, t, n, e) < 0)
			return -1;
	}
}

static int unpack(struct inflate *z, uint64_t packed, const struct unpack_dirs *dirs,
		  struct unpack_result *ret, struct err *e)
{
	struct stream s = { .stage = stage_start(z, packed), .max = byte_limit(packed) };
	struct unpacker *u = unpacker_new(dirs);
	struct tar *t = tar_new(pull, &s);
	int r = -1;

	sha256_init(&s.sha);
	if (apply_all(dirs, u, t, e) == 0 && unpack_finish(u, e) == 0)
		r = finish_digest(&s, ret, e);
	tar_free(t);
	unpacker_free(u);
	stage_end(s.stage);
	return r < 0 ? err_wrap(e, "failed to extract layer") : 0;
}

int unpack_layer(int blob_fd, const char *media_type, const struct unpack_dirs *dirs,
		 struct unpack_result *ret, struct err *e)
{
	enum inflate_kind kind;

	if (inflate_kind_of(media_type, &kind, e) < 0)
		return -1;
	struct inflate *z = inflate_new(blob_fd, kind);
	int r = unpack(z, size_of(blob_fd), dirs, ret, e);

	inflate_free(z);
	return r;
}

int unpack_layer_from(const struct unpack_source *from, const char *media_type,
		      const struct unpack_dirs *dirs, struct unpack_result *ret, struct err *e)
{
	enum inflate_kind kind;

	if (inflate_kind_of(media_type, &kind, e) < 0)
		return -1;
	struct inflate *z = inflate_new_from(from->read, from->arg, kind);
	int r = unpack(z, from->size, dirs, ret, e);

	inflate_free(z);
	return r;
}
