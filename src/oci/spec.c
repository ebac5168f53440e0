#include "oci/spec.h"

#include "oci/spec_tables.h"

#include <string.h>

enum { TEXT_MAX = 16 << 20, WARNINGS_MAX = 8 };

static const struct decode_table mount_table = {
	.size = sizeof(struct oci_mount),
	.fields =
		(const struct decode_field[]){
			REQUIRED(DECODE_STRING, struct oci_mount, destination, "destination"),
			FIELD(DECODE_STRING, struct oci_mount, type, "type"),
			FIELD(DECODE_STRING, struct oci_mount, source, "source"),
			FIELD(DECODE_STRINGS, struct oci_mount, options, "options"),
			LIST(struct oci_mount, uid_mappings.v, uid_mappings.n, "uidMappings",
			     &oci_idmapping_table),
			LIST(struct oci_mount, gid_mappings.v, gid_mappings.n, "gidMappings",
			     &oci_idmapping_table),
			{ 0 },
		},
};

static const struct decode_table root_table = {
	.size = sizeof(struct oci_spec), /* fills the spec's own two members */
	.fields =
		(const struct decode_field[]){
			REQUIRED(DECODE_STRING, struct oci_spec, root_path, "path"),
			FIELD(DECODE_BOOL, struct oci_spec, root_readonly, "readonly"),
			{ 0 },
		},
};

#define S struct oci_spec
static const struct decode_table spec_table = {
	.size = sizeof(S),
	.fields =
		(const struct decode_field[]){
			REQUIRED(DECODE_STRING, S, version, "ociVersion"),
			NESTED(DECODE_STRUCT_PTR, S, process, "process", &oci_process_table),
			{ .name = "root", .kind = DECODE_STRUCT, .at = 0, .table = &root_table },
			FIELD(DECODE_STRING, S, hostname, "hostname"),
			FIELD(DECODE_STRING, S, domainname, "domainname"),
			LIST(S, mounts, n_mounts, "mounts", &mount_table),
			NESTED(DECODE_STRUCT, S, hooks, "hooks", &oci_hooks_table),
			FIELD(DECODE_PAIRS, S, annotations, "annotations"),
			NESTED(DECODE_STRUCT, S, linux, "linux", &oci_linux_table),
			{ 0 },
		},
};
#undef S

static void add_warning(struct arena *a, struct oci_strings *w, const char *text)
{
	if (!w->v)
		w->v = arena_array(a, WARNINGS_MAX + 1, sizeof *w->v);
	if (w->n < WARNINGS_MAX)
		w->v[w->n++] = text;
}

/* A 1.x version: what comes later may mean other things by the same names. */
static int check_version(const char *v, struct err *e)
{
	if (v[0] == '1' && v[1] == '.' && v[2] >= '0' && v[2] <= '9')
		return 0;
	return err_set(e, ERR_INVALID_ARGUMENT,
		       "ociVersion is \"%s\", only versions 1.x are supported", v);
}

/* The two departures from the spec that people are known to make. */
static int forgive(struct decoder *d, json_object *o, struct oci_spec *s)
{
	static const struct decode_field old_name = {
		.name = "cgroups",
		.kind = DECODE_STRUCT_PTR,
		.at = offsetof(struct oci_linux, resources),
		.table = &oci_resources_table,
	};
	struct decode_step step = { .name = "linux" };
	json_object *linux_o, *m;

	if (s->process && (!s->process->cwd || !*s->process->cwd)) {
		s->process->cwd = "/";
		add_warning(d->arena, &s->warnings, "field process.cwd is missing, taken as \"/\"");
	}
	if (!json_object_object_get_ex(o, "linux", &linux_o) || !linux_o ||
	    !json_object_object_get_ex(linux_o, "cgroups", &m) || !m)
		return 0;
	if (s->linux.resources) {
		add_warning(d->arena, &s->warnings,
			    "field linux.cgroups is not known and ignored, since there is "
			    "linux.resources");
		return 0;
	}
	d->at = &step;
	if (decode_member(d, linux_o, &old_name, &s->linux) < 0)
		return -1;
	d->at = NULL;
	add_warning(d->arena, &s->warnings,
		    "field linux.cgroups is taken as linux.resources: write linux.resources");
	return 0;
}

static int parse(struct arena *a, const char *text, size_t n, const struct decode_table *t,
		 json_object **ret_o, void **ret, struct err *e)
{
	struct decoder d = { .arena = a, .e = e };

	if (n > TEXT_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "the document is larger than 16 MiB");
	if (jsonr_parse(text, n, ret_o, e) < 0)
		return -1;
	*ret = arena_alloc(a, t->size);
	if (decode_struct(&d, *ret_o, t, *ret) < 0)
		return -1;
	if (decode_has_nul(text, n))
		return err_set(e, ERR_INVALID_ARGUMENT, "a string holds a NUL byte");
	return 0;
}

int oci_spec_parse(struct arena *a, const char *text, size_t n, struct oci_spec **ret,
		   struct err *e)
{
	AUTO_JSON json_object *o = NULL;
	struct decoder d = { .arena = a, .e = e };
	void *out;

	if (parse(a, text, n, &spec_table, &o, &out, e) < 0)
		return -1;

	struct oci_spec *s = out;
	if (check_version(s->version, e) < 0)
		return -1;
	if (!s->root_path)
		return err_set(e, ERR_INVALID_ARGUMENT, "root must be specified");
	if (!*s->root_path)
		return err_set(e, ERR_INVALID_ARGUMENT, "root.path is empty");
	if (forgive(&d, o, s) < 0)
		return -1;
	*ret = s;
	return 0;
}

int oci_process_parse(struct arena *a, const char *text, size_t n, struct oci_process **ret,
		      struct err *e)
{
	AUTO_JSON json_object *o = NULL;
	void *out;

	if (parse(a, text, n, &oci_process_table, &o, &out, e) < 0)
		return -1;

	struct oci_process *p = out;
	if (!p->cwd || !*p->cwd)
		p->cwd = "/";
	*ret = p;
	return 0;
}

int oci_resources_parse(struct arena *a, const char *text, size_t n, struct oci_resources **ret,
			struct err *e)
{
	AUTO_JSON json_object *o = NULL;
	void *out;

	if (parse(a, text, n, &oci_resources_table, &o, &out, e) < 0)
		return -1;
	*ret = out;
	return 0;
}

bool oci_spec_knows(const char *path)
{
	const struct decode_table *t = &spec_table;

	for (;;) {
		size_t n = strcspn(path, "."), i = 0;

		while (t->fields[i].name &&
		       (strlen(t->fields[i].name) != n || memcmp(t->fields[i].name, path, n) != 0))
			i++;
		if (!t->fields[i].name || t->fields[i].kind == DECODE_UNSUPPORTED)
			return false;
		if (!path[n])
			return true;
		t = t->fields[i].table;
		if (!t)
			return false;
		path += n + 1;
	}
}

const char *oci_hook_name(size_t i)
{
	size_t n = 0;

	while (oci_hooks_table.fields[n].name)
		n++;
	return i < n ? oci_hooks_table.fields[i].name : NULL;
}
