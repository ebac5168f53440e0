/* Compressed layers, whatever they are: gzip members, zstd frames, plain. */
#include "image/inflate.h"

#include "base/mem.h"

#include <stdint.h>
#include <string.h>

enum { OUTPUT_MAX = 1 << 22, PIECE = 4096 };

struct input {
	const uint8_t *p;
	size_t n;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* In pieces, so that every header is cut somewhere. */
static ssize_t give(void *arg, void *buf, size_t n, struct err *e)
{
	struct input *in = arg;

	(void)e;
	if (n > 7)
		n = 7;
	if (n > in->n)
		n = in->n;
	memcpy(buf, in->p, n);
	in->p += n;
	in->n -= n;
	return (ssize_t)n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct input in = { data, n };
	struct inflate *z = inflate_new_from(give, &in, INFLATE_GUESS);
	AUTO_FREE char *buf = xmalloc(PIECE);
	struct err e = { 0 };
	size_t all = 0;
	ssize_t r;

	while (all < OUTPUT_MAX && (r = inflate_read(z, buf, PIECE, &e)) > 0)
		all += (size_t)r;
	inflate_free(z);
	return 0;
}
