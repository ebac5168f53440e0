/* config.json, and the process and resources objects that travel alone. */
#include "base/jsonw.h"
#include "oci/spec.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_strings(const struct oci_strings *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (!l->v[i])
			__builtin_trap();
}

/* What a state file keeps of an object must be read as the same object. */
static void check_way_back(struct arena *a, const struct oci_resources *r)
{
	AUTO_STR struct str first = STR_INIT(1 << 20), second = STR_INIT(1 << 20);
	struct oci_resources *again, all, write;
	struct err e = { 0 };
	struct jsonw w;

	jsonw_init(&w, &first, 0);
	oci_resources_print(r, &w);
	if (first.over)
		return;
	if (oci_resources_parse(a, str_c(&first), first.len, &again, &e) < 0)
		__builtin_trap();
	jsonw_init(&w, &second, 0);
	oci_resources_print(again, &w);
	if (strcmp(str_c(&first), str_c(&second)) != 0)
		__builtin_trap();
	oci_resources_merge(a, again, r, &all, &write);
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
	if (oci_resources_parse(a, (const char *)data, n, &resources, &e) == 0)
		check_way_back(a, resources);
	return 0;
}
