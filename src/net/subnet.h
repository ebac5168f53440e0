/* Addresses and networks of both families, as numbers. Pure. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ADDRESS_TEXT = 46 };

struct address {
	int family; /* AF_INET, AF_INET6 */
	uint8_t b[16]; /* 4 or 16 of them, most significant first */
};
static inline size_t address_size(const struct address *a)
{
	return a->family == 2 /* AF_INET */ ? 4 : 16;
}

struct subnet {
	struct address net; /* host bits are 0 */
	unsigned prefix;
};

int address_parse(const char *text, struct address *ret); /* 0 or -EINVAL */
void address_text(const struct address *a, char ret[ADDRESS_TEXT]);
bool address_same(const struct address *a, const struct address *b);
void address_next(struct address *a); /* wraps around */

/* "10.88.0.0/16"; host bits are cleared. */
int subnet_parse(const char *text, struct subnet *ret, struct err *e);
bool subnet_has(const struct subnet *s, const struct address *a);
bool subnet_overlaps(const struct subnet *a, const struct subnet *b);
/* Neither the network's own address nor (IPv4) the broadcast. */
bool subnet_is_host(const struct subnet *s, const struct address *a);
struct address subnet_first(const struct subnet *s); /* the gateway, unless one is chosen */
