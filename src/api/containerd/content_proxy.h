/* Content stores in other programs: the calls of store/content_remote.h over gRPC. */
#pragma once

#include "store/content_remote.h"

extern const struct content_remote content_proxy_remote;
