/* What a caller wishes of a container's network, as one document: written by clients into the
 * container's record, read by the daemon when it attaches the container.  Pure.
 *
 *	{"networks": ["name", …],		empty: the default one
 *	 "capabilityArgs": {"portMappings": […], "ips": […], "mac": "…", "dns": {…}},
 *	 "dns": {"servers": […], "searches": […], "options": […]},
 *	 "args": "K=V;K=V",			CNI_ARGS
 *	 "isLenient": true}			a capability that no plugin has is let go
 */
#pragma once

#include "base/err.h"
#include "base/jsonr.h"
#include "base/str.h"

#define NETWORK_EXTENSION "casco.network"
#define NETWORK_TYPE_URL "casco/network/v1"

enum { PUBLISH_PORTS_MAX = 4096 }; /* of one container */

/* "[IP:]HOSTPORT:CONTAINERPORT[/tcp|udp|sctp]", ports also as ranges "8000-8010" of the same
 * length; an IPv6 address in brackets.  Appends to ports, an array in the form of portMappings. */
int publish_parse(const char *text, json_object *ports, struct err *e);

/* ERR_INVALID_ARGUMENT unless it is an address, "10.1.2.3" or "fd00::2", without or with "/24". */
int publish_check_ip(const char *text, struct err *e);
int publish_check_mac(const char *text, struct err *e);

int publish_check_address(const char *text, struct err *e); /* without "/24" */

/* The mappings of a "portMappings" that have no hostIP get this one. */
void publish_set_address(json_object *ports, const char *address);

/* "10M", "1500k", "2G", "64Ki": bits a second, up to 2^53; -1. */
int publish_parse_rate(const char *text, uint64_t *ret);

/* "127.0.0.1:8080->80/tcp, 53->53/udp", ranges joined. */
void publish_print(json_object *ports, struct str *out);
