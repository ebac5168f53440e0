#include "base/regex.h"

#include "base/test.h"

#include <errno.h>
#include <time.h>

static const struct {
	const char *pattern, *text;
	int want; /* 1, 0, or -errno of the compilation */
} rows[] = {
	{ "", "", 1 },
	{ "", "x", 1 },
	{ "bb", "abbc", 1 },
	{ "bb", "abc", 0 },
	{ "^/tasks/", "/tasks/start", 1 },
	{ "^/tasks/", "x/tasks/start", 0 },
	{ "a$", "ba", 1 },
	{ "a$", "ab", 0 },
	{ "^$", "", 1 },
	{ "^a|b$", "xb", 1 },
	{ "^(a|b)$", "xb", 0 },
	{ "^(?:a|b|cd|)$", "cd", 1 },
	{ "^(?:a|b|cd|)$", "", 1 },
	{ "^(?:a|b|cd|)$", "c", 0 },
	{ "a.c", "abc", 1 },
	{ "a.c", "a\nc", 0 },
	{ "(?s)a.c", "a\nc", 1 },
	{ "a*b", "b", 1 },
	{ "^a+b$", "b", 0 },
	{ "^a+b$", "aaab", 1 },
	{ "^a?b$", "aab", 0 },
	{ "^a+?b$", "aab", 1 },
	{ "^a{2}$", "aa", 1 },
	{ "^a{2}$", "aaa", 0 },
	{ "^a{2,}$", "aaaa", 1 },
	{ "^a{2,3}$", "aaaa", 0 },
	{ "^a{0,2}b$", "aab", 1 },
	{ "^a{0,2}b$", "b", 1 },
	{ "^(ab){2,3}$", "ababab", 1 },
	{ "^(ab){2,3}$", "ab", 0 },
	{ "a{x", "a{x", 1 },
	{ "^[a-c]+$", "abc", 1 },
	{ "^[^a-c]+$", "xyz", 1 },
	{ "^[^a-c]+$", "xaz", 0 },
	{ "^[]a]+$", "]a", 1 },
	{ "^[a-]+$", "-a", 1 },
	{ "^[\\d.-]+$", "1.2-3", 1 },
	{ "^[[:alpha:]_]+$", "ab_C", 1 },
	{ "^[[:^alpha:]]+$", "123", 1 },
	{ "^\\w+\\s\\d+$", "ab_9 42", 1 },
	{ "^\\W\\S\\D$", "-xx", 1 },
	{ "\\bfoo\\b", "a foo b", 1 },
	{ "\\bfoo\\b", "afoob", 0 },
	{ "\\Boo", "foo", 1 },
	{ "\\Aab\\z", "ab", 1 },
	{ "(?i)^HeLLo$", "hEllO", 1 },
	{ "(?i:a)b", "Ab", 1 },
	{ "(?i:a)b", "AB", 0 },
	{ "a(?i)b", "aB", 1 },
	{ "(a(?i)b)c", "aBC", 0 },
	{ "(?i)[a-c]+$", "ABC", 1 },
	{ "(?-i)a", "A", 0 },
	{ "(?m)^b$", "a\nb\nc", 1 },
	{ "^b$", "a\nb\nc", 0 },
	{ "(?P<name>a)(?<n2>b)", "ab", 1 },
	{ "\\Qa.b*\\Ec", "a.b*c", 1 },
	{ "\\Qa.b", "axb", 0 },
	{ "\\x41\\x{e4}", "A\xc3\xa4", 1 },
	{ "^.$", "\xc3\xa4", 1 },
	{ "^[\xc3\xa0-\xc3\xbf]$", "\xc3\xa4", 1 },
	{ "^.$", "\xff", 1 },
	{ "\\.", "a.b", 1 },
	{ "\\.", "ab", 0 },
	{ "\\n\\t", "\n\t", 1 },
	{ "\\101\\060", "A0", 1 },
	{ "(a*)*$", "aaa", 1 },
	{ "(|a)+$", "aaa", 1 },
	{ "docker.io/library/.*:latest", "docker.io/library/alpine:latest", 1 },
	{ "(", "", -EINVAL },
	{ ")", "", -EINVAL },
	{ "a**", "", -EINVAL },
	{ "*", "", -EINVAL },
	{ "a|*", "", -EINVAL },
	{ "[a", "", -EINVAL },
	{ "[z-a]", "", -EINVAL },
	{ "[[:nope:]]", "", -EINVAL },
	{ "a{1001}", "", -EINVAL },
	{ "a{3,2}", "", -EINVAL },
	{ "(a{1000}){1000}", "", -EINVAL },
	{ "\\", "", -EINVAL },
	{ "\\y", "", -EINVAL },
	{ "\\1", "", -EINVAL },
	{ "\\x4", "", -EINVAL },
	{ "\\x{", "", -EINVAL },
	{ "\\x{110000}", "", -EINVAL },
	{ "(?z)", "", -EINVAL },
	{ "(?P<>a)", "", -EINVAL },
	{ "(?=a)", "", -EINVAL },
	{ "\\pL", "", -ENOTSUP },
	{ "[\\p{Greek}]", "", -ENOTSUP },
};

TEST(rows)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct regex *r = NULL;
		int got = regex_compile(rows[i].pattern, &r);

		if (got == 0)
			got = regex_matches(r, rows[i].text);
		if (got != rows[i].want)
			FAIL_("%s on \"%s\": got %d, want %d", rows[i].pattern, rows[i].text, got,
			      rows[i].want);
		regex_free(r);
	}
}

/* What makes backtracking engines run for years. */
TEST(time_is_linear)
{
	char text[4001];
	struct regex *r;
	struct timespec a, b;

	memset(text, 'a', sizeof text - 1);
	text[sizeof text - 1] = 0;
	clock_gettime(CLOCK_MONOTONIC, &a);
	CHECK(regex_compile("^(a+)+(a|aa)*(a?){50}$x", &r) == 0);
	CHECK(!regex_matches(r, text));
	clock_gettime(CLOCK_MONOTONIC, &b);
	CHECK(b.tv_sec - a.tv_sec < 5);
	regex_free(r);
}

TEST(depth_and_size_are_bounded)
{
	char deep[4000];
	struct regex *r;

	memset(deep, '(', sizeof deep);
	deep[sizeof deep - 1] = 0;
	CHECK(regex_compile(deep, &r) == -EINVAL);
	memset(deep, 'x', sizeof deep - 1);
	CHECK(regex_compile(deep, &r) == 0);
	CHECK(regex_matches(r, deep) && !regex_matches(r, deep + 1));
	regex_free(r);
	memset(deep, '|', sizeof deep - 1);
	CHECK(regex_compile(deep, &r) == 0);
	CHECK(regex_matches(r, ""));
	regex_free(r);
}
