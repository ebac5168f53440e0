/* Exec, Attach and PortForward: checked here, done by the streaming server when the client comes
 * with the URL. */
#include "api/containerd/api.h"
#include "api/cri/services.h"
#include "api/cri/stream.h"
#include "cri/cri.h"

enum { FORWARD_PORTS = 64 };

static struct stream_server *server_of(struct rpc_call *c, struct err *e)
{
	struct stream_server *s = api_engine(c)->stream_server;

	if (!s)
		err_set(e, ERR_UNIMPLEMENTED, "the CRI plugin is disabled");
	return s;
}

/* The streams that a client wants, as kubelet's own server checks them. */
static int check_streams(bool tty, bool in, bool out, bool err, struct err *e)
{
	if (tty && err)
		return err_set(e, ERR_INVALID_ARGUMENT, "tty and stderr cannot both be true");
	if (!in && !out && !err)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "one of stdin, stdout, or stderr must be set");
	return 0;
}

/* Its whole id, and what it is. */
static int find_running(struct rpc_call *c, const char *id, struct cri_hold *h,
			struct cri_running *ret, struct err *e)
{
	*ret = (struct cri_running){ 0 };
	if (!*id)
		return err_set(e, ERR_INVALID_ARGUMENT, "missing required container_id");
	if (cri_get_running(api_engine(c)->cri, id, h, ret, e) == 0)
		return 0;
	return e->code == ERR_NOT_FOUND
		       ? err_wrap(e, "failed to find container \"%s\" in store", id)
		       : -1;
}

int cri_exec_url(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Runtime__V1__ExecRequest *q = req;
	Runtime__V1__ExecResponse *a = rsp;
	struct stream_server *s = server_of(c, e);

	if (!s)
		return -1;
	if (!*q->container_id)
		return err_set(e, ERR_INVALID_ARGUMENT, "missing required container_id");
	if (check_streams(q->tty, q->stdin, q->stdout, q->stderr, e) < 0)
		return -1;
	if (!q->n_cmd)
		return err_set(e, ERR_INVALID_ARGUMENT, "a command is required");

	AUTO_HOLD struct cri_hold h = { 0 };
	struct cri_running box;

	if (find_running(c, q->container_id, &h, &box, e) < 0)
		return -1;
	task_unref(box.task); /* the client comes later, if it comes */

	struct stream_request *r = stream_request_new(STREAM_EXEC, box.id, box.pod);
	const char **cmd = arena_array(r->arena, q->n_cmd, sizeof *cmd);

	for (size_t i = 0; i < q->n_cmd; i++)
		cmd[i] = arena_strdup(r->arena, q->cmd[i]);
	r->cmd = cmd;
	r->n_cmd = q->n_cmd;
	r->tty = q->tty;
	r->in = q->stdin;
	r->out = q->stdout;
	r->err = q->stderr;
	return stream_server_url(s, r, c->arena, (const char **)&a->url, e);
}

int cri_attach_url(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Runtime__V1__AttachRequest *q = req;
	Runtime__V1__AttachResponse *a = rsp;
	struct stream_server *s = server_of(c, e);

	if (!s)
		return -1;

	AUTO_HOLD struct cri_hold h = { 0 };
	struct cri_running box;

	if (check_streams(q->tty, q->stdin, q->stdout, q->stderr, e) < 0 ||
	    find_running(c, q->container_id, &h, &box, e) < 0)
		return -1;
	task_unref(box.task);

	struct stream_request *r = stream_request_new(STREAM_ATTACH, box.id, box.pod);

	r->is_stdin_once = box.is_stdin_once && !box.has_terminal;
	r->tty = q->tty;
	r->in = q->stdin;
	r->out = q->stdout;
	r->err = q->stderr;
	return stream_server_url(s, r, c->arena, (const char **)&a->url, e);
}

int cri_forward_url(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Runtime__V1__PortForwardRequest *q = req;
	Runtime__V1__PortForwardResponse *a = rsp;
	struct stream_server *s = server_of(c, e);

	if (!s)
		return -1;
	if (!*q->pod_sandbox_id)
		return err_set(e, ERR_INVALID_ARGUMENT, "missing required pod_sandbox_id");
	if (q->n_port > FORWARD_PORTS)
		return err_set(e, ERR_INVALID_ARGUMENT, "%zu ports, at most %d", q->n_port,
			       FORWARD_PORTS);

	const char *netns, *pod;

	if (cri_pod_netns(api_engine(c)->cri, c->arena, q->pod_sandbox_id, &pod, &netns, e) < 0)
		return e->code == ERR_NOT_FOUND
			       ? err_wrap(e, "failed to find sandbox \"%s\"", q->pod_sandbox_id)
			       : -1;

	struct stream_request *r = stream_request_new(STREAM_FORWARD, q->pod_sandbox_id, pod);
	uint16_t *ports = arena_array(r->arena, q->n_port, sizeof *ports);

	for (size_t i = 0; i < q->n_port; i++) {
		if (q->port[i] <= 0 || q->port[i] > UINT16_MAX) {
			stream_request_free(r);
			return err_set(e, ERR_INVALID_ARGUMENT, "invalid port %d", q->port[i]);
		}
		ports[i] = (uint16_t)q->port[i];
	}
	r->ports = ports;
	r->n_ports = q->n_port;
	return stream_server_url(s, r, c->arena, (const char **)&a->url, e);
}
