/* A profile that a container of no special wishes can live with: of `ctr run
 * --apparmor-default-profile` and of pods whose author names none.  Unlike the rest of os/ it fills
 * a struct err: the reason is a sentence of apparmor_parser's. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

/* The profile of that name as apparmor_parser reads it.  daemon is the profile that may send
 * signals, too; folder is where AppArmor's own files are (/etc/apparmor.d). */
void apparmor_profile(struct str *out, const char *name, const char *daemon, const char *folder);

/* Can it be had: the kernel has AppArmor on, shows its profiles, and there is apparmor_parser; we
 * are in no container ($container). */
bool apparmor_is_usable(void);

/* Has the kernel know the name, unless it does: apparmor_parser loads the profile. */
int apparmor_load_default(const char *name, struct err *e);
