/* Configurations of networks, results of plugins, wishes of containers, published ports. */
#include "base/mem.h"
#include "net/builtin_conf.h"
#include "net/cni.h"
#include "net/files.h"
#include "net/publish.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void as_network(const char *text, size_t n, bool is_list)
{
	AUTO_CNI_NET struct cni_net *net = NULL;
	struct builtin b;
	struct err e = { 0 };

	if (cni_net_parse(text, n, is_list, NULL, &net, &e) < 0)
		return;
	(void)cni_net_has(net, 1, 1);
	(void)cni_net_can(net, "portMappings");
	(void)builtin_read(net, &b, &e);
}

static void as_document(const char *text, size_t n)
{
	AUTO_JSON json_object *o = NULL;
	struct str hosts AUTO_STR = STR_INIT(1 << 20), resolv AUTO_STR = STR_INIT(1 << 20);
	struct strv addresses AUTO_STRV = { 0 };
	struct address own = { .family = 2, .b = { 10, 0, 0, 2 } };
	struct nft_port *ports = NULL;
	struct subnet range;
	struct address wanted;
	struct err e = { 0 }, bad = { 0 };
	size_t n_ports;
	uint8_t mac[6];
	bool has;

	if (jsonr_parse(text, n, &o, &e) < 0 || !json_object_is_type(o, json_type_object))
		return;
	files_addresses(o, &addresses);
	files_hosts(&addresses, "name", "id", &hosts);
	files_resolv(o, o, "", &resolv);
	if (builtin_ports(o, &own, 1, &ports, &n_ports, &e) == 0)
		free(ports);
	if (subnet_parse("10.0.0.0/8", &range, &bad) == 0)
		(void)builtin_wanted(o, &range, &wanted);
	(void)builtin_mac(o, mac, &has, &bad);
}

static void as_ports(const char *text)
{
	AUTO_JSON json_object *ports = json_object_new_array();
	struct str out AUTO_STR = STR_INIT(1 << 20), resolv AUTO_STR = STR_INIT(1 << 20);
	struct err e = { 0 };

	(void)publish_parse(text, ports, &e);
	publish_print(ports, &out);
	files_resolv(NULL, NULL, text, &resolv);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO_FREE char *text = xstrndup((const char *)data, n);

	as_network((const char *)data, n, true);
	as_network((const char *)data, n, false);
	as_document((const char *)data, n);
	as_ports(text);
	return 0;
}
