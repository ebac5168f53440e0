#include "image/tar_write.h"

#include "base/mem.h"
#include "base/str.h"

#include <inttypes.h>
#include <string.h>

enum { BLOCK = 512, OCTAL_7 = 07777777 };
static const uint64_t octal_11 = 077777777777;

static const char types[] = {
	[TAR_FILE] = '0',  [TAR_HARDLINK] = '1', [TAR_SYMLINK] = '2', [TAR_CHAR] = '3',
	[TAR_BLOCK] = '4', [TAR_DIR] = '5',      [TAR_FIFO] = '6',
};

/* Layout of a header block (POSIX, "ustar Interchange Format"). */
struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100];
	char magic[6], version[2], uname[32], gname[32], major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a header is one block");

static void octal(char *field, size_t n, uint64_t v)
{
	for (size_t i = n - 1; i-- > 0; v >>= 3)
		field[i] = (char)('0' + (v & 7));
	field[n - 1] = 0;
}

static bool is_plain(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s >= 0x80)
			return false;
	return true;
}

/* One pax record: its length counts its own digits. */
static void add_record(struct str *out, const char *key, const void *value, size_t n)
{
	size_t rest = strlen(key) + n + 3, len = rest + 1;

	for (size_t digits = 1, power = 10; len >= power; power *= 10)
		len = rest + ++digits;
	str_addf(out, "%zu %s=", len, key);
	str_addn(out, value, n);
	str_addc(out, '\n');
}

static void add_number(struct str *out, const char *key, int64_t v)
{
	char text[24];
	int n = snprintf(text, sizeof text, "%" PRId64, v);

	add_record(out, key, text, (size_t)n);
}

/* "dir/file" into prefix and name; false when it does not fit. */
static bool set_name(struct header *h, const char *name)
{
	size_t n = strlen(name);

	if (n <= sizeof h->name) {
		memcpy(h->name, name, n);
		return true;
	}
	if (n > sizeof h->prefix + 1 + sizeof h->name)
		return false;
	for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
		size_t before = (size_t)(slash - name), after = n - before - 1;

		if (before <= sizeof h->prefix && after && after <= sizeof h->name) {
			memcpy(h->prefix, name, before);
			memcpy(h->name, slash + 1, after);
			return true;
		}
	}
	return false;
}

static void finish(struct header *h)
{
	unsigned sum = 0;

	memcpy(h->magic, "ustar", 6);
	memcpy(h->version, "00", 2);
	memset(h->sum, ' ', sizeof h->sum);
	for (size_t i = 0; i < sizeof *h; i++)
		sum += ((const unsigned char *)h)[i];
	octal(h->sum, 7, sum);
}

static int put(struct tar_writer *t, const void *p, size_t n, struct err *e)
{
	return t->write(t->arg, p, n, e);
}

static int pad(struct tar_writer *t, size_t n, struct err *e)
{
	static const char zeros[BLOCK];

	return n ? put(t, zeros, n, e) : 0;
}

static int put_records(struct tar_writer *t, const struct str *records, struct err *e)
{
	struct header h = { .type = 'x' };

	memcpy(h.name, "PaxHeaders.0/x", 14);
	octal(h.mode, sizeof h.mode, 0644);
	octal(h.uid, sizeof h.uid, 0);
	octal(h.gid, sizeof h.gid, 0);
	octal(h.size, sizeof h.size, records->len);
	octal(h.mtime, sizeof h.mtime, 0);
	finish(&h);
	if (put(t, &h, sizeof h, e) < 0 || put(t, records->ptr, records->len, e) < 0)
		return -1;
	return pad(t, -records->len & (BLOCK - 1), e);
}

static void set_numbers(struct header *h, const struct tar_entry *n, struct str *records)
{
	octal(h->mode, sizeof h->mode, n->mode & 07777);
	octal(h->uid, sizeof h->uid, n->uid <= OCTAL_7 ? n->uid : 0);
	octal(h->gid, sizeof h->gid, n->gid <= OCTAL_7 ? n->gid : 0);
	octal(h->size, sizeof h->size, n->type == TAR_FILE && n->size <= octal_11 ? n->size : 0);
	bool is_time = n->mtime.tv_sec >= 0 && (uint64_t)n->mtime.tv_sec <= octal_11;

	octal(h->mtime, sizeof h->mtime, is_time ? (uint64_t)n->mtime.tv_sec : 0);
	if (n->uid > OCTAL_7)
		add_number(records, "uid", n->uid);
	if (n->gid > OCTAL_7)
		add_number(records, "gid", n->gid);
	if (n->type == TAR_FILE && n->size > octal_11)
		add_number(records, "size", (int64_t)n->size);
	if (!is_time)
		add_number(records, "mtime", n->mtime.tv_sec);
	if (n->type == TAR_CHAR || n->type == TAR_BLOCK) {
		octal(h->major, sizeof h->major, n->major);
		octal(h->minor, sizeof h->minor, n->minor);
	}
}

static void add_xattrs(const struct tar_entry *n, struct str *records)
{
	for (size_t i = 0; i < n->n_xattrs; i++) {
		AUTO_FREE char *key = xasprintf("SCHILY.xattr.%s", n->xattrs[i].name);

		add_record(records, key, n->xattrs[i].value, n->xattrs[i].len);
	}
}

int tar_write_entry(struct tar_writer *t, const struct tar_entry *n, struct err *e)
{
	AUTO_STR struct str records = STR_INIT(TAR_PAX_MAX);
	struct header h = { .type = types[n->type] };
	size_t link = n->link ? strlen(n->link) : 0;

	if (t->left)
		BUG("the last entry's data is not complete");
	if ((n->type == TAR_CHAR || n->type == TAR_BLOCK) &&
	    (n->major > OCTAL_7 || n->minor > OCTAL_7))
		return err_set(e, ERR_INVALID_ARGUMENT, "device number of %s is too large for tar",
			       n->name);
	if (!is_plain(n->name) || !set_name(&h, n->name)) {
		memcpy(h.name, "long", 4); /* who knows no pax gets a file of that name */
		add_record(&records, "path", n->name, strlen(n->name));
	}
	if (link > sizeof h.link || (link && !is_plain(n->link)))
		add_record(&records, "linkpath", n->link, link);
	else if (link)
		memcpy(h.link, n->link, link);
	set_numbers(&h, n, &records);
	add_xattrs(n, &records);
	if (records.over)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "attributes of %s exceed %d bytes",
			       n->name, TAR_PAX_MAX);
	if (records.len && put_records(t, &records, e) < 0)
		return -1;
	finish(&h);
	t->left = n->type == TAR_FILE ? n->size : 0;
	t->padding = (unsigned)(-t->left & (BLOCK - 1));
	return put(t, &h, sizeof h, e);
}

int tar_write_data(struct tar_writer *t, const void *p, size_t n, struct err *e)
{
	if (n > t->left)
		BUG("more data than the header says");
	if (put(t, p, n, e) < 0)
		return -1;
	t->left -= n;
	return t->left ? 0 : pad(t, t->padding, e);
}

int tar_write_end(struct tar_writer *t, struct err *e)
{
	return pad(t, BLOCK, e) < 0 ? -1 : pad(t, BLOCK, e);
}
