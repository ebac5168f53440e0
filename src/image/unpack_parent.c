#include "image/unpack_parent.h"

#include "base/mem.h"
#include "image/unpack_walk.h"

#include <errno.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

/* A set-group-ID folder gives its group to what is made there, a default ACL its modes. */
static bool is_plain(int fd)
{
	struct stat st;

	return geteuid() == 0 && getegid() == 0 && fstat(fd, &st) == 0 && !(st.st_mode & S_ISGID) &&
	       getxattr(walk_fd_name(fd).s, "system.posix_acl_default", NULL, 0) < 0 &&
	       (errno == ENODATA || errno == ENOTSUP);
}

void parent_forget(struct parent *p)
{
	if (!p->folder)
		return;
	free(p->folder);
	p->folder = NULL;
	close_fd(&p->fd);
}

int parent_find(struct parent *p, const struct unpack_dirs *d, const char *path,
		const char **ret_leaf)
{
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash + 1 - path) : 0;

	if (p->folder && !p->has_links && strncmp(p->folder, path, n) == 0 && !p->folder[n]) {
		*ret_leaf = path + n;
		return p->fd;
	}
	parent_forget(p);
	char *folder = xstrndup(path, n);
	int fd = walk_real(d, folder);
	bool is_real = fd >= 0;

	*ret_leaf = path + n;
	if (!is_real)
		fd = walk_parent(d, path, true, ret_leaf);
	if (fd < 0) {
		free(folder);
		return fd;
	}
	*p = (struct parent){
		.folder = folder, .has_links = !is_real, .fd = fd, .is_plain = is_plain(fd)
	};
	return fd;
}
