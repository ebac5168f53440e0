/* ctr oci, ctr deprecations, ctr plugins inspect-runtime: what daemon, shim and spec are like. */
#include "cmd/ctr/ctr.h"

#include "base/jsonr.h"
#include "cmd/ctr/json_print.h"
#include "cmd/ctr/logs.h"
#include "oci/generate.h"
#include "oci/platform.h"

#include "google/protobuf/empty.pb-c.h"

static int oci_spec(struct ctr *ctr, const struct args *args, struct err *e)
{
	struct str out AUTO_STR = STR_INIT(1 << 20);
	static const char *const any_args[] = { "sh", NULL };
	struct generate g = { .args = any_args,
			      .cgroups_path = arena_printf(ctr->arena, "/%s", ctr->ns) };
	const char *platform = args_string(args, "platform");
	AUTO_JSON json_object *spec = NULL;
	AUTO_FREE char *text = NULL;
	struct platform p;
	struct jsonw w;

	if (*platform && platform_parse(platform, &p, e) < 0)
		return -1;
	if (*platform && strcmp(p.os, "linux") != 0)
		return err_set(e, ERR_UNIMPLEMENTED, "only specs of linux are made here, not of %s",
			       p.os);
	if (generate_spec(&g, &text, e) < 0 || jsonr_parse(text, strlen(text), &spec, e) < 0)
		return err_wrap(e, "failed to generate spec");
	/* an image brings them */
	json_object_object_del(json_object_object_get(spec, "process"), "args");
	jsonw_init(&w, &out, 4);
	json_value(&w, spec);
	puts(str_c(&out));
	return 0;
}

static int deprecations_list(struct ctr *ctr, const struct args *args, struct err *e)
{
	Google__Protobuf__Empty none = GOOGLE__PROTOBUF__EMPTY__INIT;
	bool is_json = !strcmp(args_string(args, "format"), "json");
	struct str out AUTO_STR = STR_INIT(1 << 20);
	INTROSPECTION(ServerResponse) * s;
	struct jsonw w;

	if (CTR_CALL(ctr, "introspection.v1.Introspection/Server", &none,
		     introspection__v1__server_response, &s, e) < 0)
		return -1;
	jsonw_init(&w, &out, 4);
	jsonw_array(&w);
	for (size_t i = 0; i < s->n_deprecations; i++) {
		const INTROSPECTION(DeprecationWarning) *d = s->deprecations[i];

		if (is_json)
			json_message(&w, &d->base);
		else
			ctr_warn("%s (last occurrence: %s)", d->message,
				 time_rfc3339(ctr->arena, d->last_occurrence));
	}
	jsonw_end(&w);
	if (is_json)
		puts(str_c(&out));
	return 0;
}

static Google__Protobuf__Any *pack(struct arena *a, const char *type, const ProtobufCMessage *m)
{
	Google__Protobuf__Any *any = ARENA_NEW(a, Google__Protobuf__Any);

	google__protobuf__any__init(any);
	any->type_url = PB(type);
	any->value.len = protobuf_c_message_get_packed_size(m);
	any->value.data = arena_alloc(a, any->value.len + 1);
	protobuf_c_message_pack(m, any->value.data);
	return any;
}

/* runtimeoptions.v1.Options with its second field alone, which is a path. */
static Google__Protobuf__Any *path_options(struct arena *a, const char *path)
{
	Google__Protobuf__Any *any = ARENA_NEW(a, Google__Protobuf__Any);
	size_t left = strlen(path);
	struct str s AUTO_STR = STR_INIT(8192);

	str_addc(&s, 2 << 3 | 2);
	for (; left > 127; left >>= 7)
		str_addc(&s, (char)(left | 128));
	str_addc(&s, (char)left);
	str_add(&s, path);
	google__protobuf__any__init(any);
	any->type_url = PB("runtimeoptions.v1.Options");
	any->value.len = s.len;
	any->value.data = arena_memdup(a, str_c(&s), s.len);
	return any;
}

/* The shim's options, when one was given. */
static Google__Protobuf__Any *runtime_options(struct ctr *ctr, const struct args *args)
{
	Containerd__Runc__V1__Options o = CONTAINERD__RUNC__V1__OPTIONS__INIT;

	if (*args_string(args, "runtime-config-path"))
		return path_options(ctr->arena, args_string(args, "runtime-config-path"));
	if (!args_is_set(args, "runc-binary") && !args_is_set(args, "runc-root") &&
	    !args_bool(args, "runc-systemd-cgroup"))
		return NULL;
	o.binary_name = PB(args_string(args, "runc-binary"));
	o.root = PB(args_string(args, "runc-root"));
	o.systemd_cgroup = args_bool(args, "runc-systemd-cgroup");
	return pack(ctr->arena, "containerd.runc.v1.Options", &o.base);
}

/* Those of runc's shim; of another's, the type. */
static void add_options(struct jsonw *w, const Google__Protobuf__Any *any)
{
	Containerd__Runc__V1__Options *o = NULL;

	jsonw_key(w, "Options");
	if (any && str_ends(any->type_url, "containerd.runc.v1.Options"))
		o = containerd__runc__v1__options__unpack(NULL, any->value.len, any->value.data);
	if (o) {
		json_message(w, &o->base);
		containerd__runc__v1__options__free_unpacked(o, NULL);
		return;
	}
	jsonw_object(w);
	if (any)
		jsonw_kstring(w, "type_url", any->type_url);
	jsonw_end(w);
}

/* The runtime spec's features document, which is JSON inside of the Any. */
static void add_features(struct jsonw *w, const Google__Protobuf__Any *any)
{
	AUTO_JSON json_object *o = NULL;
	struct err ignored = { 0 };

	if (any)
		(void)jsonr_parse((const char *)any->value.data, any->value.len, &o, &ignored);
	jsonw_key(w, "Features");
	json_value(w, o);
}

static void print_runtime(const Containerd__Types__RuntimeInfo *info)
{
	struct str out AUTO_STR = STR_INIT(4 << 20);
	struct arena *a AUTO_ARENA = arena_new();
	struct labels l;
	struct jsonw w;

	jsonw_init(&w, &out, 4);
	jsonw_object(&w);
	jsonw_kstring(&w, "Name", info->name);
	jsonw_key(&w, "Version");
	jsonw_object(&w);
	jsonw_kstring(&w, "Version", info->version ? info->version->version : "");
	jsonw_kstring(&w, "Revision", info->version ? info->version->revision : "");
	jsonw_end(&w);
	add_options(&w, info->options);
	add_features(&w, info->features);
	jsonw_key(&w, "Annotations");
	labels_from_pb(a, info->annotations, info->n_annotations, &l);
	json_labels(&w, &l);
	jsonw_end(&w);
	puts(str_c(&out));
}

int runtime_info(struct ctr *ctr, const char *runtime, Google__Protobuf__Any *options,
		 Containerd__Types__RuntimeInfo **ret, struct err *e)
{
	Containerd__Types__RuntimeRequest ask = CONTAINERD__TYPES__RUNTIME_REQUEST__INIT;
	INTROSPECTION(PluginInfoRequest) req = INTROSPECTION_INIT(PLUGIN_INFO_REQUEST);
	INTROSPECTION(PluginInfoResponse) * rsp;

	ask.runtime_path = PB(runtime);
	ask.options = options;
	req.type = PB("io.containerd.runtime.v2");
	req.id = PB("task");
	req.options = pack(ctr->arena, "containerd.types.RuntimeRequest", &ask.base);
	if (CTR_CALL(ctr, "introspection.v1.Introspection/PluginInfo", &req,
		     introspection__v1__plugin_info_response, &rsp, e) < 0)
		return -1;
	*ret = rsp->extra ? containerd__types__runtime_info__unpack(NULL, rsp->extra->value.len,
								    rsp->extra->value.data)
			  : NULL;
	return *ret ? 0 : err_set(e, ERR_UNKNOWN, "the answer is no containerd.types.RuntimeInfo");
}

int inspect_runtime_run(struct ctr *ctr, const struct args *args, struct err *e)
{
	Containerd__Types__RuntimeInfo *info;

	if (runtime_info(ctr, args_string(args, "runtime"), runtime_options(ctr, args), &info, e) <
	    0)
		return -1;
	print_runtime(info);
	containerd__types__runtime_info__free_unpacked(info, NULL);
	return 0;
}

static const struct flag spec_flags[] = {
	{ "platform", FLAG_STRING, NULL,
	  "platform of the spec to print (Examples: 'linux/arm64', 'windows/amd64')" },
	{ NULL },
};

static const struct flag deprecations_flags[] = {
	{ "format", FLAG_STRING, NULL, "output format to use (Examples: 'default', 'json')" },
	{ NULL },
};

const struct flag inspect_runtime_flags[] = {
	{ "runtime", FLAG_STRING, NULL, "runtime name or absolute path to runtime binary",
	  "io.containerd.runc.v2" },
	{ "runtime-config-path", FLAG_STRING, NULL, "optional runtime config path" },
	{ "runc-binary", FLAG_STRING, NULL, "specify runc-compatible binary" },
	{ "runc-root", FLAG_STRING, NULL, "specify runc-compatible root" },
	{ "runc-systemd-cgroup", FLAG_BOOL, NULL, "start runc with systemd cgroup manager" },
	{ NULL },
};

const struct command oci_commands[] = {
	{ .name = "spec",
	  .usage = "see the output of the default OCI spec",
	  .flags = { spec_flags },
	  .run = oci_spec },
	{ .name = NULL },
};

const struct command deprecations_commands[] = {
	{ .name = "list",
	  .usage = "print warnings for deprecations",
	  .flags = { deprecations_flags },
	  .run = deprecations_list },
	{ .name = NULL },
};
