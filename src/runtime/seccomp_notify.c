#include "runtime/seccomp_notify.h"

#include "base/jsonw.h"
#include "base/str.h"
#include "os/socket.h"

#include <errno.h>

enum { STATE_MAX = 1 << 20 };

void seccomp_notify_json(const char *metadata, const struct runtime_state *s, pid_t pid,
			 struct str *out)
{
	AUTO_STR struct str state = STR_INIT(STATE_MAX);
	struct jsonw w;

	runtime_state_json(s, &state);
	jsonw_init(&w, out, 0);
	jsonw_object(&w);
	jsonw_kstring(&w, "ociVersion", s->oci_version);
	jsonw_key(&w, "fds");
	jsonw_array(&w);
	jsonw_string(&w, "seccompFd"); /* the spec's name for what this message carries */
	jsonw_end(&w);
	jsonw_ki64(&w, "pid", pid);
	if (metadata && *metadata)
		jsonw_kstring(&w, "metadata", metadata);
	jsonw_key(&w, "state");
	jsonw_raw(&w, str_c(&state));
	jsonw_end(&w);
}

int seccomp_notify_send(const char *path, const char *metadata, const struct runtime_state *s,
			pid_t pid, int listener, struct err *e)
{
	AUTO_STR struct str text = STR_INIT(2 * STATE_MAX);
	AUTO_FD int sock = socket_connect(path);

	if (sock < 0)
		return err_sys(e, -sock,
			       "failed to connect with seccomp agent specified in the seccomp "
			       "profile: dial unix %s: connect",
			       path);
	seccomp_notify_json(metadata, s, pid, &text);
	if (text.over)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "cannot send seccomp fd to %s: the state is too long", path);
	ssize_t n = socket_send_fds(sock, text.ptr, text.len, &listener, 1);
	if (n < 0 || (size_t)n != text.len)
		return err_sys(e, n < 0 ? (int)-n : EIO, "cannot send seccomp fd to %s", path);
	return 0;
}
