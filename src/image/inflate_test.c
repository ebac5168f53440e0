#include "image/inflate.h"

#include "base/str.h"
#include "base/test.h"
#include "os/fd.h"

#include <fcntl.h>

/* "hello " fifty times */
static const unsigned char gzip[] = { 0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03,
				      0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x57, 0xc8, 0x18, 0x25, 0x89,
				      0x20, 0x01, 0xc1, 0x48, 0x42, 0x59, 0x2c, 0x01, 0x00, 0x00 };
enum { TEXT = 300 };

static int pipe_of(const void *p, size_t n, size_t times, const void *tail, size_t tail_n)
{
	int fds[2];

	CHECK(pipe2(fds, O_CLOEXEC) == 0);
	for (size_t i = 0; i < times; i++)
		CHECK(fd_write_all(fds[1], p, n) == 0);
	CHECK(fd_write_all(fds[1], tail, tail_n) == 0);
	close(fds[1]);
	return fds[0];
}

/* All of it, in small reads: the count, or -1. */
static ssize_t drain(int fd, enum inflate_kind kind, struct err *e)
{
	struct inflate *z = inflate_new(fd, kind);
	char buf[7];
	ssize_t total = 0, r;

	while ((r = inflate_read(z, buf, sizeof buf, e)) > 0)
		total += r;
	inflate_free(z);
	close(fd);
	return r < 0 ? -1 : total;
}

TEST(gzip_members_follow_each_other)
{
	struct err e = { 0 };

	CHECK(drain(pipe_of(gzip, sizeof gzip, 1, "", 0), INFLATE_GZIP, &e) == TEXT);
	CHECK(drain(pipe_of(gzip, sizeof gzip, 3, "", 0), INFLATE_GUESS, &e) == 3 * TEXT);
}

TEST(cut_gzip_is_no_short_layer)
{
	for (size_t cut = 1; cut < sizeof gzip; cut++) {
		struct err e = { 0 };

		CHECK(drain(pipe_of(gzip, cut, 1, "", 0), INFLATE_GZIP, &e) == -1);
		CHECK(e.code == ERR_INVALID_ARGUMENT);
	}
}

TEST(damaged_gzip_is_refused)
{
	unsigned char bad[sizeof gzip];
	struct err e = { 0 }, e2 = { 0 };

	memcpy(bad, gzip, sizeof bad);
	bad[sizeof bad - 6] ^= 1; /* in the checksum */
	CHECK(drain(pipe_of(bad, sizeof bad, 1, "", 0), INFLATE_GZIP, &e) == -1);
	CHECK(drain(pipe_of(gzip, sizeof gzip, 1, "junk behind it", 14), INFLATE_GZIP, &e2) == -1);
}

TEST(plain_bytes_pass)
{
	struct err e = { 0 };

	CHECK(drain(pipe_of("just text", 9, 1, "", 0), INFLATE_GUESS, &e) == 9);
}

TEST(media_types_name_the_compression)
{
	enum inflate_kind k;
	struct err e = { 0 };

	CHECK_OK(inflate_kind_of("application/vnd.oci.image.layer.v1.tar+zstd", &k, &e), &e);
	CHECK(k == INFLATE_ZSTD);
	CHECK_FAIL(inflate_kind_of("text/html", &k, &e), &e, ERR_UNIMPLEMENTED);
}
