/* What a pod and its containers may do: users, capabilities, seccomp, and the limits of a daemon
 * that may not do everything itself. */
#pragma once

#include "cri/cri.h"
#include "oci/generate.h"

/* A uid or gid of the interface, which has them as int64. */
int security_check_id(int64_t id, struct err *e);

/* Capabilities added and dropped, "ALL" among them, into g (by arena). */
int security_capabilities(struct arena *a, const Runtime__V1__Capability *c, struct generate *g,
			  struct err *e);

/* profile or the older path ("unconfined", "runtime/default", "localhost/PATH"), into g. */
int security_seccomp(struct cri *cri, struct arena *a, const Runtime__V1__SecurityProfile *profile,
		     const char *path, bool is_privileged, struct generate *g, struct err *e);

/* The same of AppArmor: our default profile, which is loaded where the kernel does not know it, for
 * who asks for it or for nothing.  Nothing where the kernel has no AppArmor, unless a profile was
 * asked for by name. */
int security_apparmor(struct arena *a, const Runtime__V1__SecurityProfile *profile,
		      const char *path, bool is_privileged, struct generate *g, struct err *e);

/* The wanted oom_score_adj, or the lowest that we may give where that is higher. */
int64_t security_oom_score(struct cri *cri, int64_t wanted);
/* The lowest one, found out at start; INT64_MIN when there is no bound. */
int64_t security_oom_floor(bool is_always_restricted);
