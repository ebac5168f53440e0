/* ctr images convert: an image beside another, with its layers compressed another way or its
 * documents in the other family of media types.  A worker of our own does it, so that what reads
 * the layers has given up its rights. */
#include "cmd/ctr/cmd_images.h"
#include "cmd/ctr/image_local.h"

#include "image/inflate.h"

const struct flag convert_flags[] = {
	{ "uncompress", FLAG_BOOL, NULL, "Convert compressed layers to uncompressed tar layers" },
	{ "gzip", FLAG_BOOL, NULL, "Convert layers to tar.gz layers" },
	{ "zstd", FLAG_BOOL, NULL, "Convert layers to tar.zst layers" },
	{ "oci", FLAG_BOOL, NULL, "Convert Docker media types to OCI media types" },
	{ "docker", FLAG_BOOL, NULL, "Convert OCI media types to Docker media types" },
	{ "platform", FLAG_LIST, NULL, "Convert content for a specific platform" },
	{ "all-platforms", FLAG_BOOL, NULL, "Convert content for all platforms" },
	{ NULL },
};

/* The one compression that was asked for; *ret_n: how many were. */
static enum inflate_kind wanted(const struct args *args, int *ret_n)
{
	static const struct {
		const char *flag;
		enum inflate_kind kind;
	} kinds[] = { { "uncompress", INFLATE_PLAIN },
		      { "gzip", INFLATE_GZIP },
		      { "zstd", INFLATE_ZSTD } };
	enum inflate_kind kind = INFLATE_PLAIN;

	*ret_n = 0;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (args_bool(args, kinds[i].flag)) {
			kind = kinds[i].kind;
			++*ret_n;
		}
	return kind;
}

static int convert(struct ctr *ctr, const struct args *args, struct err *e)
{
	struct local l AUTO_LOCAL;
	IMAGES(Image) * source;
	struct labels labels;
	enum inflate_kind kind;
	int n;

	local_init(&l, ctr, "convert");
	l.is_quiet = true; /* the digest is all that is printed */
	kind = wanted(args, &n);
	if (n > 1)
		return err_set(e, ERR_UNKNOWN,
			       "only one of --uncompress, --gzip and --zstd can be specified");
	if (args_bool(args, "oci") && args_bool(args, "docker"))
		return err_set(e, ERR_UNKNOWN, "only one of --oci and --docker can be specified");
	if (image_get(ctr, args->v[0], &source, e) < 0 ||
	    local_platforms_from_flags(&l, args, e) < 0)
		return -1;
	local_one_image(&l, source->name, source->target);
	jsonw_kbool(&l.job, "recompress", n);
	jsonw_ku64(&l.job, "compression", kind);
	jsonw_kbool(&l.job, "to_oci", args_bool(args, "oci"));
	jsonw_kbool(&l.job, "to_docker", args_bool(args, "docker"));
	if (local_run(&l, -1, e) < 0)
		return -1;
	if (l.n_images != 1)
		return err_set(e, ERR_INTERNAL, "the transfer worker made %zu images", l.n_images);
	labels_from_pb(ctr->arena, source->labels, source->n_labels, &labels);
	if (image_put(ctr, args->v[1], &l.images[0].target, &labels, e) < 0)
		return -1;
	ctr_puts(ctr, l.images[0].target.digest);
	return 0;
}

int images_convert(struct ctr *ctr, const struct args *args, struct err *e)
{
	int r;

	if (!*args_at(args, 0) || !*args_at(args, 1))
		return err_set(e, ERR_UNKNOWN, "src and target image need to be specified");
	if (ctr_lease(ctr, e) < 0)
		return -1;
	r = convert(ctr, args, e);
	ctr_lease_done(ctr);
	return r;
}
