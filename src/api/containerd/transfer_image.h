/* From a transfer's result to image records: under which names. */
#pragma once

#include "containerd/types/transfer/imagestore.pb-c.h"
#include "engine/engine.h"
#include "image/transfer.h"

/* Records every image of the result as dest asks, and publishes the events. */
int transfer_store_images(const struct call *call,
			  const Containerd__Types__Transfer__ImageStore *dest,
			  const struct transfer_result *result, struct err *e);

/* dest's name for what `source` names. */
int transfer_tag(const struct call *call, const char *source,
		 const Containerd__Types__Transfer__ImageStore *dest, struct err *e);
