#include "net/builtin_conf.h"

#include "base/mem.h"
#include "net/builtin.h"
#include "net/publish.h"

#include <arpa/inet.h>
#include <string.h>

/* In order of preference; podman's, docker's and Kubernetes' usual ones are not among them. */
static const char *const candidates[] = { "10.63.0.0/16", "10.163.0.0/16", "172.30.0.0/16",
					  "192.168.163.0/24", "10.213.0.0/16" };

/* --- the default --- */

static char *document(const char *subnet)
{
	return xasprintf("{\"cniVersion\":\"1.0.0\",\"name\":\"" BUILTIN_NAME
			 "\",\"casco.builtin\":true,\"plugins\":[{\"type\":\"bridge\",\"bridge\":"
			 "\"" BUILTIN_BRIDGE "\",\"isGateway\":true,\"ipMasq\":true,"
			 "\"hairpinMode\":true,\"capabilities\":{\"ips\":true,\"mac\":true},"
			 "\"ipam\":{\"type\":\"host-local\",\"ranges\":[[{\"subnet\":\"%s\"}]],"
			 "\"routes\":[{\"dst\":\"0.0.0.0/0\"}]}},{\"type\":\"portmap\","
			 "\"capabilities\":{\"portMappings\":true}}]}",
			 subnet);
}

int builtin_default(struct cni_net **ret, struct err *e)
{
	CLEANUP(link_close) struct link_sockets s;

	if (link_open("", &s, e) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(candidates); i++) {
		AUTO_FREE char *text = document(candidates[i]);
		struct subnet net;
		bool is_taken;

		if (subnet_parse(candidates[i], &net, e) < 0 ||
		    link_is_taken(&s, &net, BUILTIN_BRIDGE, &is_taken, e) < 0)
			return -1;
		if (!is_taken)
			return cni_net_parse(text, strlen(text), true, NULL, ret, e);
	}
	return err_set(e, ERR_RESOURCE_EXHAUSTED,
		       "the host's routes leave no subnet for the built-in network: configure one "
		       "in " CNI_CONF_DIR);
}

/* --- reading --- */

/* What we do not do ourselves must not be left out without a word. */
static const char *const range_members[] = { "subnet", "gateway", NULL };
static const char *const ipam_members[] = { "type", "ranges", "routes", NULL };

static int check_types(const struct cni_net *net, struct err *e)
{
	for (size_t i = 0; i < json_object_array_length(net->plugins); i++) {
		const char *type = "", *want = i ? "portmap" : "bridge";

		if (jsonr_string(json_object_array_get_idx(net->plugins, i), "type", &type, e) < 0)
			return -1;
		if (strcmp(type, want) != 0)
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "the built-in network is a bridge and a portmap, and has no "
				       "\"%.100s\"",
				       type);
	}
	return 0;
}

static int check_members(json_object *o, const char *const *known, struct err *e)
{
	json_object_object_foreach(o, key, value)
	{
		bool is_known = false;

		(void)value;
		for (const char *const *k = known; *k; k++)
			is_known |= !strcmp(*k, key);
		if (!is_known)
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "the built-in network does not know \"%.100s\"", key);
	}
	return 0;
}

static int read_range(json_object *set, struct builtin *b, struct err *e)
{
	json_object *o = json_object_is_type(set, json_type_array)
				 ? json_object_array_get_idx(set, 0)
				 : NULL;
	const char *subnet = "", *gateway = "";

	if (!json_object_is_type(o, json_type_object) || json_object_array_length(set) != 1)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "the built-in network has one range of addresses of each family");
	if (check_members(o, range_members, e) < 0 || jsonr_string(o, "subnet", &subnet, e) < 0 ||
	    jsonr_string(o, "gateway", &gateway, e) < 0 ||
	    subnet_parse(subnet, &b->ranges[b->n], e) < 0)
		return -1;
	b->gateways[b->n] = subnet_first(&b->ranges[b->n]);
	if (*gateway && address_parse(gateway, &b->gateways[b->n]) < 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid gateway \"%.100s\"", gateway);
	if (!subnet_is_host(&b->ranges[b->n], &b->gateways[b->n]))
		return err_set(e, ERR_INVALID_ARGUMENT, "the gateway is not in subnet %.100s",
			       subnet);
	b->n++;
	return 0;
}

int builtin_read(const struct cni_net *net, struct builtin *ret, struct err *e)
{
	json_object *bridge = json_object_array_get_idx(net->plugins, 0), *ipam = NULL;
	json_object *ranges = NULL;
	int64_t mtu = 0;

	if (check_types(net, e) < 0)
		return -1;
	*ret = (struct builtin){ .bridge = BUILTIN_BRIDGE };
	if (jsonr_string(bridge, "bridge", &ret->bridge, e) < 0 ||
	    jsonr_i64(bridge, "mtu", &mtu, e) < 0 ||
	    jsonr_bool(bridge, "ipMasq", &ret->is_masqueraded, e) < 0 ||
	    jsonr_object(bridge, "ipam", &ipam, e) < 0 ||
	    (ipam && jsonr_array(ipam, "ranges", &ranges, e) < 0))
		return -1;
	if (cni_check_ifname(ret->bridge, e) < 0 ||
	    (ipam && check_members(ipam, ipam_members, e) < 0))
		return -1;
	if (mtu < 0 || mtu > 65535)
		return err_set(e, ERR_INVALID_ARGUMENT, "mtu is out of range");
	ret->mtu = (unsigned)mtu;
	if (!ranges || !json_object_array_length(ranges) ||
	    json_object_array_length(ranges) > RANGES_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "the built-in network needs one to four ranges");
	for (size_t i = 0; i < json_object_array_length(ranges); i++)
		if (read_range(json_object_array_get_idx(ranges, i), ret, e) < 0)
			return -1;
	return 0;
}

/* --- wishes --- */

static json_object *wish(json_object *args, const char *key, enum json_type type)
{
	json_object *o = NULL;

	if (args)
		(void)json_object_object_get_ex(args, key, &o);
	return json_object_is_type(o, type) ? o : NULL;
}

static int ip_of(json_object *list, size_t i, struct address *ret)
{
	json_object *o = json_object_array_get_idx(list, i);
	AUTO_FREE char *text = json_object_is_type(o, json_type_string)
				       ? xstrdup(json_object_get_string(o))
				       : NULL;

	if (!text)
		return -1;
	text[strcspn(text, "/")] = 0;
	return address_parse(text, ret);
}

bool builtin_wanted(json_object *args, const struct subnet *range, struct address *ret)
{
	json_object *list = wish(args, "ips", json_type_array);

	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		if (ip_of(list, i, ret) == 0 && subnet_has(range, ret))
			return true;
	return false;
}

int builtin_check_ips(json_object *args, const struct builtin *b, struct err *e)
{
	json_object *list = wish(args, "ips", json_type_array);

	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct address a;
		bool is_in = false;

		for (size_t k = 0; k < b->n && ip_of(list, i, &a) == 0; k++)
			is_in |= subnet_has(&b->ranges[k], &a);
		if (!is_in)
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "requested IP address %.60s is not in the network",
				       json_object_get_string(json_object_array_get_idx(list, i)));
	}
	return 0;
}

/* Of two digits that have been checked. */
static uint8_t hex_byte(const char *s)
{
	uint8_t b = 0;

	for (int i = 0; i < 2; i++)
		b = (uint8_t)(b << 4 | (s[i] <= '9' ? s[i] - '0' : (s[i] | 0x20) - 'a' + 10));
	return b;
}

int builtin_mac(json_object *args, uint8_t mac[6], bool *ret_has, struct err *e)
{
	json_object *o = wish(args, "mac", json_type_string);

	*ret_has = o != NULL;
	if (!o)
		return 0;
	if (publish_check_mac(json_object_get_string(o), e) < 0)
		return -1;
	for (size_t i = 0; i < 6; i++)
		mac[i] = hex_byte(json_object_get_string(o) + 3 * i);
	return 0;
}

struct port_list {
	struct nft_port *v;
	size_t n, cap;
};

static int read_port(json_object *o, struct nft_port *ret, struct err *e)
{
	static const struct {
		const char *name;
		uint8_t number;
	} protocols[] = { { "tcp", IPPROTO_TCP },
			  { "udp", IPPROTO_UDP },
			  { "sctp", IPPROTO_SCTP } };
	const char *protocol = "tcp", *ip = "";
	int64_t host = 0, inside = 0;

	*ret = (struct nft_port){ 0 };
	if (!json_object_is_type(o, json_type_object))
		return err_set(e, ERR_INVALID_ARGUMENT, "a port mapping is no object");
	if (jsonr_i64(o, "hostPort", &host, e) < 0 ||
	    jsonr_i64(o, "containerPort", &inside, e) < 0 ||
	    jsonr_string(o, "protocol", &protocol, e) < 0 || jsonr_string(o, "hostIP", &ip, e) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
		if (!strcmp(protocols[i].name, protocol))
			ret->protocol = protocols[i].number;
	if (host < 1 || host > UINT16_MAX || inside < 1 || inside > UINT16_MAX || !ret->protocol)
		return err_set(e, ERR_INVALID_ARGUMENT, "a port mapping is out of range");
	ret->host_port = (uint16_t)host;
	ret->container_port = (uint16_t)inside;
	if (*ip && address_parse(ip, &ret->host) < 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid IP address \"%.60s\"", ip);
	return 0;
}

/* "0.0.0.0" and "::" are all addresses of their family. */
static bool is_any(const struct address *a)
{
	for (size_t i = 0; i < address_size(a); i++)
		if (a->b[i])
			return false;
	return true;
}

static void add_ports(struct port_list *l, const struct nft_port *p, const struct address *v,
		      size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct nft_port one = *p;

		if (p->host.family && p->host.family != v[i].family)
			continue;
		if (p->host.family && is_any(&p->host))
			one.host.family = 0;
		one.container = v[i];
		GROW(l->v, l->n, l->cap);
		l->v[l->n++] = one;
	}
}

int builtin_ports(json_object *args, const struct address *v, size_t n, struct nft_port **ret,
		  size_t *ret_n, struct err *e)
{
	json_object *list = wish(args, "portMappings", json_type_array);
	struct port_list l = { 0 };

	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct nft_port p;

		if (i == BUILTIN_PORTS_MAX ||
		    read_port(json_object_array_get_idx(list, i), &p, e) < 0) {
			free(l.v);
			return i == BUILTIN_PORTS_MAX
				       ? err_set(e, ERR_INVALID_ARGUMENT, "more than %d ports",
						 BUILTIN_PORTS_MAX)
				       : -1;
		}
		add_ports(&l, &p, v, n);
	}
	*ret = l.v;
	*ret_n = l.n;
	return 0;
}
