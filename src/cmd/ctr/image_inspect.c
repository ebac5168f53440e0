/* ctr images inspect: the tree of documents that an image is, as far as it is here. */
#include "cmd/ctr/cmd_images.h"

#include "cmd/ctr/image_read.h"
#include "cmd/ctr/json_print.h"
#include "cmd/ctr/list_json.h"

#include <inttypes.h>

const struct flag inspect_flags[] = {
	{ "content", FLAG_BOOL, NULL, "Show JSON content" },
	{ NULL },
};

#define MIDDLE "├── "
#define LAST "└── "
#define BESIDE "│   "
#define BELOW "    "

struct printer {
	struct ctr *ctr;
	bool with_content;
};

static const char *joined(const struct printer *p, const char *a, const char *b)
{
	return arena_printf(p->ctr->arena, "%s%s", a, b);
}

static int print_labels(const struct printer *p, const char *digest, const char *prefix,
			struct err *e)
{
	CONTENT(InfoRequest) req = CONTENT_INIT(INFO_REQUEST);
	CONTENT(InfoResponse) * rsp;
	struct labels l = { 0 };
	struct arena *a = p->ctr->arena;

	req.digest = PB(digest);
	if (CTR_CALL(p->ctr, "content.v1.Content/Info", &req, content__v1__info_response, &rsp, e) <
	    0)
		return -1;
	if (rsp->info)
		labels_from_pb(a, rsp->info->labels, rsp->info->n_labels, &l);
	if (!l.n)
		return 0;
	printf("%s┌────────Labels─────────\n", prefix);
	for (size_t i = 0; i < l.n; i++)
		printf("%s│\"%s\": \"%s\"\n", prefix, shown(a, l.keys[i]), shown(a, l.values[i]));
	printf("%s└───────────────────────\n", prefix);
	return 0;
}

static void print_lines(const char *text, const char *prefix)
{
	for (size_t n; *text; text += n + (text[n] == '\n')) {
		n = strcspn(text, "\n");
		printf("%s│%.*s\n", prefix, (int)n, text);
	}
}

/* The document, indented; what is no JSON is left out, as by the original. */
static int print_document(const struct printer *p, const char *digest, const char *prefix,
			  struct err *e)
{
	struct str out AUTO_STR = STR_INIT(8 << 20);
	AUTO_JSON json_object *o = NULL;
	struct err not_json = { 0 };
	const char *bytes;
	struct jsonw w;
	size_t n;

	if (blob_read(p->ctr, digest, &bytes, &n, e) < 0)
		return -1;
	printf("%s┌────────Content────────\n", prefix);
	if (jsonr_parse(bytes, n, &o, &not_json) == 0) {
		jsonw_init(&w, &out, 3);
		json_value(&w, o);
		print_lines(str_c(&out), prefix);
	}
	printf("%s└───────────────────────\n", prefix);
	return 0;
}

static int print_content(const struct printer *p, const struct oci_descriptor *d,
			 const char *prefix, struct err *e)
{
	if (!p->with_content)
		return 0;
	if (print_labels(p, d->digest, prefix, e) < 0)
		return -1;
	return str_ends(d->media_type, "json") ? print_document(p, d->digest, prefix, e) : 0;
}

static void print_line(const struct printer *p, const struct oci_descriptor *d, const char *prefix)
{
	printf("%s%s @%s (%" PRIu64 " bytes)\n", prefix, shown(p->ctr->arena, d->media_type),
	       shown(p->ctr->arena, d->digest), d->size);
}

static int print_manifest(const struct printer *p, const struct image_doc *doc, const char *prefix,
			  struct err *e)
{
	bool is_alone = !doc->n_layers;

	print_line(p, &doc->config, joined(p, prefix, is_alone ? LAST : MIDDLE));
	if (print_content(p, &doc->config, joined(p, prefix, is_alone ? BELOW : BESIDE), e) < 0)
		return -1;
	for (size_t i = 0; i < doc->n_layers; i++)
		print_line(p, &doc->layers[i],
			   joined(p, prefix, i + 1 == doc->n_layers ? LAST : MIDDLE));
	return 0;
}

/* head stands before d's own line, prefix before what belongs to it. */
static int print_tree(const struct printer *p, const struct oci_descriptor *d, const char *head,
		      const char *prefix, unsigned depth, struct err *e)
{
	char text[PLATFORM_TEXT];
	struct err why = { 0 };
	struct image_doc doc;
	const char *bytes;
	size_t n;

	print_line(p, d, head);
	if (d->has_platform && *d->platform.arch)
		printf("%s Platform: %s\n", joined(p, prefix, BESIDE),
		       shown(p->ctr->arena, platform_text(&d->platform, text)));
	if (blob_read(p->ctr, d->digest, &bytes, &n, &why) < 0) {
		if (why.code != ERR_NOT_FOUND)
			return err_copy(e, &why);
		printf("%s Content does not exist locally, skipping\n", joined(p, prefix, LAST));
		return 0;
	}
	if (print_content(p, d, joined(p, prefix, BESIDE), e) < 0)
		return -1;
	if (!media_is_index(d->media_type) && !media_is_manifest(d->media_type))
		return 0;
	if (image_doc_parse(p->ctr->arena, d->media_type, bytes, n, &doc, e) < 0)
		return err_wrap(e, "content %s", d->digest);
	if (doc.kind == IMAGE_MANIFEST)
		return print_manifest(p, &doc, prefix, e);
	for (size_t i = 0; depth && i < doc.n_manifests; i++) {
		bool is_last = i + 1 == doc.n_manifests;

		if (print_tree(p, &doc.manifests[i], joined(p, prefix, is_last ? LAST : MIDDLE),
			       joined(p, prefix, is_last ? BELOW : BESIDE), depth - 1, e) < 0)
			return -1;
	}
	return 0;
}

int images_inspect(struct ctr *ctr, const struct args *args, struct err *e)
{
	const struct printer p = { ctr, args_bool(args, "content") };
	struct oci_descriptor target;
	IMAGES(Image) * i;
	struct labels l;
	bool json;

	if (list_wants_json(args, &json, e) < 0)
		return -1;
	if (!args->n)
		return err_set(e, ERR_UNKNOWN, "please provide an image to inspect");
	if (image_get(ctr, args->v[0], &i, e) < 0)
		return -1;
	target = (struct oci_descriptor){ .media_type = i->target->media_type,
					  .digest = i->target->digest,
					  .size = (uint64_t)i->target->size };
	if (json)
		return image_inspect_json(ctr, i, &target, p.with_content, e);
	ctr_puts(ctr, i->name);
	printf(BESIDE " Created: %s\n" BESIDE " Updated: %s\n", time_go(ctr->arena, i->created_at),
	       time_go(ctr->arena, i->updated_at));
	labels_from_pb(ctr->arena, i->labels, i->n_labels, &l);
	for (size_t k = 0; k < l.n; k++)
		printf(BESIDE " Label \"%s\": \"%s\"\n", shown(ctr->arena, l.keys[k]),
		       shown(ctr->arena, l.values[k]));
	return print_tree(&p, &target, LAST, BELOW, IMAGE_INDEX_DEPTH, e);
}
