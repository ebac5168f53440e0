#include "net/publish.h"

#include "base/mem.h"
#include "base/num.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <string.h>

struct range {
	uint32_t from, to;
};

static int bad(const char *text, const char *why, struct err *e)
{
	return err_set(e, ERR_INVALID_ARGUMENT, "invalid port mapping \"%.100s\": %s", text, why);
}

static int port_parse(const char *s, uint32_t *ret)
{
	return num_u32(s, ret) == 0 && *ret >= 1 && *ret <= UINT16_MAX ? 0 : -1;
}

/* Cuts s at its "-". */
static int range_parse(char *s, struct range *ret)
{
	char *dash = strchr(s, '-');

	if (dash)
		*dash++ = 0;
	if (port_parse(s, &ret->from) < 0 || port_parse(dash ? dash : s, &ret->to) < 0)
		return -1;
	return ret->from <= ret->to ? 0 : -1;
}

static bool is_address(const char *s)
{
	unsigned char to[16];

	return inet_pton(AF_INET, s, to) == 1 || inet_pton(AF_INET6, s, to) == 1;
}

/* "[::1]:" or "127.0.0.1:" in front; *rest goes behind it. */
static int take_ip(char **rest, const char **ret)
{
	char *s = *rest, *end, *first;

	*ret = "";
	if (*s == '[') {
		end = strchr(s, ']');
		if (!end || end[1] != ':')
			return -1;
		*end = 0;
		*ret = s + 1;
		*rest = end + 2;
		return strchr(*ret, ':') && is_address(*ret) ? 0 : -1;
	}
	first = strchr(s, ':');
	if (!first || !strchr(first + 1, ':'))
		return 0; /* two fields: no address */
	*first = 0;
	*ret = s;
	*rest = first + 1;
	return is_address(*ret) ? 0 : -1;
}

static void add_port(json_object *ports, const char *ip, uint32_t host, uint32_t inside,
		     const char *protocol)
{
	json_object *o = json_object_new_object();

	json_object_object_add(o, "hostPort", json_object_new_int((int)host));
	json_object_object_add(o, "containerPort", json_object_new_int((int)inside));
	json_object_object_add(o, "protocol", json_object_new_string(protocol));
	json_object_object_add(o, "hostIP", json_object_new_string(ip));
	json_object_array_add(ports, o);
}

int publish_parse(const char *text, json_object *ports, struct err *e)
{
	static const char *const protocols[] = { "tcp", "udp", "sctp" };
	AUTO_FREE char *copy = xstrdup(text);
	const char *protocol = "tcp", *ip;
	struct range host, inside;
	char *rest = copy, *slash = strrchr(copy, '/'), *colon;
	bool is_known = !slash;

	if (slash) {
		*slash = 0;
		protocol = slash + 1;
	}
	for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
		is_known |= !strcmp(protocol, protocols[i]);
	if (!is_known)
		return bad(text, "the protocol is none of tcp, udp and sctp", e);
	if (take_ip(&rest, &ip) < 0)
		return bad(text, "not an address in front", e);
	colon = strchr(rest, ':');
	if (!colon)
		return bad(text, "expected [IP:]HOSTPORT:CONTAINERPORT[/PROTOCOL]", e);
	*colon++ = 0;
	if (range_parse(rest, &host) < 0 || range_parse(colon, &inside) < 0)
		return bad(text, "ports are 1 to 65535, or ranges FROM-TO", e);
	if (host.to - host.from != inside.to - inside.from)
		return bad(text, "the ranges are not of the same length", e);
	if (json_object_array_length(ports) + host.to - host.from >= PUBLISH_PORTS_MAX)
		return bad(text, "more than 4096 ports", e);
	for (uint32_t i = 0; i <= host.to - host.from; i++)
		add_port(ports, ip, host.from + i, inside.from + i, protocol);
	return 0;
}

int publish_check_ip(const char *text, struct err *e)
{
	AUTO_FREE char *copy = xstrdup(text);
	char *slash = strchr(copy, '/');
	uint32_t bits = 0;

	if (slash)
		*slash++ = 0;
	if (!is_address(copy) ||
	    (slash && (num_u32(slash, &bits) < 0 || bits > (strchr(copy, ':') ? 128 : 32))))
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid IP address \"%.100s\"", text);
	return 0;
}

int publish_check_address(const char *text, struct err *e)
{
	return is_address(text)
		       ? 0
		       : err_set(e, ERR_INVALID_ARGUMENT, "invalid IP address \"%.100s\"", text);
}

void publish_set_address(json_object *ports, const char *address)
{
	for (size_t i = 0; i < json_object_array_length(ports); i++) {
		json_object *o = json_object_array_get_idx(ports, i), *ip = NULL;

		if (!json_object_is_type(o, json_type_object))
			continue; /* whoever reads it says so */
		if (!json_object_object_get_ex(o, "hostIP", &ip) ||
		    (json_object_is_type(ip, json_type_string) && !*json_object_get_string(ip)))
			json_object_object_add(o, "hostIP", json_object_new_string(address));
	}
}

int publish_parse_rate(const char *text, uint64_t *ret)
{
	static const char units[] = "kMGT";
	AUTO_FREE char *digits = xstrndup(text, strspn(text, "0123456789"));
	const char *unit = text + strlen(digits), *which;
	bool is_binary = *unit && unit[1] == 'i';
	uint64_t rate;

	if (num_u64(digits, &rate) < 0 || !rate || (*unit && unit[1 + is_binary]))
		return -1;
	which = *unit ? strchr(units, *unit == 'K' ? 'k' : *unit) : NULL;
	if (*unit && !which)
		return -1;
	for (ptrdiff_t n = which ? which - units + 1 : 0; n; n--) {
		if (rate > (UINT64_C(1) << 53) / 1024)
			return -1;
		rate *= is_binary ? 1024 : 1000;
	}
	*ret = rate;
	return 0;
}

int publish_check_mac(const char *text, struct err *e)
{
	static const char form[] = "xx:xx:xx:xx:xx:xx";
	bool is_good = strlen(text) == strlen(form);

	for (size_t i = 0; is_good && form[i]; i++)
		is_good = form[i] == ':' ? text[i] == ':'
					 : strchr("0123456789abcdefABCDEF", text[i]) != NULL;
	return is_good ? 0
		       : err_set(e, ERR_INVALID_ARGUMENT, "invalid MAC address \"%.100s\"", text);
}

struct port {
	const char *ip, *protocol;
	int64_t host, inside;
};

static int port_of(json_object *o, struct port *ret)
{
	struct err ignored = { 0 };

	*ret = (struct port){ .ip = "", .protocol = "tcp" };
	if (!json_object_is_type(o, json_type_object) ||
	    jsonr_string(o, "hostIP", &ret->ip, &ignored) < 0 ||
	    jsonr_string(o, "protocol", &ret->protocol, &ignored) < 0 ||
	    jsonr_i64(o, "hostPort", &ret->host, &ignored) < 0 ||
	    jsonr_i64(o, "containerPort", &ret->inside, &ignored) < 0)
		return -1;
	return 0;
}

static void print_range(struct str *out, const struct port *p, int64_t n)
{
	bool is_v6 = strchr(p->ip, ':') != NULL;

	str_addf(out, "%s%s%s%s%s%" PRId64, out->len ? ", " : "", is_v6 ? "[" : "", p->ip,
		 is_v6 ? "]" : "", *p->ip ? ":" : "", p->host);
	if (n)
		str_addf(out, "-%" PRId64, p->host + n);
	str_addf(out, "->%" PRId64, p->inside);
	if (n)
		str_addf(out, "-%" PRId64, p->inside + n);
	str_addf(out, "/%s", p->protocol);
}

void publish_print(json_object *ports, struct str *out)
{
	size_t count = json_object_array_length(ports);
	struct port first, next;

	for (size_t i = 0; i < count;) {
		int64_t n = 0;

		if (port_of(json_object_array_get_idx(ports, i++), &first) < 0)
			continue;
		while (i < count && port_of(json_object_array_get_idx(ports, i), &next) == 0 &&
		       next.host == first.host + n + 1 && next.inside == first.inside + n + 1 &&
		       !strcmp(next.ip, first.ip) && !strcmp(next.protocol, first.protocol)) {
			n++;
			i++;
		}
		print_range(out, &first, n);
	}
}
