#include "api/containerd/api.h"

#include "base/ident.h"

#include <string.h>

enum { IDENT_MAX = 76 };

/* containerd's two sentences for an identifier that is none. */
int api_identifier(const char *s, struct err *e)
{
	if (!s || !*s)
		return err_set(e, ERR_INVALID_ARGUMENT, "identifier must not be empty");
	if (strlen(s) > IDENT_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "identifier \"%.80s\" greater than maximum length (%d characters)",
			       s, IDENT_MAX);
	if (!ident_is_valid(s))
		return err_set(
			e, ERR_INVALID_ARGUMENT,
			"identifier \"%s\" must match ^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$", s);
	return 0;
}

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
	if (api_identifier(ns, e) < 0)
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
