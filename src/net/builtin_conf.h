/* What the built-in network reads of its configuration and of a container's wishes. */
#pragma once

#include "net/cni.h"
#include "net/link.h"
#include "net/nft.h"

enum { RANGES_MAX = 4, BUILTIN_PORTS_MAX = 4096 };

struct builtin {
	const char *bridge; /* borrowed from the network */
	unsigned mtu;
	bool is_masqueraded;
	struct subnet ranges[RANGES_MAX];
	struct address gateways[RANGES_MAX];
	size_t n;
};
int builtin_read(const struct cni_net *net, struct builtin *ret, struct err *e);

/* The address that is wished of a range; false: any. */
bool builtin_wanted(json_object *args, const struct subnet *range, struct address *ret);
/* Is each of "ips" in one of the ranges? */
int builtin_check_ips(json_object *args, const struct builtin *b, struct err *e);
int builtin_mac(json_object *args, uint8_t mac[6], bool *ret_has, struct err *e);

/* portMappings to a container with these addresses: one for each family that fits.  The caller
 * frees *ret. */
int builtin_ports(json_object *args, const struct address *v, size_t n, struct nft_port **ret,
		  size_t *ret_n, struct err *e);
