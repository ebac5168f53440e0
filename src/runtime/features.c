#include "runtime/features.h"

#include "base/jsonw.h"
#include "cgroup/cgroup.h"
#include "oci/spec.h"
#include "runtime/caps.h"
#include "runtime/plan.h"
#include "runtime/seccomp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES_MAX = 128 };

/* linux.memoryPolicy's words, which are the kernel's (numaif.h). */
static const char *const memory_modes[] = {
	"MPOL_DEFAULT",   "MPOL_BIND",           "MPOL_INTERLEAVE", "MPOL_WEIGHTED_INTERLEAVE",
	"MPOL_PREFERRED", "MPOL_PREFERRED_MANY", "MPOL_LOCAL",
};
static const char *const memory_flags[] = {
	"MPOL_F_NUMA_BALANCING",
	"MPOL_F_RELATIVE_NODES",
	"MPOL_F_STATIC_NODES",
};

/* What of a config.json decides more than its author may see: engines that take annotations from
 * users should refuse these. */
static const char *const unsafe_annotations[] = {
	"bundle",
	"org.systemd.property.",
	"org.criu.config",
};

struct names {
	const char *v[NAMES_MAX];
	size_t n;
};

static void add(struct names *l, const char *name)
{
	if (l->n < NAMES_MAX)
		l->v[l->n++] = name;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void put_names(struct jsonw *w, const char *key, const char *const *v, size_t n)
{
	jsonw_key(w, key);
	jsonw_array(w);
	for (size_t i = 0; i < n; i++)
		jsonw_string(w, v[i]);
	jsonw_end(w);
}

static void put_sorted(struct jsonw *w, const char *key, struct names *l)
{
	qsort(l->v, l->n, sizeof *l->v, by_name);
	put_names(w, key, l->v, l->n);
}

static void put_enabled(struct jsonw *w, const char *key, bool on)
{
	jsonw_key(w, key);
	jsonw_object(w);
	jsonw_kbool(w, "enabled", on);
	jsonw_end(w);
}

static void put_top(struct jsonw *w)
{
	struct names hooks = { .n = 0 }, options = { .n = 0 };
	const char *name;

	for (size_t i = 0; (name = oci_hook_name(i)); i++)
		add(&hooks, name);
	for (size_t i = 0; (name = plan_mount_option_name(i)); i++)
		add(&options, name);
	jsonw_kstring(w, "ociVersionMin", "1.0.0");
	jsonw_kstring(w, "ociVersionMax", OCI_SPEC_VERSION);
	put_names(w, "hooks", hooks.v, hooks.n);
	put_sorted(w, "mountOptions", &options);
}

static void put_cgroup(struct jsonw *w)
{
	jsonw_key(w, "cgroup");
	jsonw_object(w);
	jsonw_kbool(w, "v1", cgroup_support.v1);
	jsonw_kbool(w, "v2", cgroup_support.v2);
	jsonw_kbool(w, "systemd", cgroup_support.systemd);
	jsonw_kbool(w, "systemdUser", cgroup_support.systemd_user);
	jsonw_kbool(w, "rdma", oci_spec_knows("linux.resources.rdma"));
	jsonw_end(w);
}

static void put_seccomp(struct jsonw *w)
{
	static const struct {
		const char *key;
		enum seccomp_names list;
		bool sorted;
	} rows[] = {
		{ "actions", SECCOMP_NAMES_ACTIONS, true },
		{ "operators", SECCOMP_NAMES_OPERATORS, true },
		{ "archs", SECCOMP_NAMES_ARCHS, true },
		{ "knownFlags", SECCOMP_NAMES_FLAGS, false },
		{ "supportedFlags", SECCOMP_NAMES_KERNEL_FLAGS, false },
	};

	jsonw_key(w, "seccomp");
	jsonw_object(w);
	jsonw_kbool(w, "enabled", true);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct names l = { .n = 0 };
		const char *name;

		for (size_t k = 0; (name = seccomp_name(rows[i].list, k)); k++)
			if (*name) /* not this kernel's */
				add(&l, name);
		if (rows[i].sorted)
			put_sorted(w, rows[i].key, &l);
		else
			put_names(w, rows[i].key, l.v, l.n);
	}
	jsonw_end(w);
}

static void put_names_of_kernel(struct jsonw *w)
{
	struct names ns = { .n = 0 }, caps = { .n = 0 };
	const char *name;

	for (int i = 0; i < OCI_NS_COUNT; i++)
		if (plan_knows_ns((enum oci_ns)i))
			add(&ns, oci_ns_names[i]);
	for (unsigned i = 0; (name = caps_name(i)); i++)
		add(&caps, name);
	put_sorted(w, "namespaces", &ns);
	put_names(w, "capabilities", caps.v, caps.n);
}

static void put_linux(struct jsonw *w)
{
	jsonw_key(w, "linux");
	jsonw_object(w);
	put_names_of_kernel(w);
	put_cgroup(w);
	put_seccomp(w);
	put_enabled(w, "apparmor", oci_spec_knows("process.apparmorProfile"));
	put_enabled(w, "selinux", oci_spec_knows("process.selinuxLabel"));
	put_enabled(w, "intelRdt", oci_spec_knows("linux.intelRdt"));
	if (oci_spec_knows("linux.memoryPolicy")) {
		jsonw_key(w, "memoryPolicy");
		jsonw_object(w);
		put_names(w, "modes", memory_modes, ARRAY_LEN(memory_modes));
		put_names(w, "flags", memory_flags, ARRAY_LEN(memory_flags));
		jsonw_end(w);
	}
	jsonw_key(w, "mountExtensions");
	jsonw_object(w);
	put_enabled(w, "idmap", plan_knows_mount_option("idmap"));
	jsonw_end(w);
	put_enabled(w, "netDevices", oci_spec_knows("linux.netDevices"));
	jsonw_end(w);
}

void features_print(struct str *out)
{
	char seccomp[32];
	struct jsonw w;

	jsonw_init(&w, out, 4);
	jsonw_object(&w);
	put_top(&w);
	put_linux(&w);
	jsonw_key(&w, "annotations");
	jsonw_object(&w);
	jsonw_kstring(&w, "io.github.seccomp.libseccomp.version",
		      seccomp_library_version(seccomp, sizeof seccomp));
	jsonw_kstring(&w, "org.opencontainers.runc.checkpoint.enabled", "true");
	jsonw_kstring(&w, "org.opencontainers.runc.version", CASCO_VERSION);
	jsonw_end(&w);
	put_names(&w, "potentiallyUnsafeConfigAnnotations", unsafe_annotations,
		  ARRAY_LEN(unsafe_annotations));
	jsonw_end(&w);
	str_addc(out, '\n');
}
