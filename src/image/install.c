/* The job "install": programs that come as an image, into a folder of the host (containerd's
 * "managed opt").  Only what lies in bin/ itself is taken, and in lib/ where that was asked for. */
#include "image/closure.h"
#include "image/tar.h"
#include "image/unpack.h"
#include "image/worker.h"

#include "base/str.h"
#include "os/path.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct install {
	const struct transfer_install *job;
	int fd;
};

/* "FOLDER/NAME", and nothing deeper. */
static bool is_in(const char *name, const char *folder)
{
	size_t n = strlen(folder);

	return strncmp(name, folder, n) == 0 && name[n] == '/' && name[n + 1] &&
	       !strchr(name + n + 1, '/');
}

static bool exists(int fd, const char *name)
{
	const char *leaf;
	AUTO_FD int parent = path_open_parent(fd, name, false, &leaf);
	struct stat st;

	return parent >= 0 && fstatat(parent, leaf, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* What will run as root is root's, whatever the image says, and gives nobody more rights. */
static int wants(void *arg, const char *name, struct tar_entry *entry, struct err *e)
{
	const struct install *i = arg;
	bool is_link = entry->type == TAR_SYMLINK || entry->type == TAR_HARDLINK;

	if (!is_in(name, "bin") && !(i->job->libs && is_in(name, "lib")))
		return 0;
	if (entry->type == TAR_DIR)
		return 0; /* nothing of it would come */
	if (entry->type != TAR_FILE && !is_link)
		return err_set(e, ERR_INVALID_ARGUMENT, "%s is no program: not a file or link",
			       name);
	entry->uid = entry->gid = 0;
	entry->mode &= 0755;
	entry->n_xattrs = 0; /* file capabilities */
	if (!i->job->replace && exists(i->fd, name))
		return err_set(e, ERR_ALREADY_EXISTS,
			       "cannot replace %s: it is there already (--replace does)", name);
	return 1;
}

static int install_layer(struct worker *w, struct install *i, const struct oci_descriptor *layer,
			 struct err *e)
{
	const struct unpack_dirs dirs = { .upper = i->fd, .wants = wants, .arg = i };
	struct unpack_result ignored;
	AUTO_FD int blob = -1;

	if (peer_blob_open(&w->peer, layer->digest, &blob, e) < 0)
		return -1;
	return unpack_layer(blob, layer->media_type, &dirs, &ignored, e);
}

int worker_install(struct worker *w, int fd, struct err *e)
{
	struct install i = { &w->job.install, fd };
	struct closure all = { .w = w };
	struct closure_image image;
	int r = closure_add(&all, &w->job.image.target, &image, e);

	closure_done(&all);
	if (r == 0 && !image.is_found)
		r = err_set(e, ERR_NOT_FOUND, "%s has no image for this machine",
			    w->job.image.name);
	for (size_t k = 0; r == 0 && k < image.doc.n_layers; k++)
		r = install_layer(w, &i, &image.doc.layers[k], e);
	return r;
}
