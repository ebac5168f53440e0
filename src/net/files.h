/* The texts of /etc/hosts and /etc/resolv.conf of a container with a network of its own. Pure. */
#pragma once

#include "base/jsonr.h"
#include "base/str.h"

/* The addresses of an ADD's result, without prefix length, in its order; at most 64. */
void files_addresses(json_object *result, struct strv *ret);

/* hostname may be "". id and aliases (or NULL) name the container as well. */
void files_hosts(const struct strv *addresses, const char *hostname, const char *id,
		 struct str *out);

/* wished: {"servers", "searches", "options"} or NULL; given: the same of the result (dns), which
 * says "nameservers", "domain", "search", "options"; host: the host's resolv.conf.  Each line comes
 * from the first of the three that has it.  Servers of the host on its loopback are of no use. */
void files_resolv(json_object *wished, json_object *given, const char *host, struct str *out);

/* Has the text a server that another network namespace can reach? */
bool files_has_server(const char *resolv);
