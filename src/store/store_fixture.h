/* For tests of this folder: a store in a new temporary directory. */
#pragma once

#include "base/test.h"
#include "os/file.h"
#include "store/store.h"

#include <fcntl.h>
#include <unistd.h>

struct fixture {
	char root[64];
	struct store *s;
	struct arena *a;
};

static inline void fixture_reopen(struct fixture *f)
{
	struct err e = { 0 };

	store_close(f->s);
	f->s = NULL;
	CHECK_OK(store_open(f->root, &f->s, &e), &e);
}

static inline struct fixture fixture_open(void)
{
	struct fixture f = { .root = "/tmp/casco-store-XXXXXX", .a = arena_new() };

	CHECK(mkdtemp(f.root));
	fixture_reopen(&f);
	return f;
}

static inline void fixture_close(struct fixture *f)
{
	store_close(f->s);
	arena_free(f->a);
	CHECK(file_remove_tree(AT_FDCWD, f->root) == 0);
}
#define AUTO_FIXTURE CLEANUP(fixture_close)

/* Fails with this code and this whole sentence; e (a pointer) is usable again. */
#define CHECK_ERR(call, e, want, text)                           \
	do {                                                     \
		char buf_[1100];                                 \
		CHECK_FAIL(call, e, want);                       \
		CHECK_STR(err_text(e, buf_, sizeof buf_), text); \
		err_clear(e);                                    \
	} while (0)
