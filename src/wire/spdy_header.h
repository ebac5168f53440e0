/* SPDY/3's header blocks: pairs of names and values, packed by zlib with the dictionary of the
 * specification, one stream of it a direction for the whole session. */
#pragma once

#include "base/macros.h"

#include <stdbool.h>

struct str;
struct spdy_header_in;
struct spdy_header_out;

struct spdy_header_in *spdy_header_in_new(void);
void spdy_header_in_free(struct spdy_header_in *h); /* NULL is fine */

/* Unpacks one block and takes it apart; NULL, or what is wrong with it: the session can not go on
 * then.  *ret_bad: the block is whole and one header is not what it must be. */
const char *spdy_header_read(struct spdy_header_in *h, const uint8_t *block, size_t n,
			     bool *ret_bad);
const char *spdy_header_get(const struct spdy_header_in *h, const char *name);

struct spdy_header_out *spdy_header_out_new(void);
void spdy_header_out_free(struct spdy_header_out *h); /* NULL is fine */
/* A block without a pair, packed, behind what is in out. */
void spdy_header_none(struct spdy_header_out *h, struct str *out);
