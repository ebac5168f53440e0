#include "engine/network_attach.h"
#include "loop/trace.h"

#include "net/builtin.h"
#include "net/files.h"
#include "net/publish.h"
#include "os/fd.h"
#include "os/file.h"

#include <fcntl.h>
#include <string.h>

enum { NETWORKS_MAX = 16, IFNAME = 16 };

/* The networks of one container, before anything is done. */
struct plan {
	struct cni_net *nets[NETWORKS_MAX];
	size_t n;
	json_object *args; /* capabilityArgs of the wishes, or NULL: the first network's */
	json_object *dns;
	const char *cni_args; /* "K=V;K=V" */
	bool is_lenient; /* wishes that no plugin would hear of are let go */
	json_object *record, *attachments; /* attachments is borrowed from record */
};

static void plan_done(struct plan *p)
{
	for (size_t i = 0; i < p->n; i++)
		cni_net_free(p->nets[i]);
	json_object_put(p->record);
}

static void ifname_of(size_t i, char ret[IFNAME])
{
	snprintf(ret, IFNAME, "eth%zu", i);
}

/* The operator's; where there is none, the built-in one, which also goes by its name. */
static int load_network(const struct cni_env *env, const char *name, struct cni_net **ret,
			struct err *e)
{
	if (cni_net_load(env, name, ret, e) == 0)
		return 0;
	if (e->code != ERR_NOT_FOUND || (name && strcmp(name, BUILTIN_NAME) != 0))
		return -1;
	err_clear(e);
	return builtin_default(ret, e);
}

/* The built-in one needs nothing, so it is always ready. */
int network_check_default(const struct cni_env *env, struct err *e)
{
	AUTO_CNI_NET struct cni_net *net = NULL;

	if (cni_net_load(env, NULL, &net, e) < 0) {
		if (e->code != ERR_NOT_FOUND)
			return -1;
		err_clear(e);
		return 0;
	}
	return net->is_builtin                     ? 0
	       : cni_find_plugins(env, net, e) < 0 ? -1
						   : cni_status(env, net, e);
}

static int load_networks(const struct cni_env *env, json_object *names, struct plan *p,
			 struct err *e)
{
	size_t n = names ? json_object_array_length(names) : 0;

	if (n > NETWORKS_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "more than %d networks", NETWORKS_MAX);
	if (!n) {
		if (load_network(env, NULL, &p->nets[0], e) < 0)
			return -1;
		p->n = 1;
	}
	for (size_t i = 0; i < n; i++) {
		json_object *o = json_object_array_get_idx(names, i);

		if (!json_object_is_type(o, json_type_string))
			return err_set(e, ERR_INVALID_ARGUMENT, "the name of network %zu is none",
				       i);
		if (load_network(env, json_object_get_string(o), &p->nets[i], e) < 0)
			return -1;
		p->n++;
		for (size_t k = 0; k < i; k++)
			if (!strcmp(p->nets[k]->name, p->nets[i]->name))
				return err_set(e, ERR_INVALID_ARGUMENT, "network \"%s\" twice",
					       p->nets[i]->name);
	}
	return 0;
}

static bool is_empty(json_object *o)
{
	return json_object_is_type(o, json_type_array) && !json_object_array_length(o);
}

/* A wish that no plugin would hear of must not be lost without a word. */
static int check_wishes(const struct plan *p, struct err *e)
{
	static const char *const optional[] = { "dns", "aliases", NULL };

	if (!p->args || p->is_lenient)
		return 0;
	json_object_object_foreach(p->args, key, value)
	{
		bool may_miss = is_empty(value);

		for (const char *const *o = optional; *o; o++)
			may_miss |= !strcmp(*o, key);
		if (!may_miss && !cni_net_can(p->nets[0], key))
			return err_set(e, ERR_FAILED_PRECONDITION,
				       "network \"%s\" has no plugin with the capability \"%s\"",
				       p->nets[0]->name, key);
	}
	return 0;
}

static int make_plan(const struct cni_env *env, const struct network_job *job, struct plan *p,
		     struct err *e)
{
	json_object *wishes = job->wishes, *names = NULL, *ports = NULL;

	if (jsonr_array(wishes, "networks", &names, e) < 0 ||
	    jsonr_object(wishes, "capabilityArgs", &p->args, e) < 0 ||
	    jsonr_object(wishes, "dns", &p->dns, e) < 0 ||
	    jsonr_string(wishes, "args", &p->cni_args, e) < 0 ||
	    jsonr_bool(wishes, "isLenient", &p->is_lenient, e) < 0)
		return err_wrap(e, "the wishes of the container's network");
	if (*job->publish_address && p->args &&
	    json_object_object_get_ex(p->args, "portMappings", &ports) &&
	    json_object_is_type(ports, json_type_array))
		publish_set_address(ports, job->publish_address);
	if (load_networks(env, names, p, e) < 0)
		return -1;
	p->record = json_object_new_object();
	p->attachments = json_object_new_array();
	json_object_object_add(p->record, "attachments", p->attachments);
	for (size_t i = 0; i < p->n; i++) {
		json_object *o = json_object_new_object();
		char ifname[IFNAME];

		ifname_of(i, ifname);
		json_object_object_add(o, "network", json_object_new_string(p->nets[i]->name));
		json_object_object_add(o, "ifName", json_object_new_string(ifname));
		json_object_object_add(o, "config", json_object_new_string(p->nets[i]->text));
		if (i == 0 && p->args)
			json_object_object_add(o, "capabilityArgs", json_object_get(p->args));
		if (p->cni_args)
			json_object_object_add(o, "args", json_object_new_string(p->cni_args));
		json_object_array_add(p->attachments, o);
	}
	return check_wishes(p, e);
}

/* "a" with container "b-c" and "a-b" with "c" have one name: the second must not take the first
 * one's away, as an ADD and its undoing would. */
static int check_free(const struct cni_env *env, const struct cni_net *net,
		      const struct cni_attachment *at, struct err *e)
{
	AUTO_JSON json_object *doc = NULL;
	const char *netns = "";
	int r = cni_cache_read(env, net->name, at->container, at->ifname, &doc, e);

	if (r <= 0)
		return r;
	if (jsonr_string(doc, "netns", &netns, e) < 0)
		return -1;
	if (!strcmp(netns, at->netns)) /* ours, of before a crash */
		return cni_del(env, net, at, e);
	return err_set(e, ERR_ALREADY_EXISTS, "%s of container \"%s\" in network \"%s\"",
		       at->ifname, at->container, net->name);
}

static struct cni_attachment attachment_of(const struct place *place, const struct plan *p,
					   size_t i, int lock, char ifname[IFNAME])
{
	ifname_of(i, ifname);
	return (struct cni_attachment){ .container = place->container,
					.netns = place->netns,
					.ifname = ifname,
					.capability_args = i ? NULL : p->args,
					.args = p->cni_args ?: "",
					.lock = lock };
}

static int check_all_free(const struct cni_env *env, const struct place *place,
			  const struct plan *p, int lock, struct err *e)
{
	char ifname[IFNAME];

	for (size_t i = 0; i < p->n; i++) {
		const struct cni_attachment at = attachment_of(place, p, i, lock, ifname);

		if (cni_find_plugins(env, p->nets[i], e) < 0 ||
		    check_free(env, p->nets[i], &at, e) < 0)
			return -1;
	}
	return 0;
}

/* What was added before a failure is the caller's to undo: by the record. */
static int add_all(const struct cni_env *env, const struct place *place, struct plan *p, int lock,
		   struct cancel *cancel, struct err *e)
{
	for (size_t i = 0; i < p->n; i++) {
		char ifname[IFNAME];
		const struct cni_attachment at = attachment_of(place, p, i, lock, ifname);
		json_object *result;

		if (cni_add(env, p->nets[i], &at, cancel, &result, e) < 0)
			return -1;
		json_object_object_add(json_object_array_get_idx(p->attachments, i), "result",
				       result);
	}
	return 0;
}

static json_object *result_of(const struct plan *p)
{
	json_object *o = NULL;

	(void)json_object_object_get_ex(json_object_array_get_idx(p->attachments, 0), "result", &o);
	return o;
}

static int attach_foreign(const struct place *place, struct err *e)
{
	AUTO_JSON json_object *record = json_object_new_object();

	json_object_object_add(record, "isForeign", json_object_new_boolean(true));
	return place_write(place, record, e);
}

int network_attach(const struct cni_env *env, const struct place *place,
		   const struct network_job *job, struct err *e)
{
	TRACE_STEP("network");
	CLEANUP(plan_done) struct plan p = { 0 };

	if (!job->wishes)
		return attach_foreign(place, e);
	if (!job->pid)
		return err_set(
			e, ERR_UNIMPLEMENTED,
			"a task that goes on from a checkpoint cannot be attached to a network");

	AUTO_FD int lock = place_lock(place, e);

	if (lock < 0)
		return -1;
	/* The record comes before the first ADD: who is killed in the middle has a DEL to do. */
	if (make_plan(env, job, &p, e) < 0 || check_all_free(env, place, &p, lock, e) < 0 ||
	    place_pin(place, job->pid, e) < 0 || place_write(place, p.record, e) < 0)
		return -1;
	if (add_all(env, place, &p, lock, job->cancel, e) < 0)
		return -1;
	if (place_write(place, p.record, e) < 0)
		return -1;
	return place_fill(place, job->id, job->hostname, p.dns, result_of(&p), e);
}

/* --- the end --- */

/* One of a record's attachments; *ret_net is the caller's. */
static int attachment_read(const struct place *place, json_object *o, int lock,
			   struct cni_net **ret_net, struct cni_attachment *ret, struct err *e)
{
	json_object *args = NULL;
	const char *config = "", *ifname = "", *cni_args = "";

	if (!json_object_is_type(o, json_type_object))
		return err_set(e, ERR_DATA_LOSS, "an attachment is no object");
	/* of a former daemon's, the cache has the wishes: it was written after the last ADD */
	if (jsonr_string(o, "config", &config, e) < 0 ||
	    jsonr_string(o, "ifName", &ifname, e) < 0 ||
	    jsonr_string(o, "args", &cni_args, e) < 0 ||
	    jsonr_object(o, "capabilityArgs", &args, e) < 0)
		return -1;
	*ret = (struct cni_attachment){ .container = place->container,
					.netns = place_netns(place),
					.ifname = ifname,
					.capability_args = args,
					.args = cni_args,
					.lock = lock };
	return cni_net_parse(config, strlen(config), true, NULL, ret_net, e);
}

static int del_one(const struct cni_env *env, const struct place *place, json_object *o, int lock,
		   struct err *e)
{
	AUTO_CNI_NET struct cni_net *net = NULL;
	struct cni_attachment at;

	return attachment_read(place, o, lock, &net, &at, e) < 0 ? -1 : cni_del(env, net, &at, e);
}

/* All of them, also behind one that fails; the first failure is told. */
static int del_all(const struct cni_env *env, const struct place *place, json_object *record,
		   int lock, struct err *e)
{
	json_object *list = NULL;
	int ret = 0;

	if (jsonr_array(record, "attachments", &list, e) < 0)
		return -1;
	for (size_t i = list ? json_object_array_length(list) : 0; i-- > 0;) {
		struct err bad = { 0 };

		if (del_one(env, place, json_object_array_get_idx(list, i), lock, &bad) < 0 &&
		    ret == 0)
			ret = err_copy(e, &bad);
	}
	return ret;
}

static bool is_foreign(json_object *record)
{
	bool is = false;
	struct err bad = { 0 };

	return jsonr_bool(record, "isForeign", &is, &bad) == 0 && is;
}

bool network_is_foreign(const struct place *p)
{
	AUTO_JSON json_object *record = NULL;
	struct err e = { 0 };

	return place_read(p, &record, &e) > 0 && is_foreign(record);
}

int network_restore(const struct cni_env *env, const struct place *p, bool *ret_did, struct err *e)
{
	AUTO_JSON json_object *record = NULL;
	json_object *list = NULL;
	int r = place_read(p, &record, e);

	if (r <= 0 || is_foreign(record))
		return r < 0 ? -1 : 0;
	if (jsonr_array(record, "attachments", &list, e) < 0)
		return -1;
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		AUTO_CNI_NET struct cni_net *net = NULL;
		struct cni_attachment at;

		if (attachment_read(p, json_object_array_get_idx(list, i), 0, &net, &at, e) < 0)
			return -1;
		if (net->is_builtin && builtin_restore(env, net, &at, ret_did, e) < 0)
			return -1;
	}
	return 0;
}

int network_detach(const struct cni_env *env, const struct place *p, struct err *e)
{
	/* their namespaces are nowhere in our folders */
	const struct cni_whose theirs = { .folder = p->root, .is_outside = true };
	AUTO_JSON json_object *record = NULL;
	int r;

	if (access(p->dir, F_OK) < 0)
		return 0;

	AUTO_FD int lock = place_lock(p, e);

	if (lock < 0)
		return -1;
	r = place_read(p, &record, e);
	if (r > 0)
		r = is_foreign(record) ? cni_del_cached(env, p->foreign, &theirs, e)
				       : del_all(env, p, record, lock, e);
	return r < 0 ? -1 : place_remove(p, e);
}

struct sweep {
	const struct cni_env *env;
	const char *root;
	struct err first;
};

static int sweep_visit(json_object *doc, void *arg, UNUSED struct err *e)
{
	struct sweep *s = arg;
	const char *netns = "", *container = "";
	AUTO_FREE char *folder = NULL;
	struct err bad = { 0 };

	if (jsonr_string(doc, "netns", &netns, &bad) < 0 ||
	    jsonr_string(doc, "containerId", &container, &bad) < 0)
		return 0;
	if (!str_starts(netns, s->root) || netns[strlen(s->root)] != '/' ||
	    !str_ends(netns, "/netns"))
		return 0;
	folder = xstrndup(netns, strlen(netns) - strlen("/netns"));
	if (access(folder, F_OK) == 0)
		return 0; /* its record decides */
	const struct cni_whose its = { .folder = folder };
	if (cni_del_cached(s->env, container, &its, &bad) < 0 && !s->first.code)
		s->first = bad;
	return 0;
}

int network_sweep_cache(const struct cni_env *env, const char *root, struct err *e)
{
	struct sweep s = { .env = env, .root = root };

	if (cni_cache_list(env, NULL, NULL, sweep_visit, &s, e) < 0)
		return -1;
	return s.first.code ? err_copy(e, &s.first) : 0;
}
