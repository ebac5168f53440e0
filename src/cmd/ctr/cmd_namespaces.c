/* ctr namespaces */
#include "cmd/ctr/ctr.h"

#include "cmd/ctr/list_json.h"
#include "cmd/ctr/table.h"

#include "base/ident.h"
#include "base/log.h"

#include <errno.h>
#include <glob.h>

#define AUTO_GLOB CLEANUP(globfree)

static int namespaces_create(struct ctr *ctr, const struct args *args, struct err *e)
{
	NAMESPACES(CreateNamespaceRequest) req = NAMESPACES_INIT(CREATE_NAMESPACE_REQUEST);
	NAMESPACES(Namespace) ns = NAMESPACES_INIT(NAMESPACE);
	struct labels l = { 0 };

	if (!*args_at(args, 0))
		return err_set(e, ERR_UNKNOWN, "please specify a namespace");
	labels_parse(ctr->arena, args->v + 1, args->n - 1, &l);
	ns.name = PB(args->v[0]);
	ns.n_labels = l.n;
	ns.labels = (void *)labels_to_pb(
		ctr->arena, &l,
		&containerd__services__namespaces__v1__namespace__labels_entry__descriptor);
	req.namespace_ = &ns;
	return CTR_CALL(ctr, "namespaces.v1.Namespaces/Create", &req,
			namespaces__v1__create_namespace_response, NULL, e);
}

static int namespaces_label(struct ctr *ctr, const struct args *args, struct err *e)
{
	NAMESPACES(UpdateNamespaceRequest) req = NAMESPACES_INIT(UPDATE_NAMESPACE_REQUEST);
	Google__Protobuf__FieldMask mask = GOOGLE__PROTOBUF__FIELD_MASK__INIT;
	NAMESPACES(Namespace) ns = NAMESPACES_INIT(NAMESPACE);
	struct labels l = { 0 };

	if (!*args_at(args, 0))
		return err_set(e, ERR_UNKNOWN, "please specify a namespace");
	labels_parse(ctr->arena, args->v + 1, args->n - 1, &l);
	for (size_t i = 0; i < l.n; i++) {
		struct labels one = { &l.keys[i], &l.values[i], 1 };

		ns.name = PB(args->v[0]);
		ns.n_labels = 1;
		ns.labels = (void *)labels_to_pb(
			ctr->arena, &one,
			&containerd__services__namespaces__v1__namespace__labels_entry__descriptor);
		mask.n_paths = 1;
		mask.paths = labels_mask(ctr->arena, &one);
		req.namespace_ = &ns;
		req.update_mask = &mask;
		if (CTR_CALL(ctr, "namespaces.v1.Namespaces/Update", &req,
			     namespaces__v1__update_namespace_response, NULL, e) < 0)
			return -1;
	}
	return 0;
}

static int namespaces_list(struct ctr *ctr, const struct args *args, struct err *e)
{
	NAMESPACES(ListNamespacesRequest) req = NAMESPACES_INIT(LIST_NAMESPACES_REQUEST);
	NAMESPACES(ListNamespacesResponse) * rsp;
	struct table t = TABLE_NARROW(ctr->arena);
	struct labels l;
	bool json;

	if (list_wants_json(args, &json, e) < 0)
		return -1;
	if (CTR_CALL(ctr, "namespaces.v1.Namespaces/List", &req,
		     namespaces__v1__list_namespaces_response, &rsp, e) < 0)
		return -1;
	if (json)
		return list_print_json(rsp->namespaces, rsp->n_namespaces, e);
	if (!args_bool(args, "quiet"))
		table_row(&t, "NAME", "LABELS", "", NULL);
	for (size_t i = 0; i < rsp->n_namespaces; i++) {
		const NAMESPACES(Namespace) *ns = rsp->namespaces[i];

		labels_from_pb(ctr->arena, ns->labels, ns->n_labels, &l);
		if (args_bool(args, "quiet"))
			ctr_puts(ctr, ns->name);
		else
			table_row(&t, ns->name, labels_text(ctr->arena, &l), "", NULL);
	}
	table_print(&t, stdout);
	return 0;
}

static int remove_folder(const char *path, struct err *e)
{
	if (rmdir(path) == 0 || errno == ENOENT || errno == ENOTDIR)
		return 0;
	return err_sys(e, errno, "unable to remove cgroup %s", path);
}

/* The cgroup that the namespace's containers had theirs in: one below each v1 controller, and in
 * the unified hierarchy. */
static int remove_cgroup(struct ctr *ctr, const char *ns, struct err *e)
{
	glob_t mounts AUTO_GLOB = { 0 };
	char *pattern = arena_printf(ctr->arena, "/sys/fs/cgroup/*/%s/cgroup.procs", ns);

	if (!ident_is_valid(ns))
		return err_set(e, ERR_INVALID_ARGUMENT, "identifier \"%s\" is invalid", ns);
	if (remove_folder(arena_printf(ctr->arena, "/sys/fs/cgroup/%s", ns), e) < 0)
		return -1;
	if (glob(pattern, GLOB_NOSORT, NULL, &mounts) != 0)
		return 0; /* there is none */
	for (size_t i = 0; i < mounts.gl_pathc; i++) {
		*strrchr(mounts.gl_pathv[i], '/') = 0;
		if (remove_folder(mounts.gl_pathv[i], e) < 0)
			return -1;
	}
	return 0;
}

static int remove_one(struct ctr *ctr, const struct args *args, const char *ns, struct err *e)
{
	NAMESPACES(DeleteNamespaceRequest) req = NAMESPACES_INIT(DELETE_NAMESPACE_REQUEST);

	if (args_bool(args, "cgroup") && remove_cgroup(ctr, ns, e) < 0)
		return -1;
	req.name = PB(ns);
	return CTR_CALL_EMPTY(ctr, "namespaces.v1.Namespaces/Delete", &req, e);
}

static int namespaces_remove(struct ctr *ctr, const struct args *args, struct err *e)
{
	struct err first = { 0 };
	char text[1100];

	for (size_t i = 0; i < args->n; i++) {
		struct err one = { 0 };

		/* what is gone already is gone, as for the original */
		if (remove_one(ctr, args, args->v[i], &one) == 0 || one.code == ERR_NOT_FOUND) {
			ctr_puts(ctr, args->v[i]);
			continue;
		}
		log_error(LOG({ "error", err_text(&one, text, sizeof text) }),
			  "unable to delete %s", args->v[i]);
		err_wrap(&one, "unable to delete %s", args->v[i]);
		if (!first.code)
			first = one;
	}
	return first.code ? err_copy(e, &first) : 0;
}

static const struct flag remove_flags[] = {
	{ "cgroup", FLAG_BOOL, "c", "delete the namespace's cgroup" },
	{ NULL },
};

const struct flag quiet_flags[] = {
	{ "quiet", FLAG_BOOL, "q", "print only the names" },
	{ NULL },
};

const struct command namespaces_commands[] = {
	{ .name = "create",
	  .aliases = "c",
	  .usage = "create a new namespace",
	  .args_usage = "<name> [<key>=<value>]",
	  .description = "create a new namespace. it must be unique",
	  .run = namespaces_create },
	{ .name = "list",
	  .aliases = "ls",
	  .usage = "list namespaces",
	  .args_usage = "[flags]",
	  .description = "list namespaces",
	  .flags = { quiet_flags, list_format_flags },
	  .run = namespaces_list },
	{ .name = "remove",
	  .aliases = "rm",
	  .usage = "remove one or more namespaces",
	  .args_usage = "<name> [<name>, ...]",
	  .description = "remove one or more namespaces. for now, the namespace must be empty",
	  .flags = { remove_flags },
	  .run = namespaces_remove },
	{ .name = "label",
	  .usage = "set and clear labels for a namespace",
	  .args_usage = "<name> [<key>=<value>, ...]",
	  .description = "set and clear labels for a namespace. empty value clears the label",
	  .run = namespaces_label },
	{ .name = NULL },
};
