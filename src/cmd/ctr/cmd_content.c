/* ctr content: list, get, active, delete, label; the others have files of their own */
#include "cmd/ctr/cmd_content.h"

#include "cmd/ctr/blob_write.h"
#include "cmd/ctr/image_read.h"
#include "cmd/ctr/image_registry.h"
#include "cmd/ctr/list_json.h"

#include "cmd/ctr/table.h"

#include "base/log.h"
#include "os/fd.h"

static void add_row(struct table *t, const CONTENT(Info) * i)
{
	struct arena *a = t->arena;
	struct labels l;

	labels_from_pb(a, i->labels, i->n_labels, &l);
	table_row(t, i->digest, size_human(a, i->size), age_text(a, i->created_at),
		  l.n ? labels_text(a, &l) : "-", NULL);
}

static int print_list(struct ctr *ctr, struct grpc_stream *s, bool quiet, struct err *e)
{
	struct table t = TABLE_TABS(ctr->arena);
	CONTENT(ListContentResponse) * rsp;
	int r;

	if (!quiet)
		table_row(&t, "DIGEST", "SIZE", "AGE", "LABELS", NULL);
	while ((r = grpc_stream_recv(s, ctr->arena, (void **)&rsp, e)) > 0)
		for (size_t i = 0; i < rsp->n_info; i++) {
			if (quiet)
				ctr_puts(ctr, rsp->info[i]->digest);
			else
				add_row(&t, rsp->info[i]);
		}
	table_print(&t, stdout);
	return r;
}

static int print_json(struct ctr *ctr, struct grpc_stream *s, struct err *e)
{
	CONTENT(ListContentResponse) * rsp;
	CONTENT(Info) **v AUTO_FREE = NULL;
	size_t n = 0, cap = 0;
	int r;

	while ((r = grpc_stream_recv(s, ctr->arena, (void **)&rsp, e)) > 0)
		for (size_t i = 0; i < rsp->n_info; i++) {
			GROW(v, n, cap);
			v[n++] = rsp->info[i];
		}
	return r < 0 ? -1 : list_print_json(v, n, e);
}

static int content_list(struct ctr *ctr, const struct args *args, struct err *e)
{
	CONTENT(ListContentRequest) req = CONTENT_INIT(LIST_CONTENT_REQUEST);
	struct grpc_stream *s AUTO_GRPC_STREAM = NULL;
	bool json;

	req.filters = (char **)(uintptr_t)args->v;
	req.n_filters = args->n;
	if (list_wants_json(args, &json, e) < 0 ||
	    ctr_open(ctr, "content.v1.Content/List", &req,
		     &containerd__services__content__v1__list_content_response__descriptor, &s,
		     e) < 0)
		return -1;
	if (json)
		return print_json(ctr, s, e);
	return print_list(ctr, s, args_bool(args, "quiet"), e);
}

int blob_print(struct ctr *ctr, const char *digest, struct err *e)
{
	fflush(stdout);
	return blob_copy(ctr, digest, STDOUT_FILENO, e);
}

static int content_get(struct ctr *ctr, const struct args *args, struct err *e)
{
	if (!args->n)
		return err_set(e, ERR_UNKNOWN, "please provide a digest");
	for (size_t i = 0; i < args->n; i++)
		if (blob_print(ctr, args->v[i], e) < 0)
			return -1;
	return 0;
}

static int content_active(struct ctr *ctr, const struct args *args, struct err *e)
{
	CONTENT(ListStatusesRequest) req = CONTENT_INIT(LIST_STATUSES_REQUEST);
	struct table t = TABLE_TABS(ctr->arena);
	CONTENT(ListStatusesResponse) * rsp;
	bool json;

	if (list_wants_json(args, &json, e) < 0)
		return -1;
	if (args_duration(args, "timeout"))
		ctr->timeout_ns = args_duration(args, "timeout");
	req.filters = (char **)(uintptr_t)args->v;
	req.n_filters = args->n;
	if (CTR_CALL(ctr, "content.v1.Content/ListStatuses", &req,
		     content__v1__list_statuses_response, &rsp, e) < 0)
		return -1;
	if (json)
		return list_print_json(rsp->statuses, rsp->n_statuses, e);
	table_row(&t, "REF", "SIZE", "AGE", "", NULL);
	for (size_t i = 0; i < rsp->n_statuses; i++) {
		const CONTENT(Status) *s = rsp->statuses[i];

		table_row(&t, s->ref, size_human(ctr->arena, s->offset),
			  age_text(ctr->arena, s->started_at), "", NULL);
	}
	table_print(&t, stdout);
	return 0;
}

static int content_delete(struct ctr *ctr, const struct args *args, struct err *e)
{
	CONTENT(DeleteContentRequest) req = CONTENT_INIT(DELETE_CONTENT_REQUEST);
	struct err first = { 0 };
	char text[1100];

	for (size_t i = 0; i < args->n; i++) {
		struct err one = { 0 };

		req.digest = PB(args->v[i]);
		if (CTR_CALL_EMPTY(ctr, "content.v1.Content/Delete", &req, &one) == 0) {
			ctr_puts(ctr, args->v[i]);
			continue;
		}
		if (one.code == ERR_NOT_FOUND)
			continue; /* what is gone is gone, as for the original */
		log_error(LOG({ "error", err_text(&one, text, sizeof text) }),
			  "could not delete %s", args->v[i]);
		if (!first.code)
			first = one;
	}
	return first.code ? err_copy(e, &first) : 0;
}

static int content_label(struct ctr *ctr, const struct args *args, struct err *e)
{
	struct labels l = { 0 };

	if (!*args_at(args, 0))
		return err_set(e, ERR_UNKNOWN, "please specify a digest");
	labels_parse(ctr->arena, args->v + 1, args->n - 1, &l);
	if (blob_label(ctr, args->v[0], &l, e) < 0)
		return -1;
	ctr_puts(ctr, labels_text(ctr->arena, &l));
	return 0;
}

static const struct flag active_flags[] = {
	{ .name = "timeout",
	  .type = FLAG_DURATION,
	  .alias = "t",
	  .help = "Total timeout for fetch",
	  .def = "0s",
	  .env = "CONTAINERD_FETCH_TIMEOUT" },
	{ "root", FLAG_STRING, NULL,
	  "taken and without effect, as by the original: the store is the daemon's",
	  "/tmp/content" },
	{ NULL },
};

static const struct command prune_commands[] = {
	{ .name = "references",
	  .usage = "prunes preference labels from the content store (layers only by default)",
	  .args_usage = "[flags]",
	  .description =
		  "Layers that were unpacked are not needed to run containers: without the "
		  "labels that\n"
		  "   lead to them they are collected. Images can't be pushed or exported then.",
	  .flags = { references_flags },
	  .run = content_prune_references },
	{ .name = NULL },
};

const struct command content_commands[] = {
	{ .name = "active",
	  .usage = "display active transfers",
	  .args_usage = "[<filter>]",
	  .description = "display the ongoing transfers",
	  .flags = { active_flags, list_format_flags },
	  .run = content_active },
	{ .name = "delete",
	  .aliases = "del remove rm",
	  .usage = "permanently delete one or more blobs",
	  .args_usage = "[<digest>, ...]",
	  .description = "Delete one or more blobs permanently. Successfully deleted\n"
			 "  blobs are printed to stdout.",
	  .run = content_delete },
	{ .name = "edit",
	  .usage = "edit a blob and return a new digest",
	  .args_usage = "[flags] <digest>",
	  .description = "edit a blob and return a new digest",
	  .flags = { edit_flags },
	  .run = content_edit },
	{ .name = "fetch",
	  .usage = "fetch all content for an image into containerd",
	  .args_usage = "[flags] <remote> <object>",
	  .description = "Fetch an image into containerd: its content and its record. What "
			 "\"images pull\" does, too,\n"
			 "   is to unpack it.",
	  .flags = { registry_flags, fetch_flags },
	  .run = content_fetch },
	{ .name = "fetch-object",
	  .usage = "retrieve objects from a remote",
	  .args_usage = "[flags] <remote> <object> [<hint>, ...]",
	  .description = "Fetch objects by identifier from a remote: the manifest or index that "
			 "<remote> leads to,\n"
			 "   to the standard output.",
	  .flags = { registry_flags },
	  .run = content_fetch_object },
	{ .name = "fetch-blob",
	  .usage = "retrieve blobs from a remote",
	  .args_usage = "[flags] <remote> [<digest>, ...]",
	  .description = "Fetch blobs by digests from a remote, to the standard output.",
	  .flags = { registry_flags, fetch_blob_flags },
	  .run = content_fetch_blob },
	{ .name = "get",
	  .usage = "get the data for an object",
	  .args_usage = "[<digest>, ...]",
	  .description = "display the image object",
	  .run = content_get },
	{ .name = "ingest",
	  .usage = "accept content into the store",
	  .args_usage = "[flags] <key>",
	  .description = "ingest objects into the local content store: what the standard input has",
	  .flags = { ingest_flags },
	  .run = content_ingest },
	{ .name = "list",
	  .aliases = "ls",
	  .usage = "list all blobs in the store",
	  .args_usage = "[flags]",
	  .description = "list blobs in the content store",
	  .flags = { quiet_flags, list_format_flags },
	  .run = content_list },
	{ .name = "push-object",
	  .usage = "push an object to a remote",
	  .args_usage = "[flags] <remote> <object> <type>",
	  .description = "Push objects by identifier to a remote: a blob of the store under its "
			 "media type, which says\n"
			 "   whether it is a manifest.",
	  .flags = { registry_flags },
	  .run = content_push_object },
	{ .name = "label",
	  .usage = "add labels to content",
	  .args_usage = "<digest> [<label>=<value> ...]",
	  .description = "labels blobs in the content store",
	  .run = content_label },
	{ .name = "prune",
	  .usage = "prunes content from the content store",
	  .commands = prune_commands },
	{ .name = NULL },
};
