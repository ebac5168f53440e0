/* From a transfer's result to image records: under which names. */
#pragma once

#include "containerd/types/transfer/imagestore.pb-c.h"
#include "engine/engine.h"
#include "image/transfer.h"

/* Records every image of the result as dest asks, and publishes the events. */
int transfer_store_images(const struct call *call,
			  const Containerd__Types__Transfer__ImageStore *dest,
			  const struct transfer_result *result, struct err *e);

/* A new record, or the old one turned to the new target; with its event. */
int transfer_put_image(const struct call *call, const char *name,
		       const struct oci_descriptor *target, const struct labels *labels,
		       struct err *e);

/* dest's name for what `source` names. */
int transfer_tag(const struct call *call, const char *source,
		 const Containerd__Types__Transfer__ImageStore *dest, struct err *e);

/* The images that source names (its name and its extra references), for an export or a push. */
int transfer_find_images(const struct call *call,
			 const Containerd__Types__Transfer__ImageStore *source,
			 struct transfer_image **ret, size_t *ret_n, struct err *e);
