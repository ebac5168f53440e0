#include "shim/options.h"

#include "base/jsonr.h"
#include "base/jsonw.h"
#include "containerd/runtime/bootstrap/v1/bootstrap.pb-c.h"
#include "containerd/types/runc/options/oci.pb-c.h"
#include "os/file.h"

#include <errno.h>
#include <string.h>

enum { FILE_MAX = 1 << 20 };

const struct shim_options shim_options_default = {
	.shim_cgroup = "",
	.binary_name = "",
	.root = "",
	.criu_image_path = "",
	.criu_work_path = "",
};

static const char options_type[] = "containerd.runc.v1.Options";

int shim_options_decode(struct arena *a, const char *type_url, const void *value, size_t n,
			struct shim_options *ret, struct err *e)
{
	const char *name = strrchr(type_url, '/') ? strrchr(type_url, '/') + 1 : type_url;

	*ret = shim_options_default;
	if (!n)
		return 0;
	if (strcmp(name, options_type) != 0)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "runtime options of type \"%s\" are not supported", type_url);

	Containerd__Runc__V1__Options *o = containerd__runc__v1__options__unpack(NULL, n, value);

	if (!o)
		return err_set(e, ERR_INVALID_ARGUMENT, "runtime options are no %s", options_type);
	*ret = (struct shim_options){
		.no_pivot_root = o->no_pivot_root,
		.no_new_keyring = o->no_new_keyring,
		.systemd_cgroup = o->systemd_cgroup,
		.shim_cgroup = arena_strdup(a, o->shim_cgroup),
		.binary_name = arena_strdup(a, o->binary_name),
		.root = arena_strdup(a, o->root),
		.criu_image_path = arena_strdup(a, o->criu_image_path),
		.criu_work_path = arena_strdup(a, o->criu_work_path),
		.io_uid = o->io_uid,
		.io_gid = o->io_gid,
	};
	containerd__runc__v1__options__free_unpacked(o, NULL);
	return 0;
}

/* One row a field of options.json: writer and reader walk the same table. */
enum field_kind { FIELD_BOOL, FIELD_TEXT, FIELD_U32 };

static const struct field {
	const char *name;
	enum field_kind kind;
	size_t at;
} fields[] = {
	{ "no_pivot_root", FIELD_BOOL, offsetof(struct shim_options, no_pivot_root) },
	{ "no_new_keyring", FIELD_BOOL, offsetof(struct shim_options, no_new_keyring) },
	{ "shim_cgroup", FIELD_TEXT, offsetof(struct shim_options, shim_cgroup) },
	{ "io_uid", FIELD_U32, offsetof(struct shim_options, io_uid) },
	{ "io_gid", FIELD_U32, offsetof(struct shim_options, io_gid) },
	{ "binary_name", FIELD_TEXT, offsetof(struct shim_options, binary_name) },
	{ "root", FIELD_TEXT, offsetof(struct shim_options, root) },
	{ "systemd_cgroup", FIELD_BOOL, offsetof(struct shim_options, systemd_cgroup) },
	{ "criu_image_path", FIELD_TEXT, offsetof(struct shim_options, criu_image_path) },
	{ "criu_work_path", FIELD_TEXT, offsetof(struct shim_options, criu_work_path) },
};

int shim_options_save(int bundlefd, const struct shim_options *o, struct err *e)
{
	AUTO_STR struct str out = STR_INIT(FILE_MAX);
	struct jsonw w;

	jsonw_init(&w, &out, 0);
	jsonw_object(&w);
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		const struct field *f = &fields[i];
		const void *p = (const char *)o + f->at;

		if (f->kind == FIELD_BOOL && *(const bool *)p)
			jsonw_kbool(&w, f->name, true);
		else if (f->kind == FIELD_TEXT && **(const char *const *)p)
			jsonw_kstring(&w, f->name, *(const char *const *)p);
		else if (f->kind == FIELD_U32 && *(const uint32_t *)p)
			jsonw_ku64(&w, f->name, *(const uint32_t *)p);
	}
	jsonw_end(&w);

	int r = file_replace(bundlefd, "options.json", str_c(&out), out.len, 0600, false);

	if (r < 0)
		return err_sys(e, -r, "write options.json");
	r = file_replace(bundlefd, "runtime", o->binary_name, strlen(o->binary_name), 0600, false);
	return r < 0 ? err_sys(e, -r, "write runtime") : 0;
}

static int field_load(struct arena *a, json_object *o, const struct field *f,
		      struct shim_options *ret, struct err *e)
{
	void *p = (char *)ret + f->at;

	if (f->kind == FIELD_BOOL)
		return jsonr_bool(o, f->name, p, e);
	if (f->kind == FIELD_TEXT) {
		const char *s = "";

		if (jsonr_string(o, f->name, &s, e) < 0)
			return -1;
		*(const char **)p = arena_strdup(a, s);
		return 0;
	}

	uint64_t v = 0;

	if (jsonr_u64(o, f->name, &v, e) < 0)
		return -1;
	if (v > UINT32_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "field \"%s\" is out of range", f->name);
	*(uint32_t *)p = (uint32_t)v;
	return 0;
}

int shim_options_load(struct arena *a, int bundlefd, struct shim_options *ret, struct err *e)
{
	AUTO_FREE char *text = NULL;
	AUTO_JSON json_object *o = NULL;
	size_t n;
	int r = file_read(bundlefd, "options.json", FILE_MAX, &text, &n);

	*ret = shim_options_default;
	if (r == -ENOENT)
		return 0; /* the container never came to be */
	if (r < 0)
		return err_sys(e, -r, "read options.json");
	if (jsonr_parse(text, n, &o, e) < 0)
		return err_wrap(e, "read options.json");
	if (!json_object_is_type(o, json_type_object))
		return err_set(e, ERR_INVALID_ARGUMENT, "read options.json: not an object");
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (field_load(a, o, &fields[i], ret, e) < 0)
			return err_wrap(e, "read options.json");
	return 0;
}

static void boot_any(struct arena *a, const Google__Protobuf__Any *any, struct shim_boot *ret)
{
	ret->options_type = arena_strdup(a, any->type_url);
	ret->options_len = any->value.len;
	ret->options_value = arena_memdup(a, any->value.data, any->value.len);
}

/* Bytes of a BootstrapParams; 0 when they are something else. */
static int boot_params(struct arena *a, const char *id, const void *bytes, size_t n,
		       struct shim_boot *ret)
{
	Containerd__Runtime__Bootstrap__V1__BootstrapParams *p =
		containerd__runtime__bootstrap__v1__bootstrap_params__unpack(NULL, n, bytes);

	if (!p)
		return 0;

	bool is_it = strcmp(p->instance_id, id) == 0;

	if (is_it) {
		ret->has_params = true;
		ret->ttrpc_address = arena_strdup(a, p->containerd_ttrpc_address);
		ret->grpc_address = arena_strdup(a, p->containerd_grpc_address);
		if (p->has_socket_dir_case ==
		    CONTAINERD__RUNTIME__BOOTSTRAP__V1__BOOTSTRAP_PARAMS__HAS_SOCKET_DIR_SOCKET_DIR)
			ret->socket_dir = arena_strdup(a, p->socket_dir);
		for (size_t i = 0; i < p->n_extensions; i++) {
			const Google__Protobuf__Any *any = p->extensions[i]->value;

			if (any && strstr(any->type_url, options_type))
				boot_any(a, any, ret);
		}
	}
	containerd__runtime__bootstrap__v1__bootstrap_params__free_unpacked(p, NULL);
	return is_it;
}

int shim_boot_decode(struct arena *a, const char *id, const void *bytes, size_t n,
		     struct shim_boot *ret, struct err *e)
{
	*ret = (struct shim_boot){
		.socket_dir = "", .ttrpc_address = "", .grpc_address = "", .options_type = ""
	};
	if (!n || boot_params(a, id, bytes, n, ret))
		return 0;

	Google__Protobuf__Any *any = google__protobuf__any__unpack(NULL, n, bytes);

	if (!any)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "stdin holds neither bootstrap parameters nor runtime options");
	boot_any(a, any, ret);
	google__protobuf__any__free_unpacked(any, NULL);
	return 0;
}
