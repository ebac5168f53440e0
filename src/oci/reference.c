#include "oci/reference.h"

#include "base/ident.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdbool.h>
#include <string.h>

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool is_number(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
	return is_number(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* alnum (("." | "_" | "__" | "-"+) alnum)*, in small letters */
static bool component_is_valid(const char *s, size_t n)
{
	size_t i = 0;

	for (;;) {
		size_t start = i;

		while (i < n && (is_lower(s[i]) || is_number(s[i])))
			i++;
		if (i == start)
			return false;
		if (i == n)
			return true;
		if (s[i] == '.') {
			i++;
		} else if (s[i] == '_') {
			i += i + 1 < n && s[i + 1] == '_' ? 2 : 1;
		} else if (s[i] == '-') {
			while (i < n && s[i] == '-')
				i++;
		} else {
			return false;
		}
	}
}

static bool path_is_valid(const char *s)
{
	for (;;) {
		size_t n = strcspn(s, "/");

		if (!component_is_valid(s, n))
			return false;
		if (!s[n])
			return true;
		s += n + 1;
	}
}

static bool port_is_valid(const char *s)
{
	size_t n = strlen(s);

	if (n == 0 || n > 5)
		return false;
	unsigned port = 0;

	for (size_t i = 0; i < n; i++) {
		if (!is_number(s[i]))
			return false;
		port = port * 10 + (unsigned)(s[i] - '0');
	}
	return port <= 65535;
}

/* Labels of letters, digits and inner "-", joined by ".". */
static bool host_is_valid(const char *s, size_t n)
{
	bool after_alnum = false;

	for (size_t i = 0; i < n; i++) {
		bool alnum = is_lower(s[i]) || is_upper(s[i]) || is_number(s[i]);

		if (s[i] == '.' && (!after_alnum || i + 1 == n))
			return false;
		if (s[i] == '-' && (i == 0 || s[i - 1] == '.' || i + 1 == n || s[i + 1] == '.'))
			return false;
		if (!alnum && s[i] != '.' && s[i] != '-')
			return false;
		after_alnum = alnum;
	}
	return n > 0;
}

static bool domain_is_valid(const char *s)
{
	const char *end;

	if (*s == '[') {
		end = strchr(s, ']');
		if (!end || end - s < 3)
			return false;
		for (const char *p = s + 1; p < end; p++)
			if (!is_hex(*p) && *p != ':')
				return false;
		end++;
	} else {
		end = s + strcspn(s, ":");
		if (!host_is_valid(s, (size_t)(end - s)))
			return false;
	}
	return !*end || (*end == ':' && port_is_valid(end + 1));
}

static bool tag_is_valid(const char *s)
{
	size_t n = strlen(s);

	if (n == 0 || n > REFERENCE_TAG_MAX || *s == '.' || *s == '-')
		return false;
	for (size_t i = 0; i < n; i++)
		if (!is_lower(s[i]) && !is_upper(s[i]) && !is_number(s[i]) && !strchr("_.-", s[i]))
			return false;
	return true;
}

static bool looks_like_domain(const char *s, size_t n)
{
	if (n == strlen("localhost") && memcmp(s, "localhost", n) == 0)
		return true;
	for (size_t i = 0; i < n; i++)
		if (s[i] == '.' || s[i] == ':' || is_upper(s[i]))
			return true;
	return false;
}

/* The name's two halves; s is the reference without tag and digest. */
static void split_domain(const char *s, struct reference *ret)
{
	const char *slash = strchr(s, '/');

	if (slash && looks_like_domain(s, (size_t)(slash - s))) {
		ret->domain = xstrndup(s, (size_t)(slash - s));
		ret->path = xstrdup(slash + 1);
	} else {
		ret->domain = xstrdup("docker.io");
		ret->path = xstrdup(s);
	}
	if (strcmp(ret->domain, "index.docker.io") == 0) {
		free(ret->domain);
		ret->domain = xstrdup("docker.io");
	}
	if (strcmp(ret->domain, "docker.io") == 0 && *ret->path && !strchr(ret->path, '/')) {
		char *path = xasprintf("library/%s", ret->path);

		free(ret->path);
		ret->path = path;
	}
}

static int bad(struct err *e, const char *s, const char *why)
{
	return err_set(e, ERR_INVALID_ARGUMENT, "invalid reference \"%.300s\": %s", s, why);
}

int reference_parse(const char *s, struct reference *ret, struct err *e)
{
	*ret = (struct reference){ 0 };
	if (strlen(s) > REFERENCE_NAME_MAX + REFERENCE_TAG_MAX + 160)
		return bad(e, s, "it is too long");

	AUTO_FREE char *name = xstrdup(s);
	char *at = strchr(name, '@');

	if (at) {
		*at = 0;
		ret->digest = xstrdup(at + 1);
		if (!digest_is_valid(ret->digest))
			return bad(e, s, "what stands behind \"@\" is no digest");
	}
	char *slash = strrchr(name, '/');
	char *colon = strchr(slash ? slash : name, ':');

	if (colon) {
		*colon = 0;
		ret->tag = xstrdup(colon + 1);
		if (!tag_is_valid(ret->tag))
			return bad(e, s, "the tag has characters or a length it may not have");
	}
	split_domain(name, ret);
	if (!domain_is_valid(ret->domain))
		return bad(e, s, "the registry's name is not valid");
	if (!path_is_valid(ret->path))
		return bad(e, s, "the repository's name is not valid");
	if (strlen(ret->domain) + strlen(ret->path) + 1 > REFERENCE_NAME_MAX)
		return bad(e, s, "the name is longer than 255 characters");
	return 0;
}

void reference_done(struct reference *r)
{
	free(r->domain);
	free(r->path);
	free(r->tag);
	free(r->digest);
	*r = (struct reference){ 0 };
}

void reference_add_default_tag(struct reference *r)
{
	if (!r->tag && !r->digest)
		r->tag = xstrdup("latest");
}

char *reference_text(const struct reference *r)
{
	return xasprintf("%s/%s%s%s%s%s", r->domain, r->path, r->tag ? ":" : "",
			 r->tag ? r->tag : "", r->digest ? "@" : "", r->digest ? r->digest : "");
}

int reference_normalize(const char *s, char **ret, struct err *e)
{
	struct reference r AUTO_REFERENCE = { 0 };

	if (reference_parse(s, &r, e) < 0)
		return -1;
	reference_add_default_tag(&r);
	*ret = reference_text(&r);
	return 0;
}
