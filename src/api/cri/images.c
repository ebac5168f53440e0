/* The ImageService. */
#include "api/cri/services.h"

const struct rpc_method cri_image_methods[] = {
	RPC_END,
};
