/* ctr snapshots */
#include "cmd/ctr/cmd_snapshots.h"

#include "cmd/ctr/json_print.h"
#include "cmd/ctr/table.h"

#include "base/log.h"

#include <inttypes.h>

enum { TREE_DEPTH_MAX = 256 };

struct infos {
	SNAPSHOTS(Info) * *v;
	size_t n, cap;
};

static const char *kind_name(SNAPSHOTS(Kind) kind)
{
	static const char *const names[] = { "Unknown", "View", "Active", "Committed" };

	return (size_t)kind < ARRAY_LEN(names) ? names[kind] : names[0];
}

static int list_all(struct ctr *ctr, const struct args *args, struct infos *ret, struct err *e)
{
	SNAPSHOTS(ListSnapshotsRequest) req = SNAPSHOTS_INIT(LIST_SNAPSHOTS_REQUEST);
	struct grpc_stream *s AUTO_GRPC_STREAM = NULL;
	SNAPSHOTS(ListSnapshotsResponse) * rsp;
	int r;

	req.snapshotter = PB(snapshotter_of(args));
	if (ctr_open(ctr, "snapshots.v1.Snapshots/List", &req,
		     &containerd__services__snapshots__v1__list_snapshots_response__descriptor, &s,
		     e) < 0)
		return -1;
	while ((r = grpc_stream_recv(s, ctr->arena, (void **)&rsp, e)) > 0)
		for (size_t i = 0; i < rsp->n_info; i++) {
			GROW(ret->v, ret->n, ret->cap);
			ret->v[ret->n++] = rsp->info[i];
		}
	return r;
}

static void infos_done(struct infos *l)
{
	free(l->v);
}
#define AUTO_INFOS CLEANUP(infos_done)

static int snapshots_list(struct ctr *ctr, const struct args *args, struct err *e)
{
	struct table t = TABLE_NARROW(ctr->arena);
	struct infos l AUTO_INFOS = { 0 };

	if (list_all(ctr, args, &l, e) < 0)
		return -1;
	table_row(&t, "KEY", "PARENT", "KIND", "", NULL);
	for (size_t i = 0; i < l.n; i++)
		table_row(&t, l.v[i]->name, l.v[i]->parent, kind_name(l.v[i]->kind), "", NULL);
	table_print(&t, stdout);
	return 0;
}

static int usage_row(struct ctr *ctr, const struct args *args, struct table *t, const char *key,
		     struct err *e)
{
	SNAPSHOTS(UsageRequest) req = SNAPSHOTS_INIT(USAGE_REQUEST);
	SNAPSHOTS(UsageResponse) * rsp;
	struct arena *a = ctr->arena;

	req.snapshotter = PB(snapshotter_of(args));
	req.key = PB(key);
	if (CTR_CALL(ctr, "snapshots.v1.Snapshots/Usage", &req, snapshots__v1__usage_response, &rsp,
		     e) < 0)
		return -1;
	table_row(t, key,
		  args_bool(args, "b") ? arena_printf(a, "%" PRId64, rsp->size)
				       : size_binary(a, rsp->size),
		  arena_printf(a, "%" PRId64, rsp->inodes), "", NULL);
	return 0;
}

static int snapshots_usage(struct ctr *ctr, const struct args *args, struct err *e)
{
	struct table t = TABLE_NARROW(ctr->arena);
	struct infos l AUTO_INFOS = { 0 };

	table_row(&t, "KEY", "SIZE", "INODES", "", NULL);
	for (size_t i = 0; i < args->n; i++)
		if (usage_row(ctr, args, &t, args->v[i], e) < 0)
			return -1;
	if (!args->n && list_all(ctr, args, &l, e) < 0)
		return -1;
	for (size_t i = 0; i < l.n; i++)
		if (usage_row(ctr, args, &t, l.v[i]->name, e) < 0)
			return -1;
	table_print(&t, stdout);
	return 0;
}

static int snapshots_info(struct ctr *ctr, const struct args *args, struct err *e)
{
	SNAPSHOTS(StatSnapshotRequest) req = SNAPSHOTS_INIT(STAT_SNAPSHOT_REQUEST);
	struct str out AUTO_STR = STR_INIT(1 << 20);
	SNAPSHOTS(StatSnapshotResponse) * rsp;
	const SNAPSHOTS(Info) * i;
	struct labels l;
	struct jsonw w;

	if (args->n != 1)
		return err_set(e, ERR_INVALID_ARGUMENT, "snapshot key must be provided");
	req.snapshotter = PB(snapshotter_of(args));
	req.key = PB(args->v[0]);
	if (CTR_CALL(ctr, "snapshots.v1.Snapshots/Stat", &req,
		     snapshots__v1__stat_snapshot_response, &rsp, e) < 0)
		return -1;
	i = rsp->info;
	if (!i)
		return err_set(e, ERR_INTERNAL, "the daemon answered without a snapshot");
	jsonw_init(&w, &out, 4);
	jsonw_object(&w);
	jsonw_kstring(&w, "Kind", kind_name(i->kind));
	jsonw_kstring(&w, "Name", i->name);
	if (*i->parent)
		jsonw_kstring(&w, "Parent", i->parent);
	labels_from_pb(ctr->arena, i->labels, i->n_labels, &l);
	if (l.n) {
		jsonw_key(&w, "Labels");
		json_labels(&w, &l);
	}
	jsonw_kstring(&w, "Created", time_rfc3339(ctr->arena, i->created_at));
	jsonw_kstring(&w, "Updated", time_rfc3339(ctr->arena, i->updated_at));
	jsonw_end(&w);
	puts(str_c(&out));
	return 0;
}

static int snapshots_delete(struct ctr *ctr, const struct args *args, struct err *e)
{
	SNAPSHOTS(RemoveSnapshotRequest) req = SNAPSHOTS_INIT(REMOVE_SNAPSHOT_REQUEST);

	if (!args->n)
		return err_set(e, ERR_INVALID_ARGUMENT, "snapshot key must be provided");
	req.snapshotter = PB(snapshotter_of(args));
	for (size_t i = 0; i < args->n; i++) {
		req.key = PB(args->v[i]);
		if (CTR_CALL_EMPTY(ctr, "snapshots.v1.Snapshots/Remove", &req, e) < 0)
			return err_wrap(e, "failed to remove \"%s\"", args->v[i]);
	}
	return 0;
}

static int snapshots_mounts(struct ctr *ctr, const struct args *args, struct err *e)
{
	SNAPSHOTS(MountsRequest) req = SNAPSHOTS_INIT(MOUNTS_REQUEST);
	SNAPSHOTS(MountsResponse) * rsp;

	if (args->n != 2)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "a target and a snapshot key must be provided");
	req.snapshotter = PB(snapshotter_of(args));
	req.key = PB(args->v[1]);
	if (CTR_CALL(ctr, "snapshots.v1.Snapshots/Mounts", &req, snapshots__v1__mounts_response,
		     &rsp, e) < 0)
		return -1;
	mounts_print(rsp->mounts, rsp->n_mounts, args->v[0]);
	return 0;
}

static void print_tree(const struct infos *l, const char *parent, unsigned depth)
{
	if (depth > TREE_DEPTH_MAX)
		return;
	for (size_t i = 0; i < l->n; i++) {
		if (strcmp(l->v[i]->parent, parent) != 0 || !*l->v[i]->name)
			continue;
		if (depth)
			ctr_print(stdout, "%*s\\_ %s\n", (int)(depth * 2), "", l->v[i]->name);
		else
			ctr_print(stdout, " %s\n", l->v[i]->name);
		print_tree(l, l->v[i]->name, depth + 1);
	}
}

static int snapshots_tree(struct ctr *ctr, const struct args *args, struct err *e)
{
	struct infos l AUTO_INFOS = { 0 };

	if (list_all(ctr, args, &l, e) < 0)
		return -1;
	print_tree(&l, "", 0);
	return 0;
}

static const struct flag usage_flags[] = {
	{ "b", FLAG_BOOL, NULL, "display size in bytes" },
	{ NULL },
};

const struct command snapshots_commands[] = {
	{ .name = "commit",
	  .usage = "commit an active snapshot into the provided name",
	  .args_usage = "<key> <active>",
	  .flags = { snapshotter_flags },
	  .run = snapshots_commit },
	{ .name = "diff",
	  .usage = "get the diff of two snapshots. the default second snapshot is the first "
		   "snapshot's parent.",
	  .args_usage = "[flags] <idA> [<idB>]",
	  .description = "Writes the layer to the standard output.",
	  .flags = { diff_flags, snapshotter_flags },
	  .run = snapshots_diff },
	{ .name = "info",
	  .usage = "get info about a snapshot",
	  .args_usage = "<key>",
	  .flags = { snapshotter_flags },
	  .run = snapshots_info },
	{ .name = "label",
	  .usage = "add labels to content",
	  .args_usage = "<name> [<label>=<value> ...]",
	  .description = "labels snapshots in the snapshotter",
	  .flags = { snapshotter_flags },
	  .run = snapshots_label },
	{ .name = "list",
	  .aliases = "ls",
	  .usage = "list snapshots",
	  .flags = { snapshotter_flags },
	  .run = snapshots_list },
	{ .name = "mounts",
	  .aliases = "m mount",
	  .usage = "mount gets mount commands for the snapshots",
	  .args_usage = "<target> <key>",
	  .flags = { snapshotter_flags },
	  .run = snapshots_mounts },
	{ .name = "prepare",
	  .usage = "prepare a snapshot from a committed snapshot",
	  .args_usage = "[flags] <key> [<parent>]",
	  .flags = { make_flags, snapshotter_flags },
	  .run = snapshots_prepare },
	{ .name = "delete",
	  .aliases = "del remove rm",
	  .usage = "remove snapshots",
	  .args_usage = "<key> [<key>, ...]",
	  .flags = { snapshotter_flags },
	  .run = snapshots_delete },
	{ .name = "tree",
	  .usage = "display tree view of snapshot branches",
	  .flags = { snapshotter_flags },
	  .run = snapshots_tree },
	{ .name = "unpack",
	  .usage = "unpack applies layers from a manifest to a snapshot",
	  .args_usage = "[flags] <digest>",
	  .flags = { snapshotter_flags, unpack_flags },
	  .run = snapshots_unpack },
	{ .name = "usage",
	  .usage = "usage snapshots",
	  .args_usage = "[flags] [<key>, ...]",
	  .flags = { usage_flags, snapshotter_flags },
	  .run = snapshots_usage },
	{ .name = "view",
	  .usage = "create a read-only snapshot from a committed snapshot",
	  .args_usage = "[flags] <key> [<parent>]",
	  .flags = { make_flags, snapshotter_flags },
	  .run = snapshots_view },
	{ .name = NULL },
};
