/* Platforms: OS/ARCH[/VARIANT], normalised as Go's names are (x86_64 is amd64, arm64 is arm64/v8
 * and is written without its variant). */
#pragma once

#include "base/err.h"

#include <stdbool.h>

struct platform {
	char os[24], arch[24], variant[24], os_version[64];
};

/* The machine this program was built for. */
struct platform platform_host(void);

/* "linux/amd64", "linux/arm/v7", "arm64" (the host's OS) or "linux" (the host's architecture).
 * ERR_INVALID_ARGUMENT: `"X": REASON`. */
int platform_parse(const char *s, struct platform *ret, struct err *e);

/* From fields that stand apart, as in JSON and in API messages; NULL is "".  Normalises. */
int platform_set(struct platform *ret, const char *os, const char *arch, const char *variant,
		 const char *os_version, struct err *e);

/* Whether an image for `have` is what someone who asks for `want` means. */
bool platform_matches(const struct platform *want, const struct platform *have);

enum { PLATFORM_TEXT = 80 };
const char *platform_text(const struct platform *p, char buf[PLATFORM_TEXT]);
