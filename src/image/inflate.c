#include "image/inflate.h"

#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <isa-l/igzip_lib.h>
#include <stdbool.h>
#include <string.h>
#include <zstd.h>

enum { INPUT = 256 * 1024, ZSTD_WINDOW_LOG = 27 };

struct inflate {
	inflate_source_fn *source;
	void *arg;
	int fd; /* of the source that inflate_new() makes */
	enum inflate_kind kind;
	bool eof, in_member, started;
	uint8_t *in;
	size_t at, end; /* unread input */
	struct inflate_state *gzip;
	ZSTD_DStream *zstd;
};

int inflate_kind_of(const char *media_type, enum inflate_kind *ret, struct err *e)
{
	static const struct {
		const char *type;
		enum inflate_kind kind;
	} types[] = {
		{ "", INFLATE_GUESS },
		{ "application/vnd.oci.image.layer.v1.tar", INFLATE_PLAIN },
		{ "application/vnd.oci.image.layer.v1.tar+gzip", INFLATE_GZIP },
		{ "application/vnd.oci.image.layer.v1.tar+zstd", INFLATE_ZSTD },
		{ "application/vnd.oci.image.layer.nondistributable.v1.tar", INFLATE_PLAIN },
		{ "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", INFLATE_GZIP },
		{ "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", INFLATE_ZSTD },
		/* Docker's own name says nothing: archives of `docker save` are not compressed */
		{ "application/vnd.docker.image.rootfs.diff.tar", INFLATE_GUESS },
		{ "application/vnd.docker.image.rootfs.diff.tar.gzip", INFLATE_GUESS },
		{ "application/vnd.docker.image.rootfs.diff.tar.zstd", INFLATE_ZSTD },
		{ "application/vnd.docker.image.rootfs.foreign.diff.tar", INFLATE_GUESS },
		{ "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", INFLATE_GUESS },
	};

	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (strcmp(types[i].type, media_type) == 0) {
			*ret = types[i].kind;
			return 0;
		}
	return err_set(e, ERR_UNIMPLEMENTED, "currently unsupported layer media type %s",
		       media_type);
}

static ssize_t read_file(void *arg, void *buf, size_t n, struct err *e)
{
	const struct inflate *z = arg;

	for (;;) {
		ssize_t r = read(z->fd, buf, n);

		if (r < 0 && errno == EINTR)
			continue;
		return r < 0 ? err_sys(e, errno, "read layer") : r;
	}
}

struct inflate *inflate_new_from(inflate_source_fn *source, void *arg, enum inflate_kind kind)
{
	struct inflate *z = NEW(struct inflate);

	z->source = source;
	z->arg = arg;
	z->kind = kind;
	z->in = xmalloc(INPUT);
	return z;
}

struct inflate *inflate_new(int fd, enum inflate_kind kind)
{
	struct inflate *z = inflate_new_from(read_file, NULL, kind);

	z->arg = z;
	z->fd = fd;
	return z;
}

void inflate_free(struct inflate *z)
{
	if (!z)
		return;
	free(z->gzip);
	ZSTD_freeDStream(z->zstd);
	free(z->in);
	free(z);
}

/* Some unread input, or eof. */
static int fill(struct inflate *z, struct err *e)
{
	if (z->at < z->end || z->eof)
		return 0;
	ssize_t r = z->source(z->arg, z->in, INPUT, e);
	if (r < 0)
		return -1;
	z->at = 0;
	z->end = (size_t)r;
	z->eof = r == 0;
	return 0;
}

static int guess(struct inflate *z, struct err *e)
{
	static const uint8_t gzip[] = { 0x1f, 0x8b }, zstd[] = { 0x28, 0xb5, 0x2f, 0xfd };

	if (fill(z, e) < 0)
		return -1;
	size_t n = z->end - z->at;
	if (n >= sizeof gzip && memcmp(z->in + z->at, gzip, sizeof gzip) == 0)
		z->kind = INFLATE_GZIP;
	else if (n >= sizeof zstd && memcmp(z->in + z->at, zstd, sizeof zstd) == 0)
		z->kind = INFLATE_ZSTD;
	else
		z->kind = INFLATE_PLAIN;
	return 0;
}

static int start(struct inflate *z, struct err *e)
{
	if (z->kind == INFLATE_GUESS && guess(z, e) < 0)
		return -1;
	if (z->kind == INFLATE_GZIP)
		z->gzip = NEW(struct inflate_state);
	if (z->kind == INFLATE_ZSTD) {
		z->zstd = ZSTD_createDStream();
		if (!z->zstd)
			BUG("ZSTD_createDStream");
		(void)ZSTD_DCtx_setParameter(z->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG);
	}
	z->started = true;
	return 0;
}

static int truncated(struct err *e)
{
	return err_set(e, ERR_INVALID_ARGUMENT, "layer ends in the middle: unexpected EOF");
}

static ssize_t read_plain(struct inflate *z, void *buf, size_t n, struct err *e)
{
	if (fill(z, e) < 0)
		return -1;

	size_t have = z->end - z->at;
	if (n > have)
		n = have;
	memcpy(buf, z->in + z->at, n);
	z->at += n;
	return (ssize_t)n;
}

static ssize_t read_gzip(struct inflate *z, void *buf, size_t n, struct err *e)
{
	struct inflate_state *s = z->gzip;

	for (;;) {
		if (fill(z, e) < 0)
			return -1;
		if (!z->in_member) {
			if (z->eof)
				return 0; /* between members: a whole stream */
			isal_inflate_init(s);
			s->crc_flag = ISAL_GZIP; /* header read, checksum and length compared */
			z->in_member = true;
		}
		if (z->eof)
			return truncated(e);
		s->next_in = z->in + z->at;
		s->avail_in = (uint32_t)(z->end - z->at);
		s->next_out = buf;
		s->avail_out = (uint32_t)n;
		int r = isal_inflate(s);
		z->at = z->end - s->avail_in;
		if (r != ISAL_DECOMP_OK && r != ISAL_END_INPUT && r != ISAL_OUT_OVERFLOW)
			return err_set(e, ERR_INVALID_ARGUMENT, "layer is no valid gzip (code %d)",
				       r);
		if (s->block_state == ISAL_BLOCK_FINISH)
			z->in_member = false;
		if (n - s->avail_out)
			return (ssize_t)(n - s->avail_out);
	}
}

static ssize_t read_zstd(struct inflate *z, void *buf, size_t n, struct err *e)
{
	ZSTD_outBuffer out = { buf, n, 0 };

	for (;;) {
		if (fill(z, e) < 0)
			return -1;
		if (z->eof)
			return z->in_member ? truncated(e) : 0;
		ZSTD_inBuffer in = { z->in + z->at, z->end - z->at, 0 };
		size_t r = ZSTD_decompressStream(z->zstd, &out, &in);
		z->at += in.pos;
		if (ZSTD_isError(r))
			return err_set(e, ERR_INVALID_ARGUMENT, "layer is no valid zstd: %s",
				       ZSTD_getErrorName(r));
		z->in_member = r != 0;
		if (out.pos)
			return (ssize_t)out.pos;
	}
}

ssize_t inflate_read(struct inflate *z, void *buf, size_t n, struct err *e)
{
	if (!z->started && start(z, e) < 0)
		return -1;
	if (n > INPUT)
		n = INPUT;
	switch (z->kind) {
	case INFLATE_GZIP:
		return read_gzip(z, buf, n, e);
	case INFLATE_ZSTD:
		return read_zstd(z, buf, n, e);
	case INFLATE_PLAIN:
	case INFLATE_GUESS:
		break;
	}
	return read_plain(z, buf, n, e);
}
