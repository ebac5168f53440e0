/* The grammars of names that come from outside, in one place.  Each check is pure: true when the
 * whole text fits. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* containerd's identifier: ^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$, at most 76 bytes. Names of
 * namespaces, containers, execs. */
bool ident_is_valid(const char *s);

/* runc's container id: [A-Za-z0-9_+.-]+, not "." or "..", at most 1024 bytes. */
bool ident_is_runc_id(const char *s);

/* A digest "algorithm:hex": sha256 (64), sha384 (96) or sha512 (128 lower-case hex digits).
 * Only then may it become a path. */
bool digest_is_valid(const char *s);

/* A label: key not empty, key and value together at most 4096 bytes. */
bool label_is_valid(const char *key, const char *value);
