#include "net/builtin.h"

#include "base/mem.h"
#include "base/sha256.h"
#include "net/builtin_conf.h"
#include "net/ipam.h"
#include "net/nft_state.h"

#include <errno.h>
#include <string.h>

enum { CABLE_NAME = 16, CABLE_HEX = 10 };

/* The same for the same interface of the same container: whoever undoes it needs no record. */
static void cable_name(const struct cni_attachment *at, char ret[CABLE_NAME])
{
	AUTO_FREE char *text = xasprintf("%s/%s", at->container, at->ifname);
	char hex[SHA256_HEX + 1];

	sha256_of(text, strlen(text), hex);
	snprintf(ret, CABLE_NAME, "veth%.*s", CABLE_HEX, hex);
}

/* What an ADD has in hand. */
struct adding {
	struct builtin conf;
	struct link_sockets sockets;
	struct address addresses[RANGES_MAX];
	size_t n; /* of those reserved */
	struct nft_port *ports;
	size_t n_ports;
	char cable[CABLE_NAME];
	bool is_foreign; /* it has been attached before: nothing is to be undone */
};

static void adding_done(struct adding *a)
{
	link_close(&a->sockets);
	free(a->ports);
}

/* What is attached twice would be taken from its owner when the second ADD is undone. */
static int check_new(const struct ipam *store, const struct cni_attachment *at, struct adding *a,
		     struct err *e)
{
	struct address v[RANGES_MAX];
	size_t n;

	if (ipam_find(store, at->container, at->ifname, v, RANGES_MAX, &n, e) < 0)
		return -1;
	a->is_foreign = n > 0;
	return n ? err_set(e, ERR_ALREADY_EXISTS, "%s of container \"%s\"", at->ifname,
			   at->container)
		 : 0;
}

static int reserve(const struct cni_env *env, const struct cni_net *net,
		   const struct cni_attachment *at, struct adding *a, struct err *e)
{
	struct ipam store;
	int r = 0;

	if (ipam_open(env->cache_dir, net->name, &store, e) < 0)
		return -1;
	r = check_new(&store, at, a, e);
	for (size_t i = 0; r == 0 && i < a->conf.n; i++) {
		struct address wanted;
		bool has = builtin_wanted(at->capability_args, &a->conf.ranges[i], &wanted);

		r = ipam_reserve(&store, &a->conf.ranges[i], (unsigned)i, &a->conf.gateways[i],
				 has ? &wanted : NULL, at->container, at->ifname, &a->addresses[i],
				 e);
		a->n += r == 0;
	}
	ipam_close(&store);
	return r;
}

static int connect_cable(const struct cni_attachment *at, struct adding *a, struct err *e)
{
	struct link_address ours[RANGES_MAX], its[RANGES_MAX];
	uint8_t mac[6];
	bool has_mac;
	struct cable c = { .bridge = a->conf.bridge,
			   .outside = a->cable,
			   .inside = at->ifname,
			   .mtu = a->conf.mtu,
			   .addresses = its,
			   .gateways = a->conf.gateways,
			   .n = a->n };

	if (builtin_mac(at->capability_args, mac, &has_mac, e) < 0)
		return -1;
	c.mac = has_mac ? mac : NULL;
	for (size_t i = 0; i < a->n; i++) {
		ours[i] = (struct link_address){ a->conf.gateways[i], a->conf.ranges[i].prefix };
		its[i] = (struct link_address){ a->addresses[i], a->conf.ranges[i].prefix };
		c.has_v6 |= a->addresses[i].family == AF_INET6;
	}
	if (link_bridge(&a->sockets, a->conf.bridge, a->conf.mtu, ours, a->n, e) < 0)
		return -1;
	return link_cable(&a->sockets, &c, e);
}

static struct nft_change change_of(const struct cni_env *env, const struct adding *a)
{
	return (struct nft_change){ .bridge = a->conf.bridge,
				    .masqueraded = a->addresses,
				    .n_masqueraded = a->conf.is_masqueraded ? a->n : 0,
				    .ports = a->ports,
				    .n_ports = a->n_ports,
				    .is_screened = env->is_screened };
}

/* What the host must do for packets that are not its own. */
static void let_through(const struct adding *a)
{
	for (size_t i = 0; i < a->n; i++)
		if (a->addresses[i].family == AF_INET)
			link_sysctl("1", "ipv4/ip_forward");
		else
			link_sysctl("1", "ipv6/conf/all/forwarding");
	if (a->n_ports) /* by 127.0.0.1, from the host itself; the table keeps others out */
		link_sysctl("1", "ipv4/conf/%s/route_localnet", a->conf.bridge);
}

/* --- the result --- */

static void put_text(json_object *o, const char *key, const char *value)
{
	json_object_object_add(o, key, json_object_new_string(value));
}

static json_object *interface_json(const char *name, int sock, const char *netns)
{
	json_object *o = json_object_new_object();
	char mac[18];

	link_mac(sock, name, mac);
	put_text(o, "name", name);
	put_text(o, "mac", mac);
	if (netns)
		put_text(o, "sandbox", netns);
	return o;
}

static json_object *result_json(const struct cni_net *net, const struct cni_attachment *at,
				const struct adding *a)
{
	json_object *o = json_object_new_object(), *interfaces = json_object_new_array();
	json_object *ips = json_object_new_array(), *routes = json_object_new_array();

	json_object_array_add(interfaces, interface_json(a->conf.bridge, a->sockets.host, NULL));
	json_object_array_add(interfaces, interface_json(a->cable, a->sockets.host, NULL));
	json_object_array_add(interfaces, interface_json(at->ifname, a->sockets.inside, at->netns));
	for (size_t i = 0; i < a->n; i++) {
		json_object *ip = json_object_new_object(), *route = json_object_new_object();
		char text[ADDRESS_TEXT], whole[ADDRESS_TEXT + 8];

		address_text(&a->addresses[i], text);
		snprintf(whole, sizeof whole, "%s/%u", text, a->conf.ranges[i].prefix);
		json_object_object_add(ip, "interface", json_object_new_int(2));
		put_text(ip, "address", whole);
		address_text(&a->conf.gateways[i], text);
		put_text(ip, "gateway", text);
		json_object_array_add(ips, ip);
		put_text(route, "dst", a->addresses[i].family == AF_INET6 ? "::/0" : "0.0.0.0/0");
		json_object_array_add(routes, route);
	}
	put_text(o, "cniVersion", net->version);
	json_object_object_add(o, "interfaces", interfaces);
	json_object_object_add(o, "ips", ips);
	json_object_object_add(o, "routes", routes);
	json_object_object_add(o, "dns", json_object_new_object());
	return o;
}

/* --- the verbs --- */

/* Of addresses that are this container's; the store is open. */
static int take_away(const struct cni_env *env, const struct ipam *store,
		     const struct cni_attachment *at, struct adding *a, json_object *args,
		     struct err *e)
{
	struct nft_change c;

	/* The address is given back last: until then the ports are ours to take away. */
	if (builtin_ports(args, a->addresses, a->n, &a->ports, &a->n_ports, e) < 0)
		return -1;
	c = change_of(env, a);
	if (a->n && nft_remove(&c, e) < 0)
		return -1;
	cable_name(at, a->cable);
	if (link_remove(&a->sockets, a->cable, e) < 0)
		return -1;
	for (size_t i = 0; i < a->n; i++)
		if (ipam_release(store, &a->addresses[i], e) < 0)
			return -1;
	return 0;
}

int builtin_del(const struct cni_env *env, const struct cni_net *net,
		const struct cni_attachment *at, json_object *args, struct err *e)
{
	CLEANUP(adding_done)
	struct adding a = { .sockets = { -1, -1, -1 } };
	struct ipam store;
	int r;

	if (builtin_read(net, &a.conf, e) < 0 || link_open("", &a.sockets, e) < 0 ||
	    ipam_open(env->cache_dir, net->name, &store, e) < 0)
		return -1;
	r = ipam_find(&store, at->container, at->ifname, a.addresses, RANGES_MAX, &a.n, e);
	if (r == 0)
		r = take_away(env, &store, at, &a, args, e);
	ipam_close(&store);
	return r;
}

static int add_steps(const struct cni_env *env, const struct cni_net *net,
		     const struct cni_attachment *at, struct adding *a, struct err *e)
{
	struct nft_change c;

	if (reserve(env, net, at, a, e) < 0 || connect_cable(at, a, e) < 0 ||
	    builtin_ports(at->capability_args, a->addresses, a->n, &a->ports, &a->n_ports, e) < 0)
		return -1;
	c = change_of(env, a);
	if (nft_add(&c, e) < 0)
		return -1;
	let_through(a);
	return 0;
}

/* After a failure: ports that could not be published are somebody else's. */
static void undo(const struct cni_env *env, const struct cni_net *net,
		 const struct cni_attachment *at)
{
	struct err ignored = { 0 };

	(void)builtin_del(env, net, at, NULL, &ignored);
}

int builtin_add(const struct cni_env *env, const struct cni_net *net,
		const struct cni_attachment *at, json_object **ret, struct err *e)
{
	CLEANUP(adding_done)
	struct adding a = { .sockets = { -1, -1, -1 } };

	if (builtin_read(net, &a.conf, e) < 0 ||
	    builtin_check_ips(at->capability_args, &a.conf, e) < 0 ||
	    link_open(at->netns, &a.sockets, e) < 0)
		return err_wrap(e, "network %s", net->name);
	cable_name(at, a.cable);
	if (add_steps(env, net, at, &a, e) < 0) {
		if (!a.is_foreign)
			undo(env, net, at);
		return err_wrap(e, "network %s", net->name);
	}
	*ret = result_json(net, at, &a);
	return 0;
}

int builtin_restore(const struct cni_env *env, const struct cni_net *net,
		    const struct cni_attachment *at, bool *ret_did, struct err *e)
{
	CLEANUP(adding_done)
	struct adding a = { .sockets = { -1, -1, -1 } };
	struct ipam store;
	int r;

	if (builtin_read(net, &a.conf, e) < 0 ||
	    ipam_open(env->cache_dir, net->name, &store, e) < 0)
		return -1;
	r = ipam_find(&store, at->container, at->ifname, a.addresses, RANGES_MAX, &a.n, e);
	ipam_close(&store);
	if (r < 0 || !a.n || /* it is not attached any more */
	    builtin_ports(at->capability_args, a.addresses, a.n, &a.ports, &a.n_ports, e) < 0)
		return r;
	const struct nft_change c = change_of(env, &a);

	if (nft_is_whole(&c))
		return 0;
	*ret_did = true;
	if (nft_add(&c, e) < 0)
		return err_wrap(e, "network %s", net->name);
	let_through(&a);
	return 0;
}

int builtin_check(const struct cni_env *env, const struct cni_net *net,
		  const struct cni_attachment *at, struct err *e)
{
	CLEANUP(link_close) struct link_sockets s;
	struct address v[RANGES_MAX];
	struct ipam store;
	char cable[CABLE_NAME];
	size_t n;
	int r;

	if (link_open(at->netns, &s, e) < 0 || ipam_open(env->cache_dir, net->name, &store, e) < 0)
		return -1;
	r = ipam_find(&store, at->container, at->ifname, v, RANGES_MAX, &n, e);
	ipam_close(&store);
	if (r < 0)
		return -1;
	cable_name(at, cable);
	if (!n)
		return err_set(e, ERR_NOT_FOUND, "address of %s in network %s", at->container,
			       net->name);
	if (!link_exists(s.host, cable) || (s.inside >= 0 && !link_exists(s.inside, at->ifname)))
		return err_set(e, ERR_NOT_FOUND, "interface %s of %s", at->ifname, at->container);
	return 0;
}
