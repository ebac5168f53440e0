#include "api/containerd/api.h"

#include "base/ident.h"

int api_call_any(struct rpc_call *c, struct call *ret, struct err *e)
{
	const char *ns = rpc_meta(c, "containerd-namespace");
	const char *lease = rpc_meta(c, "containerd-lease");

	*ret = (struct call){ .engine = c->user,
			      .arena = c->arena,
			      .deadline = c->deadline,
			      .cancel = c->cancel,
			      .lease = lease && *lease ? lease : NULL };
	if (!ns || !*ns)
		return 0;
	if (ident_check(ns, e) < 0)
		return err_wrap(e, "namespace validation");
	ret->ns = ns;
	return 0;
}

int api_call(struct rpc_call *c, struct call *ret, struct err *e)
{
	if (api_call_any(c, ret, e) < 0)
		return -1;
	if (!ret->ns)
		return err_set(e, ERR_FAILED_PRECONDITION, "namespace is required");
	return 0;
}
