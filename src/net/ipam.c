#include "net/ipam.h"

#include "base/mem.h"
#include "os/dir.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

enum { TRIES_MAX = 1 << 20, OWNER_MAX = 1024 };

int ipam_open(const char *cache_dir, const char *network, struct ipam *ret, struct err *e)
{
	AUTO_FREE char *dir = xasprintf("%s/networks/%s", cache_dir, network);
	AUTO_FREE char *path = xasprintf("%s/lock", dir);
	int r = file_mkdirs(dir, 0755);

	if (r < 0)
		return err_sys(e, -r, "mkdir %s", dir);
	AUTO_FD int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(e, errno, "open %s", path);
	while (flock(fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return err_sys(e, errno, "lock %s", path);
	ret->dir = TAKE_PTR(dir);
	ret->lock = TAKE_FD(fd);
	return 0;
}

void ipam_close(struct ipam *p)
{
	free(p->dir);
	close_fd(&p->lock);
}

static char *path_of(const struct ipam *p, const struct address *a)
{
	char text[ADDRESS_TEXT];

	address_text(a, text);
	return xasprintf("%s/%s", p->dir, text);
}

static char *owner_text(const char *container, const char *ifname)
{
	return xasprintf("%s\r\n%s", container, ifname);
}

/* 1: it is ours now, 0: somebody has it. */
static int claim(const struct ipam *p, const struct address *a, const char *owner, struct err *e)
{
	AUTO_FREE char *path = path_of(p, a);
	int r;

	if (access(path, F_OK) == 0)
		return 0;
	r = file_replace(AT_FDCWD, path, owner, strlen(owner), 0600, false);
	return r < 0 ? err_sys(e, -r, "write %s", path) : 1;
}

/* Where the search goes on: behind what was given last. */
static struct address search_from(const struct ipam *p, const struct subnet *s, unsigned i)
{
	AUTO_FREE char *path = xasprintf("%s/last_reserved_ip.%u", p->dir, i);
	AUTO_FREE char *text = NULL;
	struct address a;

	if (file_read(AT_FDCWD, path, ADDRESS_TEXT, &text, NULL) < 0 ||
	    address_parse(text, &a) < 0 || !subnet_has(s, &a))
		a = s->net;
	address_next(&a);
	return a;
}

static int note_last(const struct ipam *p, const struct address *a, unsigned i, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/last_reserved_ip.%u", p->dir, i);
	char text[ADDRESS_TEXT];
	int r;

	address_text(a, text);
	r = file_replace(AT_FDCWD, path, text, strlen(text), 0600, false);
	return r < 0 ? err_sys(e, -r, "write %s", path) : 0;
}

static int reserve_wanted(const struct ipam *p, const struct subnet *s,
			  const struct address *gateway, const struct address *wanted,
			  const char *owner, struct err *e)
{
	char text[ADDRESS_TEXT];
	int r;

	address_text(wanted, text);
	if (!subnet_is_host(s, wanted) || address_same(wanted, gateway))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "requested IP address %s is not available in the network", text);
	r = claim(p, wanted, owner, e);
	if (r < 0)
		return -1;
	return r ? 0
		 : err_set(e, ERR_ALREADY_EXISTS,
			   "requested IP address %s is in use by another container", text);
}

int ipam_reserve(const struct ipam *p, const struct subnet *s, unsigned i,
		 const struct address *gateway, const struct address *wanted, const char *container,
		 const char *ifname, struct address *ret, struct err *e)
{
	AUTO_FREE char *owner = owner_text(container, ifname);
	struct address a = search_from(p, s, i), first = a;

	if (wanted) {
		*ret = *wanted;
		return reserve_wanted(p, s, gateway, wanted, owner, e);
	}
	for (int n = 0; n < TRIES_MAX; n++) {
		if (!subnet_has(s, &a))
			a = s->net;
		if (subnet_is_host(s, &a) && !address_same(&a, gateway)) {
			int r = claim(p, &a, owner, e);

			if (r < 0)
				return -1;
			if (r > 0) {
				*ret = a;
				return note_last(p, &a, i, e);
			}
		}
		address_next(&a);
		if (address_same(&a, &first))
			break;
	}
	return err_set(e, ERR_RESOURCE_EXHAUSTED, "no IP addresses available in the network");
}

static bool is_owner(const char *path, const char *owner)
{
	AUTO_FREE char *text = NULL;

	return file_read(AT_FDCWD, path, OWNER_MAX, &text, NULL) == 0 && !strcmp(text, owner);
}

bool ipam_has(const struct ipam *p, const struct address *a, const char *container,
	      const char *ifname)
{
	AUTO_FREE char *path = path_of(p, a), *owner = owner_text(container, ifname);

	return is_owner(path, owner);
}

int ipam_find(const struct ipam *p, const char *container, const char *ifname, struct address *ret,
	      size_t max, size_t *ret_n, struct err *e)
{
	AUTO_FREE char *owner = owner_text(container, ifname);
	AUTO_STRV struct strv names = { 0 };
	int r = dir_names(AT_FDCWD, p->dir, &names);

	*ret_n = 0;
	if (r < 0)
		return err_sys(e, -r, "open %s", p->dir);
	for (size_t i = 0; i < names.n && *ret_n < max; i++) {
		AUTO_FREE char *path = xasprintf("%s/%s", p->dir, names.v[i]);
		struct address a;

		if (address_parse(names.v[i], &a) == 0 && is_owner(path, owner))
			ret[(*ret_n)++] = a;
	}
	return 0;
}

int ipam_release(const struct ipam *p, const struct address *a, struct err *e)
{
	AUTO_FREE char *path = path_of(p, a);

	if (unlink(path) < 0 && errno != ENOENT)
		return err_sys(e, errno, "remove %s", path);
	return 0;
}
