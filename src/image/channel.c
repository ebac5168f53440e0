#include "image/channel.h"

#include "base/mem.h"
#include "os/socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

int channel_pair(int ret[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret) < 0 ? -errno : 0;
}

int channel_send(int sock, const struct str *json, const int *fds, size_t n_fds, struct err *e)
{
	if (json->over || json->len > CHANNEL_MAX)
		return err_set(e, ERR_RESOURCE_EXHAUSTED,
			       "message to the transfer's other end is too long");
	if (n_fds > CHANNEL_FDS)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "an image of more than %d layers",
			       CHANNEL_FDS - 1);

	ssize_t r = socket_send_fds(sock, json->ptr, json->len, fds, n_fds);

	if (r >= 0)
		return 0;
	if (r == -EPIPE || r == -ECONNRESET)
		return err_set(e, ERR_UNAVAILABLE, "the transfer's other end is gone");
	return err_sys(e, (int)-r, "send to the transfer's other end");
}

int channel_recv(int sock, struct channel_packet *ret, struct err *e)
{
	AUTO_FREE char *buf = xmalloc(CHANNEL_MAX + 1);
	size_t n_fds = CHANNEL_FDS;

	*ret = (struct channel_packet){ 0 };
	ssize_t n = socket_recv_fds(sock, buf, CHANNEL_MAX + 1, ret->fds, &n_fds);

	if (n == 0 || n == -ECONNRESET)
		return 0;
	if (n < 0 && n != -EPROTO)
		return err_sys(e, (int)-n, "receive from the transfer's other end");
	ret->n_fds = n_fds;
	if (n < 0 || n > CHANNEL_MAX) {
		err_set(e, ERR_INTERNAL, "the transfer's other end sent too much at once");
	} else if (jsonr_parse(buf, (size_t)n, &ret->json, e) == 0) {
		if (json_object_is_type(ret->json, json_type_object))
			return 1;
		err_set(e, ERR_INTERNAL, "the transfer's other end sent no object");
	}
	channel_packet_done(ret);
	return -1;
}

void channel_packet_done(struct channel_packet *p)
{
	json_object_put(p->json);
	for (size_t i = 0; i < p->n_fds; i++)
		close_fd(&p->fds[i]);
	*p = (struct channel_packet){ 0 };
}

int channel_take_fd(struct channel_packet *p, size_t i)
{
	return i < p->n_fds ? TAKE_FD(p->fds[i]) : -1;
}

void channel_write_err(struct jsonw *w, const struct err *from)
{
	jsonw_key(w, "error");
	jsonw_object(w);
	jsonw_ki64(w, "code", from->code);
	jsonw_ki64(w, "errnum", from->errnum);
	jsonw_kstring(w, "msg", from->msg);
	jsonw_end(w);
}

int channel_read_err(json_object *o, struct err *e)
{
	json_object *error = NULL;
	int64_t code = 0, errnum = 0;
	const char *msg = "";

	if (jsonr_object(o, "error", &error, e) < 0)
		return -1;
	if (!error)
		return 0;
	if (jsonr_i64(error, "code", &code, e) < 0 || jsonr_i64(error, "errnum", &errnum, e) < 0 ||
	    jsonr_string(error, "msg", &msg, e) < 0)
		return -1;
	if (code <= ERR_OK || code > ERR_UNAUTHENTICATED)
		code = ERR_UNKNOWN;
	err_set(e, (enum err_code)code, "%s", msg);
	e->errnum = errnum > 0 && errnum < 4096 ? (int)errnum : 0;
	return 1;
}
