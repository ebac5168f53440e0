#include "cmd/ctr/network_reach.h"

#include "net/publish.h"

enum { ADDRESSES_MAX = 64 };

static json_object *ports_of(json_object *wishes)
{
	json_object *args = NULL, *ports = NULL;
	struct err bad = { 0 };

	if (jsonr_object(wishes, "capabilityArgs", &args, &bad) < 0 || !args ||
	    jsonr_array(args, "portMappings", &ports, &bad) < 0)
		return NULL;
	return ports;
}

static const char *address_of(json_object *port, const struct kept *kept)
{
	const char *ip = "";
	struct err bad = { 0 };

	if (!json_object_is_type(port, json_type_object) ||
	    jsonr_string(port, "hostIP", &ip, &bad) < 0)
		return "";
	return *ip ? ip : kept->publish_address;
}

static bool is_loopback(const char *ip)
{
	return str_starts(ip, "127.") || !strcmp(ip, "::1");
}

static bool is_any(const char *ip)
{
	return !*ip || !strcmp(ip, "0.0.0.0") || !strcmp(ip, "::");
}

/* Only the built-in network knows the policy; with plugins the ports are past the rules, too. */
static bool is_screened(const struct kept *kept)
{
	return !strcmp(kept->publish_policy, "host-firewall");
}

static void explain(struct strv *to, json_object *ports, const char *ip, const struct kept *kept)
{
	struct str s AUTO_STR = STR_INIT(256 << 10);

	publish_print(ports, &s);
	str_add(&s, ": from ");
	if (is_loopback(ip))
		str_add(&s, "this host alone");
	else if (is_any(ip))
		str_add(&s, "everywhere");
	else
		str_addf(&s, "whoever reaches %s", ip);
	if (!is_loopback(ip))
		str_add(&s, is_screened(kept) ? ", if the host's rules for INPUT let it in"
					      : ", past the host's rules for INPUT");
	strv_add(to, str_c(&s));
}

struct strv network_reach(json_object *wishes, const struct kept *kept)
{
	json_object *ports = ports_of(wishes);
	size_t n = ports ? json_object_array_length(ports) : 0;
	const char *seen[ADDRESSES_MAX];
	size_t n_seen = 0;
	struct strv ret = { 0 };

	for (size_t i = 0; i < n && n_seen < ADDRESSES_MAX; i++) {
		const char *ip = address_of(json_object_array_get_idx(ports, i), kept);
		AUTO_JSON json_object *some = json_object_new_array();
		bool is_new = true;

		for (size_t k = 0; k < n_seen; k++)
			is_new &= strcmp(seen[k], ip) != 0;
		if (!is_new)
			continue;
		seen[n_seen++] = ip;
		for (size_t k = i; k < n; k++) {
			json_object *port = json_object_array_get_idx(ports, k);

			if (!strcmp(address_of(port, kept), ip))
				json_object_array_add(some, json_object_get(port));
		}
		explain(&ret, some, ip, kept);
	}
	return ret;
}

bool network_is_open(json_object *wishes, const struct kept *kept)
{
	json_object *ports = ports_of(wishes);

	for (size_t i = 0; ports && !is_screened(kept) && i < json_object_array_length(ports); i++)
		if (!is_loopback(address_of(json_object_array_get_idx(ports, i), kept)))
			return true;
	return false;
}
