/* --apparmor-default-profile: a profile that a container of no special wishes can live with. */
#pragma once

#include "base/err.h"
#include "base/str.h"

/* The profile of that name as apparmor_parser reads it.  daemon is the profile that may send
 * signals, too; folder is where AppArmor's own files are (/etc/apparmor.d). */
void apparmor_profile(struct str *out, const char *name, const char *daemon, const char *folder);

/* Has the kernel know the name, unless it does: apparmor_parser loads the profile. */
int apparmor_load_default(const char *name, struct err *e);
