#include "image/deflate.h"

#include "base/mem.h"
#include "os/fd.h"

#include <isa-l/igzip_lib.h>
#include <stdbool.h>
#include <string.h>
#include <zstd.h>

enum { OUTPUT = 256 * 1024, GZIP_LEVEL = 2, ZSTD_LEVEL = 3 };

struct deflate {
	int fd;
	enum inflate_kind kind;
	uint64_t written;
	uint8_t *out;
	struct isal_zstream *gzip;
	ZSTD_CCtx *zstd;
};

struct deflate *deflate_new(int fd, enum inflate_kind kind)
{
	struct deflate *z = NEW(struct deflate);

	z->fd = fd;
	z->kind = kind;
	z->out = xmalloc(OUTPUT);
	if (kind == INFLATE_GZIP) {
		z->gzip = NEW(struct isal_zstream);
		isal_deflate_init(z->gzip);
		z->gzip->level = GZIP_LEVEL;
		z->gzip->level_buf_size = ISAL_DEF_LVL2_DEFAULT;
		z->gzip->level_buf = xmalloc(ISAL_DEF_LVL2_DEFAULT);
		z->gzip->gzip_flag = IGZIP_GZIP;
	}
	if (kind == INFLATE_ZSTD) {
		z->zstd = ZSTD_createCCtx();
		if (!z->zstd)
			BUG("no memory for zstd");
		(void)ZSTD_CCtx_setParameter(z->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL);
		(void)ZSTD_CCtx_setParameter(z->zstd, ZSTD_c_checksumFlag, 1);
	}
	return z;
}

void deflate_free(struct deflate *z)
{
	if (!z)
		return;
	if (z->gzip)
		free(z->gzip->level_buf);
	free(z->gzip);
	ZSTD_freeCCtx(z->zstd);
	free(z->out);
	free(z);
}

static int put(struct deflate *z, const void *p, size_t n, struct err *e)
{
	int r = fd_write_all(z->fd, p, n);

	if (r < 0)
		return err_sys(e, -r, "write layer");
	z->written += n;
	return 0;
}

static int write_gzip(struct deflate *z, const void *p, size_t n, bool is_last, struct err *e)
{
	struct isal_zstream *s = z->gzip;
	static const uint8_t nothing;

	s->next_in = n ? (uint8_t *)p : (uint8_t *)&nothing; /* only read */
	s->avail_in = (uint32_t)n;
	s->end_of_stream = is_last;
	do {
		s->next_out = z->out;
		s->avail_out = OUTPUT;
		int r = isal_deflate(s);

		if (r != COMP_OK)
			return err_set(e, ERR_INTERNAL, "gzip: error %d", r);
		if (put(z, z->out, OUTPUT - s->avail_out, e) < 0)
			return -1;
	} while (s->avail_out == 0 || s->avail_in);
	return 0;
}

static int write_zstd(struct deflate *z, const void *p, size_t n, ZSTD_EndDirective end,
		      struct err *e)
{
	ZSTD_inBuffer in = { p, n, 0 };
	size_t left;

	do {
		ZSTD_outBuffer out = { z->out, OUTPUT, 0 };

		left = ZSTD_compressStream2(z->zstd, &out, &in, end);
		if (ZSTD_isError(left))
			return err_set(e, ERR_INTERNAL, "zstd: %s", ZSTD_getErrorName(left));
		if (put(z, z->out, out.pos, e) < 0)
			return -1;
	} while (end == ZSTD_e_end ? left != 0 : in.pos < in.size);
	return 0;
}

int deflate_write(struct deflate *z, const void *p, size_t n, struct err *e)
{
	enum { STEP = 1 << 30 }; /* ISA-L counts in 32 bits */

	if (z->kind == INFLATE_ZSTD)
		return write_zstd(z, p, n, ZSTD_e_continue, e);
	if (z->kind != INFLATE_GZIP)
		return put(z, p, n, e);
	for (size_t at = 0; at < n; at += STEP)
		if (write_gzip(z, (const uint8_t *)p + at, n - at < STEP ? n - at : STEP, false,
			       e) < 0)
			return -1;
	return 0;
}

int deflate_end(struct deflate *z, uint64_t *ret_size, struct err *e)
{
	if (z->kind == INFLATE_ZSTD && write_zstd(z, NULL, 0, ZSTD_e_end, e) < 0)
		return -1;
	if (z->kind == INFLATE_GZIP && write_gzip(z, NULL, 0, true, e) < 0)
		return -1;
	*ret_size = z->written;
	return 0;
}
