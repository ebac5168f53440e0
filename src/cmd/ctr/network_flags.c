/* --cni and what goes with it. */
#include "cmd/ctr/network.h"

#include "base/ident.h"
#include "base/jsonr.h"
#include "net/cni.h"
#include "net/publish.h"

const struct flag network_flags[] = {
	{ "cni", FLAG_BOOL, NULL, "enable cni networking for the container" },
	{ "network", FLAG_LIST, NULL,
	  "attach the container to this network instead of the first configured one; implies "
	  "--cni" },
	{ .name = "publish",
	  .type = FLAG_LIST,
	  .alias = "p",
	  .value = "[IP:]HOSTPORT:PORT[/PROTO]",
	  .help = "reach a port of the container by a port of the host (also ranges: "
		  "8000-8010:9000-9010); implies --cni" },
	{ "ip", FLAG_LIST, NULL, "address of the container in its network; implies --cni" },
	{ "mac-address", FLAG_STRING, NULL, "hardware address of eth0; implies --cni" },
	{ "dns", FLAG_LIST, NULL,
	  "name server in the container's /etc/resolv.conf; implies --cni" },
	{ "network-alias", FLAG_LIST, NULL,
	  "another name of the container, for networks with a plugin for names; implies --cni" },
	{ .name = "ingress-bandwidth",
	  .type = FLAG_STRING,
	  .value = "RATE",
	  .help = "bits a second into the container (e.g. 10M), by a plugin that limits them; "
		  "implies --cni" },
	{ .name = "egress-bandwidth",
	  .type = FLAG_STRING,
	  .value = "RATE",
	  .help = "bits a second out of it" },
	{ "dns-search", FLAG_LIST, NULL, "search domain there (\".\": none)" },
	{ "dns-option", FLAG_LIST, NULL, "option there (e.g. ndots:2)" },
	{ NULL },
};

static json_object *strings(const struct args *args, const char *name)
{
	const char *const *words = args_list(args, name, NULL);
	json_object *a = json_object_new_array();

	for (; *words; words++)
		json_object_array_add(a, json_object_new_string(*words));
	return a;
}

static int check_dns(const struct args *args, struct err *e)
{
	static const char *const names[] = { "dns-search", "dns-option" };
	const char *const *words = args_list(args, "dns", NULL);

	for (; *words; words++)
		if (strchr(*words, '/') || publish_check_ip(*words, e) < 0) {
			err_clear(e);
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "invalid value \"%s\" for flag -dns: an address is expected",
				       *words);
		}
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		for (words = args_list(args, names[i], NULL); *words; words++)
			if (!**words || strpbrk(*words, " \t\r\n#;"))
				return err_set(
					e, ERR_INVALID_ARGUMENT,
					"invalid value \"%s\" for flag -%s: one word is expected",
					*words, names[i]);
	return 0;
}

static int add_rate(const struct args *args, const char *flag, const char *key, json_object *to,
		    struct err *e)
{
	const char *text = args_string(args, flag);
	AUTO_FREE char *rate_key = xasprintf("%sRate", key), *burst_key = xasprintf("%sBurst", key);
	uint64_t rate;

	if (!args_is_set(args, flag))
		return 0;
	if (publish_parse_rate(text, &rate) < 0)
		return err_set(
			e, ERR_INVALID_ARGUMENT,
			"invalid value \"%s\" for flag -%s: bits a second are expected, such "
			"as 500k or 10M",
			text, flag);
	json_object_object_add(to, rate_key, json_object_new_int64((int64_t)rate));
	json_object_object_add(to, burst_key, json_object_new_int64(INT32_MAX)); /* as Kubernetes */
	return 0;
}

static int add_bandwidth(const struct args *args, json_object *to, struct err *e)
{
	json_object *o;

	if (!args_is_set(args, "ingress-bandwidth") && !args_is_set(args, "egress-bandwidth"))
		return 0;
	o = json_object_new_object();
	json_object_object_add(to, "bandwidth", o);
	return add_rate(args, "ingress-bandwidth", "ingress", o, e) < 0
		       ? -1
		       : add_rate(args, "egress-bandwidth", "egress", o, e);
}

/* What goes to the plugins: only what was asked for. */
static int capability_args(const struct args *args, json_object *to, struct err *e)
{
	const char *mac = args_string(args, "mac-address");
	const char *const *words = args_list(args, "publish", NULL);

	if (*words) {
		json_object *ports = json_object_new_array();

		json_object_object_add(to, "portMappings", ports);
		for (; *words; words++)
			if (publish_parse(*words, ports, e) < 0)
				return -1;
	}
	if (args_is_set(args, "network-alias"))
		json_object_object_add(to, "aliases", strings(args, "network-alias"));
	for (words = args_list(args, "network-alias", NULL); *words; words++)
		if (!ident_is_valid(*words))
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "invalid value \"%s\" for flag -network-alias: a name is "
				       "expected",
				       *words);
	if (add_bandwidth(args, to, e) < 0)
		return -1;
	if (args_is_set(args, "ip"))
		json_object_object_add(to, "ips", strings(args, "ip"));
	for (words = args_list(args, "ip", NULL); *words; words++)
		if (publish_check_ip(*words, e) < 0)
			return -1;
	if (*mac && publish_check_mac(mac, e) < 0)
		return -1;
	if (*mac)
		json_object_object_add(to, "mac", json_object_new_string(mac));
	return 0;
}

static json_object *dns_of(const struct args *args)
{
	json_object *dns = json_object_new_object();

	json_object_object_add(dns, "servers", strings(args, "dns"));
	json_object_object_add(dns, "searches", strings(args, "dns-search"));
	json_object_object_add(dns, "options", strings(args, "dns-option"));
	return dns;
}

static bool is_wished(const struct args *args)
{
	bool is = args_bool(args, "cni");

	for (const struct flag *f = network_flags + 1; f->name; f++)
		is |= args_is_set(args, f->name);
	return is;
}

static int check(const struct args *args, struct err *e)
{
	const char *const *words = args_list(args, "network", NULL);

	if (args_bool(args, "net-host"))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "flags --net-host and --cni cannot be specified together: the "
			       "container would change the host's own network");
	for (; *words; words++)
		if (cni_check_network(*words, e) < 0)
			return -1;
	return check_dns(args, e);
}

int network_wishes(struct ctr *ctr, const struct args *args, const char **ret, struct err *e)
{
	AUTO_JSON json_object *o = NULL;
	json_object *capabilities;

	*ret = NULL;
	if (!is_wished(args))
		return 0;
	if (check(args, e) < 0)
		return -1;
	o = json_object_new_object();
	capabilities = json_object_new_object();
	json_object_object_add(o, "networks", strings(args, "network"));
	json_object_object_add(o, "capabilityArgs", capabilities);
	json_object_object_add(o, "dns", dns_of(args));
	if (capability_args(args, capabilities, e) < 0)
		return -1;
	*ret = arena_strdup(ctr->arena,
			    json_object_to_json_string_ext(
				    o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	return 0;
}
