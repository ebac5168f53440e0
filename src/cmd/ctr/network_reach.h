/* Who reaches a container's published ports, in words. */
#pragma once

#include "cmd/ctr/logs.h"
#include "cmd/ctr/network.h"

/* Each address of the host with its ports: "8080->80/tcp: from everywhere, past the host's rules
 * for INPUT".  n 0: nothing is published. */
struct strv network_reach(json_object *wishes, const struct kept *kept);

/* Are ports open to others than this host, and do the host's rules not see that? */
bool network_is_open(json_object *wishes, const struct kept *kept);
