/* A layer's archive as bytes: headers, extended headers, sizes.  No system calls behind it. */
#include "image/tar.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct bytes {
	const uint8_t *p;
	size_t n;
};

static ssize_t feed(void *arg, void *buf, size_t n, UNUSED struct err *e)
{
	struct bytes *b = arg;

	if (n > b->n)
		n = b->n;
	memcpy(buf, b->p, n);
	b->p += n;
	b->n -= n;
	return (ssize_t)n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct bytes b = { data, n };
	struct tar *t = tar_new(feed, &b);
	const struct tar_entry *entry;
	struct err e = { 0 };
	char buf[512];

	while (tar_next(t, &entry, &e) == 1) {
		if (strlen(entry->name) >= TAR_NAME_MAX || entry->n_xattrs > TAR_XATTRS_MAX)
			__builtin_trap();
		while (tar_data(t, buf, sizeof buf, &e) > 0)
			continue;
		if (e.code)
			break;
	}
	tar_free(t);
	return 0;
}
