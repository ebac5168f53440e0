/* ctr doctor's findings about this machine; the daemon's own are asked for by cmd_doctor.c. */
#pragma once

#include "base/mem.h"

enum finding { FINDING_OK, FINDING_WARN, FINDING_FAIL };

/* One check's words.  hint: what to do, when it is not ok. */
struct check {
	enum finding finding;
	const char *name, *text, *hint;
};

struct checks {
	struct arena *arena;
	const char *root; /* "/", or where a test keeps its proc, sys, etc */
	struct check v[32];
	size_t n;
};

void checks_add(struct checks *c, enum finding f, const char *name, const char *hint,
		const char *fmt, ...) PRINTF(5, 6);

/* Kernel, cgroups, overlay, seccomp, user namespaces, CNI. */
void checks_host(struct checks *c, const char *release);

/* Shims whose bundle is gone: nobody will ever end them. */
void checks_shims(struct checks *c);
