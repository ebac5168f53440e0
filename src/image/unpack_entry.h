/* What unpack.c does with one entry of a layer: makes it, or hides what is below. */
#pragma once

#include "image/tar.h"
#include "image/unpack.h"

struct unpacker;

struct unpacker *unpacker_new(const struct unpack_dirs *dirs); /* dirs are borrowed */
void unpacker_free(struct unpacker *u);

/* name and link are cleaned: relative, no "..", "" for the root itself. */
int unpack_entry(struct unpacker *u, struct tar *t, const struct tar_entry *n, const char *name,
		 const char *link, struct err *e);

/* name ends in ".wh." + hidden. */
int unpack_whiteout(struct unpacker *u, const char *name, const char *hidden, struct err *e);

/* Last of all: times of folders, which every entry made in them has moved. */
int unpack_finish(struct unpacker *u, struct err *e);
