/* ctr install: programs that come as an image, into the folder that the daemon has for them or
 * another.  A worker of our own unpacks them, as any other layer. */
#include "cmd/ctr/image_local.h"

#include "os/file.h"

#include <errno.h>
#include <fcntl.h>

const struct flag install_flags[] = {
	{ "libs", FLAG_BOOL, "l", "Install libs from the image" },
	{ "replace", FLAG_BOOL, "r", "Replace any binaries or libs in the opt directory" },
	{ "path", FLAG_STRING, NULL,
	  "Set an optional install path other than the managed opt directory" },
	{ NULL },
};

/* --path, or what the daemon's plugin "opt" says. */
static int find_path(struct ctr *ctr, const struct args *args, const char **ret, struct err *e)
{
	INTROSPECTION(PluginsRequest) req = INTROSPECTION_INIT(PLUGINS_REQUEST);
	char *filter = PB("id==opt");
	INTROSPECTION(PluginsResponse) * rsp;
	struct labels exports;

	*ret = args_string(args, "path");
	if (**ret)
		return 0;
	req.filters = &filter;
	req.n_filters = 1;
	if (CTR_CALL(ctr, "introspection.v1.Introspection/Plugins", &req,
		     introspection__v1__plugins_response, &rsp, e) < 0)
		return -1;
	if (rsp->n_plugins != 1)
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "opt service not enabled: name a folder with --path");
	labels_from_pb(ctr->arena, rsp->plugins[0]->exports, rsp->plugins[0]->n_exports, &exports);
	*ret = labels_get(&exports, "path");
	return *ret && **ret ? 0 : err_set(e, ERR_FAILED_PRECONDITION, "opt path not exported");
}

static int open_folder(const char *path, int *ret, struct err *e)
{
	int r = file_mkdirs(path, 0711);

	if (r < 0)
		return err_sys(e, -r, "mkdir %s", path);
	*ret = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret < 0 ? err_sys(e, errno, "open %s", path) : 0;
}

int install_run(struct ctr *ctr, const struct args *args, struct err *e)
{
	struct local l AUTO_LOCAL;
	int folder AUTO_FD = -1;
	IMAGES(Image) * image;
	const char *path;

	local_init(&l, ctr, "install");
	l.is_quiet = true;
	if (!*args_at(args, 0))
		return err_set(e, ERR_UNKNOWN, "please provide an image reference to install");
	if (image_get(ctr, args->v[0], &image, e) < 0 || find_path(ctr, args, &path, e) < 0 ||
	    open_folder(path, &folder, e) < 0 || local_platforms(&l, NULL, 0, true, e) < 0)
		return -1;
	local_one_image(&l, image->name, image->target);
	jsonw_kbool(&l.job, "libs", args_bool(args, "libs"));
	jsonw_kbool(&l.job, "replace", args_bool(args, "replace"));
	return local_run(&l, folder, e);
}
