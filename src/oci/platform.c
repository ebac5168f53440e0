#include "oci/platform.h"

#include "base/mem.h"

#include <string.h>

#if defined(__x86_64__)
#define HOST_ARCH "amd64"
#elif defined(__aarch64__)
#define HOST_ARCH "arm64"
#elif defined(__arm__)
#define HOST_ARCH "arm"
#elif defined(__i386__)
#define HOST_ARCH "386"
#elif defined(__riscv) && __riscv_xlen == 64
#define HOST_ARCH "riscv64"
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
#define HOST_ARCH "ppc64le"
#elif defined(__s390x__)
#define HOST_ARCH "s390x"
#elif defined(__loongarch64)
#define HOST_ARCH "loong64"
#else
#error "this architecture has no name in image platforms yet"
#endif

static const struct {
	const char *alias, *arch, *variant;
} arches[] = {
	{ "x86_64", "amd64", "" },  { "x86-64", "amd64", "" }, { "i386", "386", "" },
	{ "aarch64", "arm64", "" }, { "armhf", "arm", "v7" },  { "armel", "arm", "v6" },
};

static const char *const known_os[] = { "linux",   "windows", "darwin",   "freebsd", "netbsd",
					"openbsd", "solaris", "illumos",  "aix",     "android",
					"plan9",   "js",      "dragonfly" };
static const char *const known_arch[] = { "386",     "amd64",    "arm",     "arm64",
					  "loong64", "mips",     "mipsle",  "mips64",
					  "ppc64",   "mips64le", "ppc64le", "riscv64",
					  "s390x",   "wasm",     "armbe",   "sparc64" };

static bool is_known(const char *const *names, size_t n, const char *s)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], s) == 0)
			return true;
	return false;
}

struct platform platform_host(void)
{
	struct platform p = { .os = "linux", .arch = HOST_ARCH };

	if (strcmp(p.arch, "arm") == 0)
		memcpy(p.variant, "v7", 3);
	return p;
}

static bool field_set(char *field, size_t size, const char *s)
{
	size_t n = s ? strlen(s) : 0;

	if (n >= size)
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = s[i];
		bool alnum =
			(c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

		if (!alnum && !strchr("._-", c))
			return false;
		field[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
	}
	field[n] = 0;
	return true;
}

static void normalize(struct platform *p)
{
	if (strcmp(p->os, "macos") == 0)
		(void)field_set(p->os, sizeof p->os, "darwin"); /* it fits */
	for (size_t i = 0; i < ARRAY_LEN(arches); i++) {
		if (strcmp(p->arch, arches[i].alias) != 0)
			continue;
		(void)field_set(p->arch, sizeof p->arch, arches[i].arch); /* they fit */
		if (*arches[i].variant)
			(void)field_set(p->variant, sizeof p->variant, arches[i].variant);
	}
	if ((strcmp(p->arch, "amd64") == 0 && strcmp(p->variant, "v1") == 0) ||
	    (strcmp(p->arch, "arm64") == 0 &&
	     (strcmp(p->variant, "v8") == 0 || strcmp(p->variant, "8") == 0)))
		p->variant[0] = 0;
	if (strcmp(p->arch, "arm") == 0) {
		if (!*p->variant)
			memcpy(p->variant, "v7", 3);
		else if (p->variant[0] >= '5' && p->variant[0] <= '8' && !p->variant[1])
			memcpy(p->variant, (char[]){ 'v', p->variant[0], 0 }, 3);
	}
}

int platform_set(struct platform *ret, const char *os, const char *arch, const char *variant,
		 const char *os_version, struct err *e)
{
	*ret = (struct platform){ 0 };
	if (!field_set(ret->os, sizeof ret->os, os) ||
	    !field_set(ret->arch, sizeof ret->arch, arch) ||
	    !field_set(ret->variant, sizeof ret->variant, variant) ||
	    !field_set(ret->os_version, sizeof ret->os_version, os_version))
		return err_set(e, ERR_INVALID_ARGUMENT, "platform \"%.60s/%.60s/%.60s\": %s",
			       os ? os : "", arch ? arch : "", variant ? variant : "",
			       "a part has characters or a length it may not have");
	normalize(ret);
	return 0;
}

int platform_parse(const char *s, struct platform *ret, struct err *e)
{
	struct platform host = platform_host();
	AUTO_FREE char *copy = xstrndup(s, 200);
	char *part[3] = { copy, NULL, NULL };
	size_t n = 1;

	for (char *p = copy; *p; p++) {
		if (*p != '/')
			continue;
		if (n == ARRAY_LEN(part))
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "\"%.200s\": cannot parse platform specifier", s);
		*p = 0;
		part[n++] = p + 1;
	}
	for (size_t i = 0; i < n; i++)
		if (!*part[i])
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "\"%.200s\": platform specifier has an empty part", s);
	if (n > 1)
		return platform_set(ret, part[0], part[1], part[2], NULL, e);

	struct platform one;

	if (platform_set(&one, part[0], part[0], NULL, NULL, e) < 0)
		return -1;
	if (is_known(known_os, ARRAY_LEN(known_os), one.os))
		return platform_set(ret, one.os, host.arch, host.variant, NULL, e);
	if (is_known(known_arch, ARRAY_LEN(known_arch), one.arch))
		return platform_set(ret, host.os, one.arch, one.variant, NULL, e);
	return err_set(e, ERR_INVALID_ARGUMENT,
		       "\"%.200s\": unknown operating system or architecture", s);
}

bool platform_matches(const struct platform *want, const struct platform *have)
{
	return strcmp(want->os, have->os) == 0 && strcmp(want->arch, have->arch) == 0 &&
	       strcmp(want->variant, have->variant) == 0 &&
	       (!*want->os_version || strcmp(want->os_version, have->os_version) == 0);
}

const char *platform_text(const struct platform *p, char buf[PLATFORM_TEXT])
{
	(void)snprintf(buf, PLATFORM_TEXT, "%s/%s%s%s", p->os, p->arch, *p->variant ? "/" : "",
		       p->variant); /* three fields of 24 always fit */
	return buf;
}
