/* config.json, and the process and resources objects that travel alone. */
#include "oci/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_strings(const struct oci_strings *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (!l->v[i])
			__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct oci_resources *resources;
	struct oci_process *process;
	struct oci_spec *spec;
	struct err e = { 0 };

	if (oci_spec_parse(a, (const char *)data, n, &spec, &e) == 0) {
		if (!spec->version || !spec->root_path || (spec->process && !spec->process->cwd))
			__builtin_trap();
		if (spec->process)
			check_strings(&spec->process->args);
		for (size_t i = 0; i < spec->n_mounts; i++)
			check_strings(&spec->mounts[i].options);
	} else if (!e.msg[0]) {
		__builtin_trap();
	}
	err_clear(&e);
	if (oci_process_parse(a, (const char *)data, n, &process, &e) == 0 && !process->args.n)
		__builtin_trap();
	err_clear(&e);
	(void)oci_resources_parse(a, (const char *)data, n, &resources, &e);
	return 0;
}
