#include "cmd/ctr/network.h"
#include "cmd/ctr/logs.h"
#include "cmd/ctr/network_reach.h"

#include "cmd/ctr/json_print.h"
#include "net/cni.h"
#include "net/publish.h"
#include "os/file.h"

#include <fcntl.h>

#define MARK "ctr.cni-containerd.metadata"
#define MARK_TYPE "github.com/containerd/containerd/v2/cmd/ctr/commands/NetworkMetaData"
#define MARK_VALUE "{\"EnableCni\":true}"

enum { RECORD_MAX = 8 << 20 };

typedef Containerd__Services__Containers__V1__Container__ExtensionsEntry extension;

static void add_extension(struct arena *a, ctr_container *c, const char *key, const char *type,
			  const char *value)
{
	extension **v = arena_array(a, c->n_extensions + 1, sizeof(extension *));
	extension *x = ARENA_NEW(a, extension);
	Google__Protobuf__Any *any = ARENA_NEW(a, Google__Protobuf__Any);

	containerd__services__containers__v1__container__extensions_entry__init(x);
	google__protobuf__any__init(any);
	any->type_url = PB(type);
	any->value = (ProtobufCBinaryData){ strlen(value), (uint8_t *)(uintptr_t)value };
	x->key = PB(key);
	x->value = any;
	if (c->n_extensions)
		memcpy(v, c->extensions, c->n_extensions * sizeof *v);
	v[c->n_extensions++] = x;
	c->extensions = v;
}

static const Google__Protobuf__Any *find_extension(const ctr_container *c, const char *key)
{
	for (size_t i = 0; i < c->n_extensions; i++)
		if (!strcmp(c->extensions[i]->key, key))
			return c->extensions[i]->value;
	return NULL;
}

json_object *network_wishes_of(const ctr_container *c)
{
	const Google__Protobuf__Any *any = find_extension(c, NETWORK_EXTENSION);
	json_object *o = NULL;
	struct err bad = { 0 };

	if (!any || jsonr_parse((const char *)any->value.data, any->value.len, &o, &bad) < 0)
		return NULL;
	if (json_object_is_type(o, json_type_object))
		return o;
	json_object_put(o);
	return NULL;
}

static bool has_dns(json_object *wishes)
{
	json_object *dns = NULL;
	struct err bad = { 0 };

	if (jsonr_object(wishes, "dns", &dns, &bad) < 0 || !dns)
		return false;
	json_object_object_foreach(dns, key, value)
	{
		(void)key;
		if (json_object_is_type(value, json_type_array) && json_object_array_length(value))
			return true;
	}
	return false;
}

int network_mark(struct ctr *ctr, const char *wishes, ctr_container *c, struct err *e)
{
	AUTO_JSON json_object *o = NULL;
	struct kept kept;

	if (kept_find(ctr, &kept, e) < 0)
		return -1;
	add_extension(ctr->arena, c, NETWORK_EXTENSION, NETWORK_TYPE_URL, wishes);
	if (*kept.networks)
		return 0;
	o = network_wishes_of(c);
	if (has_dns(o))
		return err_set(e, ERR_UNIMPLEMENTED,
			       "--dns, --dns-search and --dns-option need casco's own daemon");
	add_extension(ctr->arena, c, MARK, MARK_TYPE, MARK_VALUE);
	return 0;
}

/* --- with another daemon --- */

static bool is_ours(const ctr_container *c)
{
	return find_extension(c, MARK) && find_extension(c, NETWORK_EXTENSION);
}

static int add_one(const struct cni_env *env, const char *name, struct cni_attachment *at,
		   struct err *e)
{
	AUTO_CNI_NET struct cni_net *net = NULL;
	AUTO_JSON json_object *result = NULL;

	if (cni_net_load(env, name, &net, e) < 0)
		return -1;
	if (at->capability_args) {
		json_object_object_foreach(at->capability_args, key, value)
		{
			(void)value;
			if (!cni_net_can(net, key))
				return err_set(e, ERR_FAILED_PRECONDITION,
					       "network \"%s\" has no plugin with the capability "
					       "\"%s\"",
					       net->name, key);
		}
	}
	return cni_add(env, net, at, NULL, &result, e);
}

int network_attach_task(struct ctr *ctr, const ctr_container *c, uint32_t pid, struct err *e)
{
	const struct cni_env env = CNI_ENV_DEFAULT;
	AUTO_JSON json_object *wishes = is_ours(c) ? network_wishes_of(c) : NULL;
	json_object *names = NULL, *args = NULL;
	struct cni_attachment at = {
		.container = arena_printf(ctr->arena, "%s-%s", ctr->ns, c->id),
		.netns = arena_printf(ctr->arena, "/proc/%u/ns/net", pid),
	};
	size_t n;

	if (!wishes)
		return 0;
	if (jsonr_array(wishes, "networks", &names, e) < 0 ||
	    jsonr_object(wishes, "capabilityArgs", &args, e) < 0)
		return -1;
	n = names ? json_object_array_length(names) : 0;
	for (size_t i = 0; i == 0 || i < n; i++) {
		const char *name =
			n ? json_object_get_string(json_object_array_get_idx(names, i)) : NULL;

		at.ifname = arena_printf(ctr->arena, "eth%zu", i);
		at.capability_args = i ? NULL : args;
		if (add_one(&env, name, &at, e) < 0) {
			network_detach_task(ctr, c);
			return -1;
		}
	}
	return 0;
}

void network_detach_task(struct ctr *ctr, const ctr_container *c)
{
	const struct cni_env env = CNI_ENV_DEFAULT;
	const char *id = arena_printf(ctr->arena, "%s-%s", ctr->ns, c->id);
	struct cni_whose whose = { .is_outside = true };
	struct err e = { 0 }, ignored = { 0 };
	struct kept kept = { 0 };
	char text[1100];

	if (!find_extension(c, MARK))
		return;
	/* our daemon's own are its own to undo, whatever they are called */
	(void)kept_find(ctr, &kept, &ignored);
	whose.folder = kept.networks;
	if (cni_del_cached(&env, id, kept.networks && *kept.networks ? &whose : NULL, &e) < 0)
		ctr_warn("failed to remove network: %s", err_text(&e, text, sizeof text));
}

/* --- to look at --- */

const char *network_ports(struct ctr *ctr, const ctr_container *c)
{
	AUTO_JSON json_object *wishes = network_wishes_of(c);
	struct str s AUTO_STR = STR_INIT(256 << 10);
	json_object *args = NULL, *ports = NULL;
	struct err bad = { 0 };

	if (!wishes || jsonr_object(wishes, "capabilityArgs", &args, &bad) < 0 || !args ||
	    jsonr_array(args, "portMappings", &ports, &bad) < 0 || !ports)
		return "";
	publish_print(ports, &s);
	return arena_strdup(ctr->arena, str_c(&s));
}

static void put_attachments(struct jsonw *w, const char *path)
{
	AUTO_JSON json_object *record = NULL;
	AUTO_FREE char *text = NULL;
	json_object *list = NULL;
	struct err bad = { 0 };
	size_t n;

	if (file_read(AT_FDCWD, path, RECORD_MAX, &text, &n) < 0 ||
	    jsonr_parse(text, n, &record, &bad) < 0 ||
	    !json_object_is_type(record, json_type_object) ||
	    jsonr_array(record, "attachments", &list, &bad) < 0 || !list)
		return;
	for (size_t i = 0; i < json_object_array_length(list); i++)
		if (json_object_is_type(json_object_array_get_idx(list, i), json_type_object))
			json_object_object_del(json_object_array_get_idx(list, i), "config");
	jsonw_key(w, "Attachments");
	json_value(w, list);
}

void network_put(struct ctr *ctr, struct jsonw *w, const ctr_container *c, const struct kept *kept)
{
	AUTO_JSON json_object *wishes = network_wishes_of(c);

	jsonw_key(w, "Network");
	if (!wishes) {
		jsonw_raw(w, "null");
		return;
	}
	AUTO_STRV struct strv reach = network_reach(wishes, kept);

	jsonw_object(w);
	jsonw_kstring(w, "Ports", network_ports(ctr, c));
	jsonw_key(w, "Reach");
	jsonw_array(w);
	for (size_t i = 0; i < reach.n; i++)
		jsonw_string(w, reach.v[i]);
	jsonw_end(w);
	jsonw_key(w, "Wishes");
	json_value(w, wishes);
	if (*kept->networks)
		put_attachments(w, arena_printf(ctr->arena, "%s/%s/%s/record.json", kept->networks,
						ctr->ns, c->id));
	jsonw_end(w);
}
