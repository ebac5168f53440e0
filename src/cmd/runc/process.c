/* A process on its way into a container, the same for create, run, restore and exec. */
#include "cmd/runc/cli.h"

int process_choose_io(const struct invocation *in, const struct oci_process *p, bool detach,
		      struct runtime_io *ret, struct err *e)
{
	const struct options *o = &in->o;
	bool terminal = p && p->terminal;

	*ret = RUNTIME_IO_INHERIT;
	if (o->preserve_fds < 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "--preserve-fds must not be negative");
	ret->preserve_fds = (unsigned)o->preserve_fds;
	ret->pid_file = o->pid_file;
	ret->pidfd_socket = o->pidfd_socket;
	if (o->console_socket && (!detach || !terminal))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "cannot use console socket if runc will not detach or allocate tty");
	/* a terminal without either is the runtime's to refuse */
	if (o->console_socket) {
		ret->console = RUNTIME_CONSOLE_SOCKET;
		ret->console_socket = o->console_socket;
	} else if (terminal && !detach) {
		ret->console = RUNTIME_CONSOLE_RETURN_PLAIN;
	}
	return 0;
}

void process_append(struct arena *a, struct oci_strings *s, const char *const *more, size_t n)
{
	const char **v = arena_array(a, s->n + n + 1, sizeof *v);

	for (size_t i = 0; i < s->n; i++)
		v[i] = s->v[i];
	for (size_t i = 0; i < n; i++)
		v[s->n++] = more[i];
	s->v = v;
}
