/* The services of Kubernetes' container runtime interface, on the same socket as containerd's.
 *
 * They need no namespace header: everything of theirs is in the namespace k8s.io. */
#pragma once

#include "wire/rpc.h"

extern const struct rpc_method cri_runtime_methods[];
extern const struct rpc_method cri_image_methods[];

/* stream_calls.c: they hand out URLs of the streaming server. */
int cri_exec_url(struct rpc_call *c, const void *req, void *rsp, struct err *e);
int cri_attach_url(struct rpc_call *c, const void *req, void *rsp, struct err *e);
int cri_forward_url(struct rpc_call *c, const void *req, void *rsp, struct err *e);
