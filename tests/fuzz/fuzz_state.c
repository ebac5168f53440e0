/* state.json: our own words, but a file may be cut off or be somebody else's.  What can be read is
 * written the same again. */
#include "runtime/state.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_hooks(const struct oci_hook_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		if (!l->v[i].path)
			__builtin_trap();
		for (size_t k = 0; k < l->v[i].args.n; k++)
			if (!l->v[i].args.v[k])
				__builtin_trap();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_STR struct str once = STR_INIT(64 << 20), twice = STR_INIT(64 << 20);
	struct state s, again;
	struct err e = { 0 };

	if (state_parse(a, (const char *)data, n, &s, &e) < 0) {
		if (!e.code || !e.msg[0])
			__builtin_trap();
		return 0;
	}
	if (!s.pub.id || !s.pub.bundle || !s.pub.rootfs || !s.pub.oci_version || s.init_pid < 0)
		__builtin_trap();
	for (size_t i = 0; i < s.pub.cgroup_paths.n; i++)
		if (!s.pub.cgroup_paths.v[i].key || !s.pub.cgroup_paths.v[i].value)
			__builtin_trap();
	check_hooks(&s.poststart);
	check_hooks(&s.poststop);
	state_print(&s, &once);
	if (state_parse(a, str_c(&once), once.len, &again, &e) < 0)
		__builtin_trap();
	state_print(&again, &twice);
	if (strcmp(str_c(&once), str_c(&twice)) != 0)
		__builtin_trap();
	return 0;
}
