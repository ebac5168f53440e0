/* malloc() for a program that runs for milliseconds and has one thread: runc.
 *
 * musl's gives each size its own pages, gets them from the kernel one by one and gives them back as
 * soon as they are empty: for one container's start some fifty calls and a hundred page faults.
 * This one cuts pieces from chunks and keeps what is freed, by size, for the next of that size.
 * What is large has a mapping of its own.  The tag before each piece ends a program that frees
 * something twice or something that it was not given. */
#include <errno.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
	UNIT = 16, /* sizes, with their tag, are multiples of this up to SMALL, then powers of two
		    */
	SMALL = 1024,
	LARGE = 64 << 10,
	CLASSES = SMALL / UNIT + 6 + 1, /* 2 KiB to 64 KiB are six */
	CHUNK = 128 << 10,
	PAGE = 4096
};

struct tag {
	size_t size; /* of the whole piece, tag included */
	uint32_t klass; /* CLASSES: a mapping of its own */
	uint32_t state;
};

enum { USED = 0x5ca1ab1e, FREE = 0x0ddba115 };

struct piece {
	alignas(UNIT) struct tag tag;
	struct piece *next; /* while it is free; else the first bytes of the user's */
};

static struct piece *kept[CLASSES];
static char *at, *end; /* what is left of the chunk: never used, so zero */

static size_t size_of(size_t n, uint32_t *ret_klass)
{
	size_t size = SMALL * 2;

	n = n < UNIT ? 2 * UNIT : (n + sizeof(struct tag) + UNIT - 1) & ~(size_t)(UNIT - 1);
	if (n <= SMALL) {
		*ret_klass = (uint32_t)(n / UNIT);
		return n;
	}
	*ret_klass = SMALL / UNIT + 1;
	for (; size < n; size *= 2)
		++*ret_klass;
	return size;
}

static void *map(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static size_t whole_pages(size_t n)
{
	return (n + sizeof(struct tag) + PAGE - 1) & ~(size_t)(PAGE - 1);
}

static struct piece *large(size_t n)
{
	struct piece *p = map(whole_pages(n));

	if (p)
		p->tag = (struct tag){ whole_pages(n), CLASSES, USED };
	return p;
}

static struct piece *cut(size_t size, uint32_t klass)
{
	if ((size_t)(end - at) < size) {
		char *chunk = map(CHUNK);

		if (!chunk)
			return NULL;
		at = chunk; /* the rest of the old one stays unused */
		end = chunk + CHUNK;
	}
	struct piece *p = (struct piece *)(void *)at;
	at += size;
	p->tag = (struct tag){ size, klass, USED };
	return p;
}

static struct piece *get(size_t n, size_t *ret_dirty)
{
	uint32_t klass;

	*ret_dirty = 0;
	if (n > PTRDIFF_MAX - PAGE) {
		errno = ENOMEM;
		return NULL;
	}
	if (n > LARGE - sizeof(struct tag))
		return large(n);
	size_t size = size_of(n, &klass);
	struct piece *p = kept[klass];
	if (!p)
		return cut(size, klass);
	kept[klass] = p->next;
	p->tag.state = USED;
	*ret_dirty = n;
	return p;
}

static struct piece *piece_of(void *p)
{
	struct piece *piece = (struct piece *)(void *)((char *)p - sizeof(struct tag));

	if (piece->tag.state != USED)
		abort();
	return piece;
}

static void *body(struct piece *p)
{
	return p ? &p->next : NULL;
}

void *malloc(size_t n)
{
	size_t dirty;

	return body(get(n, &dirty));
}

void *calloc(size_t n, size_t size)
{
	size_t bytes, dirty;

	if (__builtin_mul_overflow(n, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	void *p = body(get(bytes, &dirty));
	if (p && dirty)
		memset(p, 0, dirty);
	return p;
}

void free(void *p)
{
	if (!p)
		return;
	struct piece *piece = piece_of(p);
	if (piece->tag.klass == CLASSES) {
		int before = errno;

		(void)munmap(piece, piece->tag.size); /* what can't be given back stays */
		errno = before;
		return;
	}
	piece->tag.state = FREE;
	piece->next = kept[piece->tag.klass];
	kept[piece->tag.klass] = piece;
}

/* The last piece of the chunk grows where it is: texts that are built grow often. */
static int grow_here(struct piece *p, size_t n)
{
	uint32_t klass;
	size_t size = size_of(n, &klass);

	if ((char *)p + p->tag.size != at || size - p->tag.size > (size_t)(end - at))
		return 0;
	at += size - p->tag.size;
	p->tag.size = size;
	p->tag.klass = klass;
	return 1;
}

void *realloc(void *old, size_t n)
{
	if (!old)
		return malloc(n);
	struct piece *p = piece_of(old);
	size_t room = p->tag.size - sizeof(struct tag);
	if (n <= room && p->tag.klass != CLASSES)
		return old;
	if (p->tag.klass == CLASSES && n > LARGE && n <= PTRDIFF_MAX - PAGE) {
		p = mremap(p, p->tag.size, whole_pages(n), MREMAP_MAYMOVE);
		if (p == MAP_FAILED)
			return NULL;
		p->tag.size = whole_pages(n);
		return body(p);
	}
	if (p->tag.klass != CLASSES && n <= LARGE - sizeof(struct tag) && grow_here(p, n))
		return old;
	void *new = malloc(n);
	if (!new)
		return NULL;
	memcpy(new, old, n < room ? n : room);
	free(old);
	return new;
}
