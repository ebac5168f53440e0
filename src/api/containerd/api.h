/* What every service of the containerd API shares: from the wire's call to the engine's. */
#pragma once

#include "engine/engine.h"
#include "wire/rpc.h"

/* The version of containerd's API that is spoken here, as a semantic version: nerdctl uses
 * Transfer from 2.0.0 on, and compares.  Ours stands behind it as build metadata. */
#define API_VERSION "2.3.4+casco." CASCO_VERSION

static inline struct engine *api_engine(const struct rpc_call *c)
{
	return c->user;
}

/* For methods that need no namespace (namespaces, introspection, version, events): ns is the
 * header's, checked, or NULL. */
int api_call_any(struct rpc_call *c, struct call *ret, struct err *e);

/* For all others: ERR_FAILED_PRECONDITION "namespace is required" without the header. */
int api_call(struct rpc_call *c, struct call *ret, struct err *e);

/* A name from a request that must be an identifier: `id is required`-like texts of containerd's
 * own check. */
int api_identifier(const char *s, struct err *e);

/* proto3 strings are never NULL in protobuf-c; "" is "not given". */
static inline const char *api_text_or_null(const char *s)
{
	return s && *s ? s : NULL;
}
