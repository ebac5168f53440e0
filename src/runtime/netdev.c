#include "runtime/netdev.h"

#include "os/netlink.h"
#include "os/syscall.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

/* The kernel's own rule. */
static bool is_name(const char *s)
{
	size_t n = strlen(s);

	if (n == 0 || n >= IFNAMSIZ || strcmp(s, ".") == 0 || strcmp(s, "..") == 0)
		return false;
	return strcspn(s, "/: \t\n\v\f\r") == n;
}

int netdev_plan(const struct oci_spec *s, struct plan *ret, struct err *e)
{
	const struct oci_linux *l = &s->linux;

	if (!l->n_net_devices)
		return 0;
	if (!(ret->all_ns & CLONE_NEWNET))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "unable to move network devices without a NET namespace");
	for (size_t i = 0; i < l->n_net_devices; i++) {
		const struct oci_net_device *d = &l->net_devices[i];

		if (!is_name(d->name) || (d->new_name && *d->new_name && !is_name(d->new_name)))
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "invalid network device name \"%s\"",
				       is_name(d->name) ? d->new_name : d->name);
	}
	ret->net_devices = l->net_devices;
	ret->n_net_devices = l->n_net_devices;
	return 0;
}

/* A netlink socket there; we are back before it is used. */
static int open_in(int own, int netns, struct err *e)
{
	if (setns(netns, CLONE_NEWNET) < 0)
		return err_sys(e, errno, "enter the container's network namespace");
	int sock = netlink_open();
	if (setns(own, CLONE_NEWNET) < 0) {
		if (sock >= 0)
			close(sock);
		return err_sys(e, errno, "return from the container's network namespace");
	}
	return sock < 0 ? err_sys(e, -sock, "open a netlink socket") : sock;
}

/* Others are temporary, or of a network that the interface leaves. */
static bool goes_along(const struct netlink_address *a)
{
	return a->flags & IFA_F_PERMANENT && a->scope == RT_SCOPE_UNIVERSE;
}

static int give_addresses(int sock, const char *name, const struct netdev_moved *m, bool up,
			  struct err *e)
{
	int index = netlink_index(sock, name);

	if (index < 0)
		return err_sys(e, -index, "link not found for interface %s in the container", name);
	for (size_t i = 0; i < m->n_addresses; i++) {
		const struct netlink_address *a = &m->addresses[i];
		int r = goes_along(a) ? netlink_add_address(sock, index, a) : 0;

		if (r < 0)
			return err_sys(e, -r, "fail to set up an address of %s", name);
	}
	int r = up ? netlink_set_up(sock, name, true) : 0;
	return r < 0 ? err_sys(e, -r, "fail to set up interface %s", name) : 0;
}

static const char *name_inside(const struct oci_net_device *d)
{
	return d->new_name && *d->new_name ? d->new_name : d->name;
}

/* By index from here on: in a joined namespace others may have the device's old name.  A move
 * whose new name is taken there leaves it there under the old one, if that is free. */
static void note_place(int there, int here, bool has_moved, struct netdev_moved *m)
{
	const char *name = has_moved ? name_inside(m->device) : m->device->name;
	int index = 0;

	if (has_moved || netlink_index(here, name) < 0)
		index = netlink_index(there, name);
	m->inside = index > 0 ? index : 0;
}

static int move_device(struct netdev_moves *s, const struct oci_net_device *d, int here, int netns,
		       struct err *e)
{
	struct netdev_moved *m = &s->v[s->n];
	int index = netlink_index(here, d->name);

	if (index < 0)
		return err_sys(e, -index, "link not found for interface %s on runtime namespace",
			       d->name);
	*m = (struct netdev_moved){ .device = d, .was_up = netlink_is_up(here, d->name) > 0 };
	/* before it goes down, which takes the IPv6 ones */
	int r = netlink_addresses(here, index, &m->addresses, &m->n_addresses);
	if (r < 0)
		return err_sys(e, -r, "fail to get ip addresses");
	s->n++; /* from here on there is something to undo */
	r = netlink_set_up(here, d->name, false);
	if (r < 0)
		return err_sys(e, -r, "fail to set link down");
	r = netlink_move(here, index, netns, name_inside(d));
	note_place(s->there, here, r == 0, m);
	if (r < 0)
		return err_sys(e, -r, "fail to move network device %s to network namespace",
			       d->name);
	return give_addresses(s->there, name_inside(d), m, true, e);
}

int netdev_move_all(const struct plan *p, int procfd, int netns, struct netdev_moves *ret,
		    struct err *e)
{
	AUTO_FD int here = netlink_open();

	ret->v = xcalloc(p->n_net_devices, sizeof *ret->v);
	ret->own = openat(procfd, "thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (ret->own < 0)
		return err_sys(e, errno, "open our network namespace");
	if (here < 0)
		return err_sys(e, -here, "open a netlink socket");
	ret->there = open_in(ret->own, netns, e);
	if (ret->there < 0)
		return -1;
	for (size_t i = 0; i < p->n_net_devices; i++)
		if (move_device(ret, &p->net_devices[i], here, netns, e) < 0)
			return -1;
	return 0;
}

void netdev_undo(struct netdev_moves *s)
{
	AUTO_FD int here = s->n ? netlink_open() : -1;

	while (here >= 0 && s->n) {
		struct netdev_moved *m = &s->v[--s->n];
		struct err ignored = { 0 }; /* the first error is the one to tell */

		if (m->inside)
			(void)netlink_move(s->there, m->inside, s->own, m->device->name);
		(void)give_addresses(here, m->device->name, m, m->was_up, &ignored);
		free(m->addresses);
	}
	netdev_moves_done(s);
}

void netdev_moves_done(struct netdev_moves *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i].addresses);
	free(s->v);
	close_fd(&s->own);
	close_fd(&s->there);
	*s = NETDEV_MOVES_NONE;
}
