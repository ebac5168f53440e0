#include "image/tar.h"

#include "base/test.h"
#include "image/tar_build.h"

struct bytes {
	const char *p;
	size_t n;
};

static ssize_t feed(void *arg, void *buf, size_t n, UNUSED struct err *e)
{
	struct bytes *b = arg;

	if (n > 7)
		n = 7; /* short reads are normal */
	if (n > b->n)
		n = b->n;
	memcpy(buf, b->p, n);
	b->p += n;
	b->n -= n;
	return (ssize_t)n;
}

TEST(entries_come_with_their_data)
{
	AUTO_STR struct str s = STR_INIT(1 << 20);
	const struct tar_entry *n;
	struct err e = { 0 };
	char buf[32] = "";

	tar_add(&s, "d/", '5', NULL, NULL);
	tar_add_pax(&s, "path", "a/very/long/name");
	tar_add(&s, "short", '0', NULL, "hello");
	tar_add(&s, "l", '2', "d", NULL);
	tar_end(&s);
	struct bytes b = { s.ptr, s.len };
	struct tar *t = tar_new(feed, &b);

	CHECK(tar_next(t, &n, &e) == 1 && n->type == TAR_DIR);
	CHECK_STR(n->name, "d/");
	CHECK(tar_next(t, &n, &e) == 1 && n->type == TAR_FILE && n->size == 5);
	CHECK_STR(n->name, "a/very/long/name");
	CHECK(tar_data(t, buf, sizeof buf, &e) == 5 && tar_data(t, buf + 8, 8, &e) == 0);
	CHECK_STR(buf, "hello");
	CHECK(tar_next(t, &n, &e) == 1 && n->type == TAR_SYMLINK);
	CHECK_STR(n->link, "d");
	CHECK(tar_next(t, &n, &e) == 0 && tar_next(t, &n, &e) == 0);
	tar_free(t);
}

/* All entries read through; the sentence of the failure. */
static void check_bad(struct str *s, const char *want)
{
	struct bytes b = { s->ptr, s->len };
	struct tar *t = tar_new(feed, &b);
	const struct tar_entry *n;
	struct err e = { 0 };
	int r;

	while ((r = tar_next(t, &n, &e)) == 1)
		continue;
	CHECK(r == -1 && e.code == ERR_INVALID_ARGUMENT);
	if (!strstr(e.msg, want))
		FAIL_("got \"%s\", want \"%s\"", e.msg, want);
	tar_free(t);
	str_reset(s);
}

TEST(what_is_no_tar_is_said)
{
	AUTO_STR struct str s = STR_INIT(4 << 20);
	char junk[600];

	memset(junk, 'x', sizeof junk);
	str_addn(&s, junk, sizeof junk);
	check_bad(&s, "not a tar archive");

	tar_add(&s, "cut", '0', NULL, "hello");
	s.len -= 300;
	check_bad(&s, "unexpected EOF");

	tar_add(&s, "sparse", 'S', NULL, NULL);
	check_bad(&s, "sparse files are not supported");

	tar_add_pax(&s, "uid", "4294967296");
	tar_add(&s, "f", '0', NULL, NULL);
	check_bad(&s, "pax uid out of range");

	tar_add_full(&s, "pax", 'x', NULL, 0644, "9999 a=b\n", 9);
	check_bad(&s, "malformed pax record");

	tar_add_pax(&s, "path", "nobody");
	tar_end(&s);
	check_bad(&s, "extended header without an entry");

	char *big = calloc(1, TAR_PAX_MAX + 1);
	tar_add_full(&s, "pax", 'L', NULL, 0644, big, TAR_PAX_MAX + 1);
	free(big);
	check_bad(&s, "extended header is too long");

	char name[TAR_NAME_MAX + 1];
	memset(name, 'n', TAR_NAME_MAX);
	tar_add_full(&s, "long", 'L', NULL, 0644, name, TAR_NAME_MAX);
	tar_add(&s, "f", '0', NULL, NULL);
	check_bad(&s, "name is empty or too long");
}

TEST(attributes_are_taken_by_length)
{
	AUTO_STR struct str s = STR_INIT(1 << 20);
	const struct tar_entry *n;
	struct err e = { 0 };

	tar_add_full(&s, "pax", 'x', NULL, 0644, "28 SCHILY.xattr.user.a=\0\1\2\3\n", 28);
	tar_add(&s, "f", '0', NULL, NULL);
	struct bytes b = { s.ptr, s.len };
	struct tar *t = tar_new(feed, &b);

	CHECK_OK(tar_next(t, &n, &e), &e);
	CHECK(n->n_xattrs == 1 && n->xattrs[0].len == 4 &&
	      !memcmp(n->xattrs[0].value, "\0\1\2\3", 4));
	CHECK_STR(n->xattrs[0].name, "user.a");
	tar_free(t);
}
