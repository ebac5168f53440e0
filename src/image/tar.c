#include "image/tar.h"

#include "base/mem.h"
#include "base/num.h"

#include <stdbool.h>
#include <string.h>

enum { BLOCK = 512 };

/* Where USTAR keeps what; offsets and lengths in the header block. */
struct field {
	size_t at, len;
};
static const struct field NAME = { 0, 100 }, MODE = { 100, 8 }, UID = { 108, 8 }, GID = { 116, 8 },
			  SIZE = { 124, 12 }, MTIME = { 136, 12 }, CHECKSUM = { 148, 8 },
			  LINK = { 157, 100 }, MAGIC = { 257, 8 }, MAJOR = { 329, 8 },
			  MINOR = { 337, 8 }, PREFIX = { 345, 155 };
enum { TYPE_AT = 156 };

struct tar {
	tar_read_fn *read;
	void *arg;
	uint64_t offset; /* in the stream, for messages */
	uint64_t data_left, padding; /* of the current entry */
	bool ended;
	struct arena *arena; /* the current entry's */
	struct tar_entry entry;
	/* From extended headers, for the next entry. */
	const char *long_name, *long_link;
	struct oversize {
		bool has_size, has_uid, has_gid, has_mtime;
		uint64_t size;
		uint32_t uid, gid;
		struct timespec mtime;
	} pax;
};

struct tar *tar_new(tar_read_fn *read, void *arg)
{
	struct tar *t = NEW(struct tar);

	t->read = read;
	t->arg = arg;
	t->arena = arena_new();
	return t;
}

void tar_free(struct tar *t)
{
	if (!t)
		return;
	arena_free(t->arena);
	free(t);
}

static int bad(const struct tar *t, struct err *e, const char *what)
{
	return err_set(e, ERR_INVALID_ARGUMENT, "invalid tar header at offset %llu: %s",
		       (unsigned long long)t->offset, what);
}

/* n bytes, or 0 bytes when the stream ends right here and `may_end`. */
static int take(struct tar *t, void *buf, size_t n, bool may_end, bool *ret_ended, struct err *e)
{
	size_t done = 0;

	while (done < n) {
		ssize_t r = t->read(t->arg, (char *)buf + done, n - done, e);

		if (r < 0)
			return -1;
		if (r == 0) {
			if (done == 0 && may_end) {
				*ret_ended = true;
				return 0;
			}
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "tar ends in the middle at offset %llu: unexpected EOF",
				       (unsigned long long)t->offset);
		}
		done += (size_t)r;
		t->offset += (uint64_t)r;
	}
	return 0;
}

static int skip(struct tar *t, uint64_t n, struct err *e)
{
	char buf[16 * 1024];

	while (n) {
		size_t part = n < sizeof buf ? (size_t)n : sizeof buf;

		if (take(t, buf, part, false, NULL, e) < 0)
			return -1;
		n -= part;
	}
	return 0;
}

/* Octal with spaces or NULs around, or base 256 when the first byte's high bit is set. */
static int number(const unsigned char *h, struct field f, int64_t *ret)
{
	const unsigned char *p = h + f.at, *end = p + f.len;

	if (*p & 0x80) {
		bool negative = *p & 0x40;
		uint64_t v = negative ? UINT64_MAX << 6 | (*p & 0x3f) : (*p & 0x3f);

		for (p++; p < end; p++) {
			if (negative ? v >> 55 != 0x1ff : v >> 55 != 0)
				return -1; /* the next shift would lose bits */
			v = v << 8 | *p;
		}
		*ret = (int64_t)v;
		return 0;
	}

	uint64_t v = 0;
	while (p < end && (*p == ' ' || *p == 0))
		p++;
	for (; p < end && *p >= '0' && *p <= '7'; p++)
		v = v << 3 | (uint64_t)(*p - '0'); /* 11 digits at most: 33 bits */
	while (p < end && (*p == ' ' || *p == 0))
		p++;
	if (p < end)
		return -1;
	*ret = (int64_t)v;
	return 0;
}

static bool is_zero(const unsigned char *h)
{
	for (size_t i = 0; i < BLOCK; i++)
		if (h[i])
			return false;
	return true;
}

static bool checksum_fits(const unsigned char *h)
{
	int64_t want, sum = 0, signed_sum = 0;

	for (size_t i = 0; i < BLOCK; i++) {
		bool inside = i >= CHECKSUM.at && i < CHECKSUM.at + CHECKSUM.len;

		sum += inside ? ' ' : h[i];
		signed_sum += inside ? ' ' : (signed char)h[i]; /* what old programs wrote */
	}
	return number(h, CHECKSUM, &want) == 0 && (want == sum || want == signed_sum);
}

static int ranged(struct tar *t, const unsigned char *h, struct field f, uint64_t max,
		  const char *what, uint64_t *ret, struct err *e)
{
	int64_t v;

	if (number(h, f, &v) < 0 || v < 0 || (uint64_t)v > max)
		return bad(t, e, what);
	*ret = (uint64_t)v;
	return 0;
}

static const char *text(struct tar *t, const unsigned char *h, struct field f)
{
	return arena_strndup(t->arena, (const char *)h + f.at, f.len);
}

static const char *full_name(struct tar *t, const unsigned char *h)
{
	if (t->long_name)
		return t->long_name;

	const char *name = text(t, h, NAME);
	/* GNU's magic ("ustar  ") uses the prefix's room for other things */
	if (memcmp(h + MAGIC.at, "ustar\0", 6) == 0 && h[PREFIX.at])
		return arena_printf(t->arena, "%s/%s", text(t, h, PREFIX), name);
	return name;
}

/* --- extended headers ------------------------------------------------------------------------ */

/* "1700000000.123456789", with a sign and any digits. */
static int pax_time(const char *s, struct timespec *ret)
{
	bool negative = *s == '-';
	uint64_t sec = 0;
	long nsec = 0, unit = 100000000;

	s += negative;
	if (*s < '0' || *s > '9')
		return -1;
	for (; *s >= '0' && *s <= '9'; s++)
		if (__builtin_mul_overflow(sec, (uint64_t)10, &sec) ||
		    __builtin_add_overflow(sec, (uint64_t)(*s - '0'), &sec) || sec > INT64_MAX / 2)
			return -1;
	if (*s == '.')
		for (s++; *s >= '0' && *s <= '9'; s++, unit /= 10)
			nsec += (*s - '0') * unit;
	if (*s)
		return -1;
	ret->tv_sec = negative ? -(int64_t)sec - (nsec > 0) : (int64_t)sec;
	ret->tv_nsec = negative && nsec ? 1000000000 - nsec : nsec;
	return 0;
}

static int add_xattr(struct tar *t, const char *name, const char *value, size_t len, struct err *e)
{
	struct tar_entry *n = &t->entry;

	if (n->n_xattrs == TAR_XATTRS_MAX)
		return bad(t, e, "too many extended attributes");
	if (!*name || strlen(name) > 255)
		return bad(t, e, "extended attribute with a wrong name");
	if (!n->xattrs)
		n->xattrs = arena_array(t->arena, TAR_XATTRS_MAX, sizeof *n->xattrs);
	n->xattrs[n->n_xattrs++] = (struct tar_xattr){ name, value, len };
	return 0;
}

static int pax_record(struct tar *t, const char *key, const char *value, size_t len, struct err *e)
{
	static const char xattr[] = "SCHILY.xattr.";
	struct oversize *p = &t->pax;

	if (strncmp(key, xattr, sizeof xattr - 1) == 0)
		return add_xattr(t, key + sizeof xattr - 1, value, len, e);
	if (strncmp(key, "GNU.sparse.", 11) == 0)
		return bad(t, e, "sparse files are not supported");
	if (strlen(value) != len)
		return bad(t, e, "NUL byte in a pax record");
	if (strcmp(key, "path") == 0) {
		t->long_name = value;
	} else if (strcmp(key, "linkpath") == 0) {
		t->long_link = value;
	} else if (strcmp(key, "size") == 0) {
		p->has_size = true;
		if (num_u64(value, &p->size) < 0 || p->size > INT64_MAX)
			return bad(t, e, "pax size out of range");
	} else if (strcmp(key, "uid") == 0) {
		p->has_uid = true;
		if (num_id(value, &p->uid) < 0)
			return bad(t, e, "pax uid out of range");
	} else if (strcmp(key, "gid") == 0) {
		p->has_gid = true;
		if (num_id(value, &p->gid) < 0)
			return bad(t, e, "pax gid out of range");
	} else if (strcmp(key, "mtime") == 0) {
		p->has_mtime = true;
		if (pax_time(value, &p->mtime) < 0)
			return bad(t, e, "pax mtime out of range");
	}
	return 0; /* atime, ctime, uname, comments: nothing a container sees */
}

/* Records "LEN KEY=VALUE\n", LEN counting all of it. text is writable and terminated. */
static int pax_records(struct tar *t, char *s, size_t n, struct err *e)
{
	while (n) {
		size_t digits = strspn(s, "0123456789"), len = 0;

		if (digits == 0 || digits > 7 || s[digits] != ' ')
			return bad(t, e, "malformed pax record");
		for (size_t i = 0; i < digits; i++)
			len = len * 10 + (size_t)(s[i] - '0');
		if (len > n || len < digits + 4 || s[len - 1] != '\n')
			return bad(t, e, "malformed pax record");

		char *key = s + digits + 1, *equals = memchr(key, '=', len - digits - 2);
		if (!equals || equals == key)
			return bad(t, e, "malformed pax record");
		*equals = 0;
		s[len - 1] = 0;
		if (pax_record(t, key, equals + 1, (size_t)(s + len - 1 - (equals + 1)), e) < 0)
			return -1;
		s += len;
		n -= len;
	}
	return 0;
}

/* The body of an extended header, terminated, and the padding behind it. */
static int body(struct tar *t, const unsigned char *h, char **ret, size_t *ret_len, struct err *e)
{
	uint64_t size;

	if (ranged(t, h, SIZE, TAR_PAX_MAX, "extended header is too long", &size, e) < 0)
		return -1;
	*ret = arena_alloc(t->arena, (size_t)size + 1);
	*ret_len = (size_t)size;
	if (take(t, *ret, (size_t)size, false, NULL, e) < 0)
		return -1;
	return skip(t, -size & (BLOCK - 1), e);
}

/* 1 when h was an extended header and has been taken in. */
static int extended(struct tar *t, const unsigned char *h, struct err *e)
{
	char type = (char)h[TYPE_AT], *s;
	size_t n;

	if (!type || !strchr("xgLK", type))
		return 0;
	if (body(t, h, &s, &n, e) < 0)
		return -1;
	if (type == 'x' && pax_records(t, s, n, e) < 0)
		return -1;
	if (type == 'L')
		t->long_name = s;
	if (type == 'K')
		t->long_link = s;
	return 1; /* 'g' is for all that follow: nothing in it concerns a layer */
}

/* --- entries --------------------------------------------------------------------------------- */

static int type_of(struct tar *t, char flag, const char *name, enum tar_type *ret, struct err *e)
{
	size_t n = strlen(name);

	switch (flag) {
	case 0:
	case '0':
	case '7':
		/* before POSIX a folder was a file with a slash behind its name */
		*ret = n && name[n - 1] == '/' ? TAR_DIR : TAR_FILE;
		return 0;
	case '1':
		*ret = TAR_HARDLINK;
		return 0;
	case '2':
		*ret = TAR_SYMLINK;
		return 0;
	case '3':
		*ret = TAR_CHAR;
		return 0;
	case '4':
		*ret = TAR_BLOCK;
		return 0;
	case '5':
		*ret = TAR_DIR;
		return 0;
	case '6':
		*ret = TAR_FIFO;
		return 0;
	case 'S':
		return bad(t, e, "sparse files are not supported");
	default:
		return bad(t, e, "unknown entry type");
	}
}

static int entry(struct tar *t, const unsigned char *h, struct err *e)
{
	struct tar_entry *n = &t->entry;
	uint64_t mode, uid, gid, major = 0, minor = 0, size;
	int64_t mtime;

	n->name = full_name(t, h);
	n->link = t->long_link ? t->long_link : text(t, h, LINK);
	if (!*n->name || strlen(n->name) >= TAR_NAME_MAX || strlen(n->link) >= TAR_NAME_MAX)
		return bad(t, e, "name is empty or too long");
	if (type_of(t, (char)h[TYPE_AT], n->name, &n->type, e) < 0 ||
	    ranged(t, h, MODE, INT64_MAX, "mode", &mode, e) < 0 ||
	    ranged(t, h, UID, t->pax.has_uid ? INT64_MAX : UINT32_MAX - 1, "uid out of range", &uid,
		   e) < 0 ||
	    ranged(t, h, GID, t->pax.has_gid ? INT64_MAX : UINT32_MAX - 1, "gid out of range", &gid,
		   e) < 0 ||
	    ranged(t, h, SIZE, INT64_MAX, "size", &size, e) < 0)
		return -1;
	if (number(h, MTIME, &mtime) < 0)
		return bad(t, e, "mtime");
	if ((n->type == TAR_CHAR || n->type == TAR_BLOCK) &&
	    (ranged(t, h, MAJOR, (1 << 12) - 1, "device number out of range", &major, e) < 0 ||
	     ranged(t, h, MINOR, (1 << 20) - 1, "device number out of range", &minor, e) < 0))
		return -1;

	n->mode = (uint32_t)mode & 07777;
	n->uid = t->pax.has_uid ? t->pax.uid : (uint32_t)uid;
	n->gid = t->pax.has_gid ? t->pax.gid : (uint32_t)gid;
	n->major = (uint32_t)major;
	n->minor = (uint32_t)minor;
	n->mtime = t->pax.has_mtime ? t->pax.mtime : (struct timespec){ mtime, 0 };
	size = t->pax.has_size ? t->pax.size : size;
	/* Links and folders have no data, whatever their size says (GNU tar writes the target's).
	 */
	t->data_left = n->size = n->type == TAR_FILE ? size : 0;
	t->padding = -n->size & (BLOCK - 1);
	return 0;
}

static void forget(struct tar *t)
{
	arena_free(t->arena);
	t->arena = arena_new();
	t->entry = (struct tar_entry){ 0 };
	t->long_name = t->long_link = NULL;
	t->pax = (struct oversize){ 0 };
}

int tar_next(struct tar *t, const struct tar_entry **ret, struct err *e)
{
	unsigned char h[BLOCK];
	int headers = 0;

	if (t->ended)
		return 0;
	if (skip(t, t->data_left + t->padding, e) < 0)
		return -1;
	t->data_left = t->padding = 0;
	forget(t);
	for (;;) {
		bool end = false;

		if (take(t, h, sizeof h, true, &end, e) < 0)
			return -1;
		if (end || is_zero(h)) {
			if (headers)
				return bad(t, e, "extended header without an entry");
			t->ended = true;
			return 0;
		}
		if (!checksum_fits(h))
			return bad(t, e, "checksum does not fit: not a tar archive?");
		int r = extended(t, h, e);
		if (r < 0)
			return -1;
		if (r == 0)
			break;
		if (++headers > 8)
			return bad(t, e, "too many extended headers");
	}
	if (entry(t, h, e) < 0)
		return -1;
	*ret = &t->entry;
	return 1;
}

ssize_t tar_data(struct tar *t, void *buf, size_t n, struct err *e)
{
	if (n > t->data_left)
		n = (size_t)t->data_left;
	if (n > (1 << 20))
		n = 1 << 20;
	if (n && take(t, buf, n, false, NULL, e) < 0)
		return -1;
	t->data_left -= n;
	return (ssize_t)n;
}
