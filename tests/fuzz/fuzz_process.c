/* The process object as `exec --process` and the task API bring it: parsed, and made a plan. */
#include "runtime/plan.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_plan(const struct plan_process *p)
{
	size_t n = 0;

	if (!p->args[0] || !p->cwd || p->cwd[0] != '/')
		__builtin_trap();
	/* 4294967295 means "unchanged" to setresuid: nobody's id */
	if (p->uid == UINT32_MAX || p->gid == UINT32_MAX)
		__builtin_trap();
	if (!p->n_groups || p->groups[0] != p->gid)
		__builtin_trap();
	for (; p->env[n]; n++) {
		const char *equals = strchr(p->env[n], '=');

		if (!equals || equals == p->env[n])
			__builtin_trap();
		for (size_t i = 0; i < n; i++)
			if (strncmp(p->env[i], p->env[n], (size_t)(equals - p->env[n]) + 1) == 0)
				__builtin_trap(); /* each name once */
	}
	if (p->env[n + 1])
		__builtin_trap(); /* the room for HOME */
	for (size_t i = 0; i < p->n_rlimits; i++)
		if (!p->rlimits[i].name)
			__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_STRV struct strv warnings = { 0 };
	struct plan_process plan;
	struct oci_process *p;
	struct err e = { 0 };

	if (oci_process_parse(a, (const char *)data, n, &p, &e) < 0 ||
	    plan_process(a, p, &plan, &warnings, &e) < 0) {
		if (!e.code || !e.msg[0])
			__builtin_trap();
		return 0;
	}
	check_plan(&plan);
	return 0;
}
