/* What the runtimes of the handlers can do, by their own words: kubelet gives a pod with a user
 * namespace to none that does not say it can make one. */
#include "base/log.h"
#include "cri/private.h"

#include "containerd/types/introspection.pb-c.h"
#include "google/protobuf/any.pb-c.h"
#include <string.h>

static bool list_has(json_object *o, const char *key, const char *word)
{
	json_object *v;

	if (!o || !json_object_object_get_ex(o, key, &v) ||
	    !json_object_is_type(v, json_type_array))
		return false;
	for (size_t i = 0; i < json_object_array_length(v); i++) {
		const char *s = json_object_get_string(json_object_array_get_idx(v, i));

		if (s && !strcmp(s, word))
			return true;
	}
	return false;
}

static json_object *child(json_object *o, const char *key)
{
	json_object *v;

	return o && json_object_object_get_ex(o, key, &v) &&
			       json_object_is_type(v, json_type_object)
		       ? v
		       : NULL;
}

int cri_features_parse(const char *text, size_t n, struct handler_features *ret, struct err *e)
{
	AUTO_JSON json_object *o = NULL;
	json_object *l, *idmap, *on;

	if (jsonr_parse(text, n, &o, e) < 0)
		return -1;
	if (!json_object_is_type(o, json_type_object))
		return err_set(e, ERR_DATA_LOSS, "features are no JSON object");
	l = child(o, "linux");
	idmap = child(child(l, "mountExtensions"), "idmap");
	ret->has_rro = list_has(o, "mountOptions", "rro");
	ret->has_userns = list_has(l, "namespaces", "user") && idmap &&
			  json_object_object_get_ex(idmap, "enabled", &on) &&
			  json_object_get_boolean(on);
	return 0;
}

/* By the shim's -info, with the options that its containers get. */
static int ask(struct cri *cri, const char *handler, struct arena *a, struct handler_features *ret,
	       struct err *e)
{
	Google__Protobuf__Any options = GOOGLE__PROTOBUF__ANY__INIT;
	const Containerd__Types__RuntimeInfo *info;
	struct container_record r = { 0 };
	struct any any, packed;

	if (cri_set_runtime(cri, handler, a, &r, e) < 0)
		return -1;
	options.type_url = (char *)(r.runtime_options.type_url ?: "");
	options.value.data = (uint8_t *)(uintptr_t)r.runtime_options.value;
	options.value.len = r.runtime_options.n;
	packed = message_pack(a, &options.base);
	if (tasks_shim_info(cri->en->tasks, r.runtime_name, packed.value, packed.n, a, &any, e) < 0)
		return -1;
	info = message_unpack(a, &containerd__types__runtime_info__descriptor, any.value, any.n);
	if (!info)
		return err_set(e, ERR_DATA_LOSS, "the answer of runtime %s cannot be read",
			       r.runtime_name);
	/* an older shim, or another's: it promises nothing */
	if (!info->features || !info->features->value.len)
		return 0;
	return cri_features_parse((const char *)info->features->value.data,
				  info->features->value.len, ret, e);
}

struct handler_features cri_features(struct cri *cri, const char *handler)
{
	const char *name = *handler ? handler : cri->en->cfg->cri.default_runtime;
	AUTO_ARENA struct arena *a = arena_new();
	struct handler_features f = { 0 };
	struct err e = { 0 };

	pthread_mutex_lock(&cri->lock);
	for (size_t i = 0; i < cri->n_features; i++)
		if (!strcmp(cri->features[i].name, name))
			f = cri->features[i];
	pthread_mutex_unlock(&cri->lock);
	if (f.name)
		return f;
	if (ask(cri, name, a, &f, &e) < 0)
		log_warn(LOG({ "runtime", name }, { "error", e.msg }),
			 "what the runtime can do is not known: pods get neither user namespaces "
			 "nor recursive read-only mounts");
	f.name = name;
	pthread_mutex_lock(&cri->lock);
	GROW(cri->features, cri->n_features, cri->features_cap); /* two that ask at once: no harm */
	cri->features[cri->n_features++] = f;
	pthread_mutex_unlock(&cri->lock);
	return f;
}
