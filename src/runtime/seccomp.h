/* Seccomp filters: linux.seccomp compiled to BPF ahead of the fork, loaded in the child.
 *
 * Compiling takes libseccomp some 11 ms for a profile as large as Docker's, so the result is kept
 * in a root-only folder under the digest of everything it depends on, and verified before use. */
#pragma once

#include "base/err.h"
#include "oci/spec.h"

#include <linux/filter.h>

struct seccomp_filter {
	struct sock_filter *insns; /* NULL: nothing to load */
	unsigned n;
	unsigned flags; /* of seccomp(2): SECCOMP_FILTER_FLAG_… */
};

/* cache_dir is made 0700 when it is absent; NULL: no cache.  A cache that can't be used costs time
 * and is no error.  ERR_INVALID_ARGUMENT for unknown actions, operators, architectures and flags;
 * unknown syscall names are left out, as runc does. */
int seccomp_compile(const struct oci_seccomp *s, const char *cache_dir, struct seccomp_filter *ret,
		    struct err *e);

/* SCMP_ACT_NOTIFY is in it: loading makes a listener, whose fd somebody has to get. */
bool seccomp_has_listener(const struct seccomp_filter *f);

/* In the child, async-signal-safe: one system call.  Without no_new_privs the caller still needs
 * CAP_SYS_ADMIN.  *ret_listener is the listener's fd (close-on-exec) or -1. */
int seccomp_filter_load(const struct seccomp_filter *f, int *ret_listener, struct err *e);

void seccomp_filter_done(struct seccomp_filter *f);
#define AUTO_SECCOMP_FILTER CLEANUP(seccomp_filter_done)

/* What profiles may say, for those who describe us: by number, NULL behind the last.  Flags that
 * this kernel lacks are "" among the kernel's. */
enum seccomp_names {
	SECCOMP_NAMES_ACTIONS,
	SECCOMP_NAMES_OPERATORS,
	SECCOMP_NAMES_ARCHS,
	SECCOMP_NAMES_FLAGS,
	SECCOMP_NAMES_KERNEL_FLAGS,
};
const char *seccomp_name(enum seccomp_names list, size_t i);
const char *seccomp_library_version(char *buf, size_t n);
