#include "cmd/ctr/gpus.h"

#include "base/num.h"
#include "os/spawn.h"

#include <errno.h>
#include <string.h>

static const char tool[] = "nvidia-container-cli";
static const char *const capabilities[] = { "--compute", "--compat32", "--graphics",
					    "--utility", "--video",    "--display" };

static int find(struct arena *a, const char *name, const char **ret, struct err *e)
{
	char *path AUTO_FREE = spawn_find(name);

	if (!path)
		return err_set(e, ERR_NOT_FOUND,
			       "--gpus: exec: \"%s\": executable file not found in $PATH", name);
	*ret = arena_strdup(a, path);
	return 0;
}

/* "0", "0,1": numbers of cards, given once or often. */
static int join(const char *const *list, struct str *out, struct err *e)
{
	for (; *list; list++) {
		struct strv parts AUTO_STRV = { 0 };

		for (const char *p = *list; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
			strv_add_take(&parts, xstrndup(p, strcspn(p, ",")));
		for (size_t i = 0; i < parts.n; i++) {
			int number;

			if (num_i32(parts.v[i], &number) < 0)
				return err_set(e, ERR_INVALID_ARGUMENT,
					       "invalid value \"%.100s\" for flag -gpus", *list);
			str_addf(out, "%s%d", out->len ? "," : "", number);
		}
	}
	return 0;
}

int gpus_add_hook(const struct args *args, struct generate *g, struct err *e)
{
	enum { BEFORE = 6, DEVICES_MAX = 4096 };
	struct arena *a = args->arena;
	struct str devices AUTO_STR = STR_INIT(DEVICES_MAX);
	struct oci_hook *h;
	const char **v;
	size_t n = 0, n_env = 0, n_gpus;
	const char *const *gpus = args_list(args, "gpus", &n_gpus);

	if (!n_gpus)
		return 0;
	h = ARENA_NEW(a, struct oci_hook);
	v = arena_array(a, BEFORE + ARRAY_LEN(capabilities) + 4, sizeof *v);
	if (join(gpus, &devices, e) < 0 || find(a, "containerd", &h->path, e) < 0 ||
	    find(a, tool, &v[3], e) < 0)
		return -1;
	v[n++] = "containerd";
	v[n++] = "oci-hook";
	v[n++] = "--";
	n++; /* the program's path */
	v[n++] = "--load-kmods";
	v[n++] = "configure";
	v[n++] = arena_printf(a, "--device=%s", str_c(&devices));
	for (size_t i = 0; i < ARRAY_LEN(capabilities); i++)
		v[n++] = capabilities[i];
	v[n++] = "--pid={{pid}}";
	v[n++] = "{{rootfs}}";
	while (environ[n_env])
		n_env++;
	h->args = (struct oci_strings){ v, n };
	h->env = (struct oci_strings){ (const char **)environ, n_env };
	g->create_runtime = h;
	return 0;
}
