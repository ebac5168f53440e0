/* ctr version, ctr info, ctr plugins */
#include "cmd/ctr/ctr.h"

#include "cmd/ctr/list_json.h"
#include "cmd/ctr/table.h"

#include "base/jsonw.h"
#include "base/log.h"

#include <stdarg.h>

void ctr_warn(const char *fmt, ...)
{
	char text[1200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	log_warn(LOG_NONE, "%s", text);
}

static int server_info(struct ctr *ctr, INTROSPECTION(ServerResponse) * *ret, struct err *e)
{
	Google__Protobuf__Empty none = GOOGLE__PROTOBUF__EMPTY__INIT;

	return CTR_CALL(ctr, "introspection.v1.Introspection/Server", &none,
			introspection__v1__server_response, ret, e);
}

static void print_json(const char *version, const char *revision, const char *uuid)
{
	struct str out AUTO_STR = STR_INIT(64 << 10);
	struct jsonw w;

	jsonw_init(&w, &out, 4);
	jsonw_object(&w);
	jsonw_key(&w, "client");
	jsonw_object(&w);
	jsonw_kstring(&w, "version", CASCO_VERSION);
	jsonw_end(&w);
	jsonw_key(&w, "server");
	jsonw_object(&w);
	jsonw_kstring(&w, "version", version);
	jsonw_kstring(&w, "revision", revision);
	jsonw_kstring(&w, "uuid", uuid);
	jsonw_end(&w);
	jsonw_end(&w);
	puts(str_c(&out));
}

int version_run(struct ctr *ctr, const struct args *args, struct err *e)
{
	Google__Protobuf__Empty none = GOOGLE__PROTOBUF__EMPTY__INIT;
	Containerd__Services__Version__V1__VersionResponse *v;
	INTROSPECTION(ServerResponse) * s;
	bool json;

	if (list_wants_json(args, &json, e) < 0)
		return -1;
	if (!json)
		printf("Client:\n  Version:  %s\n  Revision: \n\n", CASCO_VERSION);
	if (CTR_CALL(ctr, "version.v1.Version/Version", &none, version__v1__version_response, &v,
		     e) < 0)
		return -1;
	if (!json)
		ctr_print(stdout, "Server:\n  Version:  %s\n  Revision: %s\n", v->version,
			  v->revision);
	if (server_info(ctr, &s, e) < 0)
		return -1;
	if (json)
		print_json(v->version, v->revision, s->uuid);
	else
		ctr_print(stdout, "  UUID: %s\n", s->uuid);
	for (size_t i = 0; i < s->n_deprecations; i++)
		ctr_warn("%s", s->deprecations[i]->message);
	return 0;
}

int info_run(struct ctr *ctr, const struct args *args, struct err *e)
{
	struct str out AUTO_STR = STR_INIT(1 << 20);
	INTROSPECTION(ServerResponse) * s;
	struct jsonw w;

	(void)args;
	if (server_info(ctr, &s, e) < 0)
		return -1;
	jsonw_init(&w, &out, 4);
	jsonw_object(&w);
	jsonw_key(&w, "server");
	jsonw_object(&w);
	jsonw_kstring(&w, "uuid", s->uuid);
	jsonw_ku64(&w, "pid", s->pid);
	jsonw_ku64(&w, "pidns", s->pidns);
	jsonw_end(&w);
	jsonw_end(&w);
	puts(str_c(&out));
	return 0;
}

/* "linux/amd64,linux/386", or "-" */
static const char *platforms_text(struct arena *a, Containerd__Types__Platform **v, size_t n)
{
	struct str s AUTO_STR = STR_INIT(4096);

	for (size_t i = 0; i < n; i++)
		str_addf(&s, "%s%s/%s%s%s", i ? "," : "", v[i]->os, v[i]->architecture,
			 *v[i]->variant ? "/" : "", v[i]->variant);
	return n ? arena_strdup(a, str_c(&s)) : "-";
}

static const char *plugin_status(const INTROSPECTION(Plugin) * p)
{
	if (!p->init_err)
		return "ok";
	return str_ends(p->init_err->message, "skip plugin") ||
			       strstr(p->init_err->message, "skip plugin: ")
		       ? "skip"
		       : "error";
}

static const char *spaced(struct arena *a, const char *s, const char *behind)
{
	return arena_printf(a, " %s%s", s, behind);
}

/* The original's lines and the blanks in them: one table of cells for all plugins. */
static void add_details(struct table *t, const INTROSPECTION(Plugin) * p)
{
	struct str capabilities AUTO_STR = STR_INIT(64 << 10);
	struct arena *a = t->arena;
	struct labels exports;

	if (t->n)
		table_row(t, "", "", "", "", NULL);
	table_row(t, "Type:", spaced(a, p->type, ""), NULL);
	table_row(t, "ID:", spaced(a, p->id, ""), NULL);
	if (p->n_requires)
		table_row(t, "Requires:", "", NULL);
	for (size_t i = 0; i < p->n_requires; i++)
		table_row(t, "", spaced(a, p->requires[i], ""), NULL);
	if (p->n_platforms)
		table_row(t, "Platforms:",
			  spaced(a, platforms_text(a, p->platforms, p->n_platforms), ""), NULL);
	labels_from_pb(a, p->exports, p->n_exports, &exports);
	if (exports.n)
		table_row(t, "Exports:", "", NULL);
	for (size_t i = 0; i < exports.n; i++)
		table_row(t, "", spaced(a, exports.keys[i], " "), spaced(a, exports.values[i], ""),
			  NULL);
	for (size_t i = 0; i < p->n_capabilities; i++)
		str_addf(&capabilities, "%s%s", i ? "," : "", p->capabilities[i]);
	if (p->n_capabilities)
		table_row(t, "Capabilities:", spaced(a, str_c(&capabilities), ""), NULL);
	if (!p->init_err)
		return;
	table_row(t, "Error:", "", NULL);
	table_row(t, "", " Code:", spaced(a, err_class_name(p->init_err->code), ""), NULL);
	table_row(t, "", " Message:", spaced(a, p->init_err->message, ""), NULL);
}

static int plugins_list(struct ctr *ctr, const struct args *args, struct err *e)
{
	INTROSPECTION(PluginsRequest) req = INTROSPECTION_INIT(PLUGINS_REQUEST);
	INTROSPECTION(PluginsResponse) * rsp;
	struct table t = TABLE_WIDE(ctr->arena);
	bool json;

	if (list_wants_json(args, &json, e) < 0)
		return -1;
	req.filters = (char **)(uintptr_t)args->v;
	req.n_filters = args->n;
	if (CTR_CALL(ctr, "introspection.v1.Introspection/Plugins", &req,
		     introspection__v1__plugins_response, &rsp, e) < 0)
		return -1;
	if (json)
		return list_print_json(rsp->plugins, rsp->n_plugins, e);
	if (!args_bool(args, "quiet") && !args_bool(args, "detailed"))
		table_row(&t, "TYPE", "ID", "PLATFORMS", "STATUS", "", NULL);
	for (size_t i = 0; i < rsp->n_plugins; i++) {
		const INTROSPECTION(Plugin) *p = rsp->plugins[i];

		if (args_bool(args, "quiet"))
			ctr_puts(ctr, p->id);
		else if (args_bool(args, "detailed"))
			add_details(&t, p);
		else
			table_row(&t, p->type, p->id,
				  platforms_text(ctr->arena, p->platforms, p->n_platforms),
				  plugin_status(p), "", NULL);
	}
	table_print(&t, stdout);
	return 0;
}

static const struct flag list_flags[] = {
	{ "quiet", FLAG_BOOL, "q", "print only the plugin ids" },
	{ "detailed", FLAG_BOOL, "d", "print detailed information about each plugin" },
	{ NULL },
};

const struct command plugins_commands[] = {
	{ .name = "list",
	  .aliases = "ls",
	  .usage = "lists containerd plugins",
	  .args_usage = "[arguments...]",
	  .flags = { list_flags, list_format_flags },
	  .run = plugins_list },
	{ .name = "inspect-runtime",
	  .usage = "display runtime info",
	  .args_usage = "[flags]",
	  .flags = { inspect_runtime_flags },
	  .run = inspect_runtime_run },
	{ .name = NULL },
};
