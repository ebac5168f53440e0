#include "net/subnet.h"

#include "base/mem.h"
#include "base/num.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

int address_parse(const char *text, struct address *ret)
{
	*ret = (struct address){ .family = strchr(text, ':') ? AF_INET6 : AF_INET };
	return inet_pton(ret->family, text, ret->b) == 1 ? 0 : -EINVAL;
}

void address_text(const struct address *a, char ret[ADDRESS_TEXT])
{
	if (!inet_ntop(a->family, a->b, ret, ADDRESS_TEXT))
		BUG("an address without a family");
}

bool address_same(const struct address *a, const struct address *b)
{
	return a->family == b->family && !memcmp(a->b, b->b, address_size(a));
}

void address_next(struct address *a)
{
	for (size_t i = address_size(a); i-- > 0;)
		if (++a->b[i])
			return;
}

/* The mask's byte i. */
static uint8_t mask_byte(unsigned prefix, size_t i)
{
	unsigned from = (unsigned)i * 8;

	if (prefix >= from + 8)
		return 0xff;
	return prefix <= from ? 0 : (uint8_t)(0xff << (from + 8 - prefix));
}

int subnet_parse(const char *text, struct subnet *ret, struct err *e)
{
	AUTO_FREE char *copy = xstrdup(text);
	char *slash = strchr(copy, '/');
	uint32_t prefix;

	if (slash)
		*slash++ = 0;
	if (!slash || address_parse(copy, &ret->net) < 0 || num_u32(slash, &prefix) < 0 ||
	    prefix > address_size(&ret->net) * 8)
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid subnet \"%.100s\"", text);
	ret->prefix = prefix;
	for (size_t i = 0; i < address_size(&ret->net); i++)
		ret->net.b[i] &= mask_byte(prefix, i);
	return 0;
}

static bool is_equal_up_to(const struct address *a, const struct address *b, unsigned prefix)
{
	if (a->family != b->family)
		return false;
	for (size_t i = 0; i < address_size(a); i++)
		if ((a->b[i] ^ b->b[i]) & mask_byte(prefix, i))
			return false;
	return true;
}

bool subnet_has(const struct subnet *s, const struct address *a)
{
	return is_equal_up_to(&s->net, a, s->prefix);
}

bool subnet_overlaps(const struct subnet *a, const struct subnet *b)
{
	return is_equal_up_to(&a->net, &b->net, a->prefix < b->prefix ? a->prefix : b->prefix);
}

bool subnet_is_host(const struct subnet *s, const struct address *a)
{
	bool has_zero = false, has_one = false;

	if (!subnet_has(s, a))
		return false;
	for (size_t i = 0; i < address_size(a); i++) {
		uint8_t host = (uint8_t)~mask_byte(s->prefix, i);

		has_one |= (a->b[i] & host) != 0;
		has_zero |= (a->b[i] & host) != host;
	}
	return has_one && (has_zero || a->family == AF_INET6);
}

struct address subnet_first(const struct subnet *s)
{
	struct address a = s->net;

	address_next(&a);
	return a;
}
