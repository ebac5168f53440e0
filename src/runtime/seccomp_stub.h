/* A few instructions in front of a filter: system calls that are newer than the profile get ENOSYS,
 * so that a libc falls back to the older call, where the profile's own answer (EPERM) would look
 * final. */
#pragma once

#include "oci/spec.h"

#include <linux/filter.h>

enum { SECCOMP_STUB_MAX = 256 };

struct seccomp_stub {
	struct sock_filter insns[SECCOMP_STUB_MAX];
	size_t n;
};

/* One architecture (a libseccomp token): newer is what has a number behind all that the profile
 * names. */
void seccomp_stub_add(struct seccomp_stub *stub, const struct oci_seccomp *s, uint32_t arch);
