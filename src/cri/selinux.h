/* SELinux labels of pods.  Those whose author names none get a level of two categories that no
 * other pod has, so that they cannot reach each other's files and processes. */
#pragma once

#include "cri/cri.h"

/* With a pair of categories from c0 … c1023: "s0:c1023,c1022" */
enum { SELINUX_LEVEL_MAX = 32 };

struct selinux_labels {
	const char *process, *mount; /* NULL: none */
};

/* level: the pod's, "" when it has none; o, which may be NULL or empty, says more. */
struct selinux_labels selinux_labels(struct arena *a, const Runtime__V1__SELinuxOption *o,
				     const char *level);

/* A level of its own for a pod that is in the list, where SELinux is used and the pod's author says
 * nothing of it. */
void selinux_assign(struct pod *pod);

/* Is it on in this kernel? */
bool selinux_is_on(void);
