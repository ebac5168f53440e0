/* What a transfer does to the store, as events. */
#pragma once

#include "image/transfer.h"

/* Sets the hooks that tell of it.  h->arg must point to the struct call, or to what begins with it.
 */
void transfer_publish(struct transfer_hooks *h);
