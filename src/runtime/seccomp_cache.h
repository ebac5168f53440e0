/* Compiled filters by the digest of what they were made of, in a folder of ours alone. */
#pragma once

#include "base/sha256.h"
#include "runtime/seccomp.h"

enum { SECCOMP_KEY = SHA256_HEX };

/* Everything that the program depends on: profile, library, architecture, our own rules. */
void seccomp_cache_key(const struct oci_seccomp *s, char ret[SECCOMP_KEY + 1]);

/* Fills insns and n.  -errno where there is none, or where the folder or the file is not ours alone
 * or not whole. */
int seccomp_cache_get(const char *dir, const char *key, struct seccomp_filter *ret);

/* Makes the folder (0700) when it is absent.  A folder that has grown full is emptied first. */
int seccomp_cache_put(const char *dir, const char *key, const struct seccomp_filter *f);
