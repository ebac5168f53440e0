/* ctr content */
#include "cmd/ctr/image_read.h"

#include "cmd/ctr/table.h"

#include "base/log.h"
#include "os/fd.h"

typedef void info_fn(struct ctr *ctr, const CONTENT(Info) * i);

static void print_digest(struct ctr *ctr, const CONTENT(Info) * i)
{
	(void)ctr;
	puts(i->digest);
}

/* The original's columns here are tabs, not blanks. */
static void print_row(struct ctr *ctr, const CONTENT(Info) * i)
{
	struct arena *a = ctr->arena;
	struct labels l;

	labels_from_pb(a, i->labels, i->n_labels, &l);
	printf("%s\t%s\t%s\t%s\n", i->digest, size_human(a, i->size), age_text(a, i->created_at),
	       l.n ? labels_text(a, &l) : "-");
}

static int content_list(struct ctr *ctr, const struct args *args, struct err *e)
{
	CONTENT(ListContentRequest) req = CONTENT_INIT(LIST_CONTENT_REQUEST);
	info_fn *print = args_bool(args, "quiet") ? print_digest : print_row;
	struct grpc_stream *s AUTO_GRPC_STREAM = NULL;
	CONTENT(ListContentResponse) * rsp;
	int r;

	req.filters = (char **)(uintptr_t)args->v;
	req.n_filters = args->n;
	if (ctr_open(ctr, "content.v1.Content/List", &req,
		     &containerd__services__content__v1__list_content_response__descriptor, &s,
		     e) < 0)
		return -1;
	if (print == print_row)
		puts("DIGEST\t\t\t\t\t\t\t\t\tSIZE\tAGE\t\t\tLABELS");
	while ((r = grpc_stream_recv(s, ctr->arena, (void **)&rsp, e)) > 0)
		for (size_t i = 0; i < rsp->n_info; i++)
			print(ctr, rsp->info[i]);
	return r;
}

int blob_print(struct ctr *ctr, const char *digest, struct err *e)
{
	struct grpc_stream *s AUTO_GRPC_STREAM = NULL;
	CONTENT(ReadContentResponse) * rsp;
	int r;

	if (blob_open(ctr, digest, &s, e) < 0)
		return -1;
	for (;;) {
		struct arena *a AUTO_ARENA = arena_new(); /* blobs may be larger than memory */

		r = grpc_stream_recv(s, a, (void **)&rsp, e);
		if (r <= 0)
			return r;
		r = fd_write_all(STDOUT_FILENO, rsp->data.data, rsp->data.len);
		if (r < 0)
			return err_sys(e, -r, "write");
	}
}

static int content_get(struct ctr *ctr, const struct args *args, struct err *e)
{
	if (!args->n)
		return err_set(e, ERR_UNKNOWN, "please provide a digest");
	fflush(stdout);
	for (size_t i = 0; i < args->n; i++)
		if (blob_print(ctr, args->v[i], e) < 0)
			return -1;
	return 0;
}

static int content_active(struct ctr *ctr, const struct args *args, struct err *e)
{
	CONTENT(ListStatusesRequest) req = CONTENT_INIT(LIST_STATUSES_REQUEST);
	CONTENT(ListStatusesResponse) * rsp;

	req.filters = (char **)(uintptr_t)args->v;
	req.n_filters = args->n;
	if (CTR_CALL(ctr, "content.v1.Content/ListStatuses", &req,
		     content__v1__list_statuses_response, &rsp, e) < 0)
		return -1;
	puts("REF\tSIZE\tAGE\t");
	for (size_t i = 0; i < rsp->n_statuses; i++) {
		const CONTENT(Status) *s = rsp->statuses[i];

		printf("%s\t%s\t%s\t\n", s->ref, size_human(ctr->arena, s->offset),
		       age_text(ctr->arena, s->started_at));
	}
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
			puts(args->v[i]);
			continue;
		}
		log_error(LOG({ "error", err_text(&one, text, sizeof text) }),
			  "failed to delete %s", args->v[i]);
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
	puts(labels_text(ctr->arena, &l));
	return 0;
}

const struct command content_commands[] = {
	{ .name = "active",
	  .usage = "display active transfers",
	  .args_usage = "[<filter>]",
	  .description = "display the ongoing transfers",
	  .run = content_active },
	{ .name = "delete",
	  .aliases = "del remove rm",
	  .usage = "permanently delete one or more blobs",
	  .args_usage = "[<digest>, ...]",
	  .description = "Delete one or more blobs permanently. Successfully deleted\n"
			 "  blobs are printed to stdout.",
	  .run = content_delete },
	{ .name = "get",
	  .usage = "get the data for an object",
	  .args_usage = "[<digest>, ...]",
	  .description = "display the image object",
	  .run = content_get },
	{ .name = "list",
	  .aliases = "ls",
	  .usage = "list all blobs in the store",
	  .args_usage = "[flags]",
	  .description = "list blobs in the content store",
	  .flags = { quiet_flags },
	  .run = content_list },
	{ .name = "label",
	  .usage = "add labels to content",
	  .args_usage = "<digest> [<label>=<value> ...]",
	  .description = "labels blobs in the content store",
	  .run = content_label },
	{ .name = NULL },
};
