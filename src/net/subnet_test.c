#include "net/subnet.h"

#include "base/test.h"

static struct subnet net(const char *text)
{
	struct subnet s;
	struct err e = { 0 };

	CHECK_OK(subnet_parse(text, &s, &e), &e);
	return s;
}

static struct address at(const char *text)
{
	struct address a;

	CHECK(address_parse(text, &a) == 0);
	return a;
}

static void is_text(const struct address *a, const char *want)
{
	char text[ADDRESS_TEXT];

	address_text(a, text);
	CHECK_STR(text, want);
}

TEST(parts)
{
	struct subnet a = net("10.1.2.3/20"), b = net("fd00::1:2/112"), c = net("10.1.2.3/32");
	struct address first = subnet_first(&a), carry = at("10.0.255.255");

	is_text(&a.net, "10.1.0.0");
	is_text(&b.net, "fd00::1:0");
	is_text(&c.net, "10.1.2.3");
	is_text(&first, "10.1.0.1");
	address_next(&carry);
	is_text(&carry, "10.1.0.0");
}

TEST(inside)
{
	struct subnet s = net("10.1.2.0/23"), six = net("fd00::/64");
	static const struct {
		const char *a;
		bool has, is_host;
	} rows[] = { { "10.1.2.0", true, false },  { "10.1.2.1", true, true },
		     { "10.1.3.254", true, true }, { "10.1.3.255", true, false },
		     { "10.1.4.0", false, false }, { "::1", false, false } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct address a = at(rows[i].a);

		CHECK(subnet_has(&s, &a) == rows[i].has);
		CHECK(subnet_is_host(&s, &a) == rows[i].is_host);
	}
	struct address last = at("fd00::ffff:ffff:ffff:ffff"), none = at("fd00::");

	CHECK(subnet_is_host(&six, &last) && !subnet_is_host(&six, &none));
}

TEST(overlaps)
{
	struct subnet a = net("10.0.0.0/8"), b = net("10.88.0.0/16"), c = net("11.0.0.0/8"),
		      d = net("0.0.0.0/0");

	CHECK(subnet_overlaps(&a, &b) && subnet_overlaps(&b, &a) && !subnet_overlaps(&b, &c));
	CHECK(subnet_overlaps(&d, &b));
}

TEST(what_is_none)
{
	static const char *const rows[] = { "",         "10.0.0.0",  "10.0.0.0/33", "fd00::/129",
					    "10.0.0/8", "10.0.0.0/", "x/8" };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct subnet s;
		struct err e = { 0 };

		CHECK_FAIL(subnet_parse(rows[i], &s, &e), &e, ERR_INVALID_ARGUMENT);
	}
}
