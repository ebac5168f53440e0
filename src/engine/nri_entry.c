#include "engine/nri_entry.h"

#include <string.h>

struct nri_entry *nri_entry_find(struct engine_nri *n, const char *ns, const char *id)
{
	struct nri_entry *found = NULL;

	pthread_mutex_lock(&n->lock);
	for (struct nri_entry *x = n->entries; x && !found; x = x->next)
		if (!strcmp(x->id, id) && (!ns || !strcmp(x->ns, ns)))
			found = x;
	if (found)
		atomic_fetch_add(&found->refs, 1);
	pthread_mutex_unlock(&n->lock);
	return found;
}

void nri_entry_unref(struct nri_entry *x)
{
	if (atomic_fetch_sub(&x->refs, 1) != 1)
		return;
	pthread_mutex_destroy(&x->ending);
	free(x->ns);
	free(x->id);
	free(x->pod);
	free(x->container);
	FREE_SHARED(x);
}

struct nri_entry *nri_entry_add(struct engine_nri *n, const char *ns, const char *id,
				json_object *pod, json_object *container)
{
	struct nri_entry *x = nri_entry_find(n, ns, id);

	if (x)
		return x;
	x = NEW(struct nri_entry);
	x->refs = 2;
	x->ns = xstrdup(ns);
	x->id = xstrdup(id);
	x->pod = xstrdup(json_object_to_json_string_ext(pod, JSON_C_TO_STRING_PLAIN));
	x->container = xstrdup(json_object_to_json_string_ext(container, JSON_C_TO_STRING_PLAIN));
	pthread_mutex_init(&x->ending, NULL);
	pthread_mutex_lock(&n->lock);
	x->next = n->entries;
	n->entries = x;
	pthread_mutex_unlock(&n->lock);
	return x;
}

void nri_entry_remove(struct engine_nri *n, struct nri_entry *x)
{
	bool was_there = false;

	pthread_mutex_lock(&n->lock);
	for (struct nri_entry **at = &n->entries; *at; at = &(*at)->next)
		if (*at == x) {
			*at = x->next;
			was_there = true;
			break;
		}
	pthread_mutex_unlock(&n->lock);
	if (was_there)
		nri_entry_unref(x);
}

void nri_entry_objects(const struct nri_entry *x, json_object **ret_pod,
		       json_object **ret_container)
{
	*ret_pod = json_tokener_parse(x->pod); /* our own text */
	*ret_container = json_tokener_parse(x->container);
}

static json_object *pairs(const struct labels *l)
{
	json_object *o = json_object_new_object();

	for (size_t i = 0; i < l->n; i++)
		json_object_object_add(o, l->v[i].key, json_object_new_string(l->v[i].value));
	return o;
}

static void put(json_object *o, const char *key, const char *value)
{
	json_object_object_add(o, key, json_object_new_string(value));
}

static const char *label_or(const struct labels *l, const char *key, const char *otherwise)
{
	const char *v = labels_get(l, key);

	return v && *v ? v : otherwise;
}

static void copy_member(json_object *from, const char *key, json_object *to)
{
	json_object *v;

	if (json_object_object_get_ex(from, key, &v))
		json_object_object_add(to, key, json_object_get(v));
}

void nri_describe(const struct container_record *r, const char *ns, json_object *spec,
		  json_object **ret_pod, json_object **ret_container)
{
	const char *pod_id = r->sandbox && *r->sandbox ? r->sandbox : r->id;
	json_object *pod = json_object_new_object(), *c = json_object_new_object();
	json_object *linux = json_object_new_object(), *from = NULL;

	put(pod, "id", pod_id);
	put(pod, "name", label_or(&r->labels, "io.kubernetes.pod.name", pod_id));
	put(pod, "uid", label_or(&r->labels, "io.kubernetes.pod.uid", pod_id));
	put(pod, "namespace", label_or(&r->labels, "io.kubernetes.pod.namespace", ns));
	put(pod, "runtimeHandler", r->runtime_name);
	json_object_object_add(pod, "labels", pairs(&r->labels));
	copy_member(spec, "annotations", pod);
	if (json_object_object_get_ex(spec, "linux", &from)) {
		copy_member(from, "cgroupsPath", linux);
		copy_member(from, "namespaces", linux);
	}
	json_object_object_add(pod, "linux", linux);

	put(c, "id", r->id);
	put(c, "podSandboxId", pod_id);
	put(c, "name", label_or(&r->labels, "io.kubernetes.container.name", r->id));
	json_object_object_add(c, "labels", pairs(&r->labels));
	json_object_object_add(
		c, "createdAt",
		json_object_new_int64(r->created.tv_sec * 1000000000 + r->created.tv_nsec));
	*ret_pod = pod;
	*ret_container = c;
}

void nri_set_state(json_object *container, enum task_status status, uint32_t pid)
{
	static const char *const names[] = {
		[TASK_UNKNOWN] = "CONTAINER_UNKNOWN", [TASK_CREATED] = "CONTAINER_CREATED",
		[TASK_RUNNING] = "CONTAINER_RUNNING", [TASK_STOPPED] = "CONTAINER_STOPPED",
		[TASK_PAUSED] = "CONTAINER_PAUSED",   [TASK_PAUSING] = "CONTAINER_PAUSED",
	};

	put(container, "state", names[status]);
	json_object_object_add(container, "pid", json_object_new_int64(pid));
}
