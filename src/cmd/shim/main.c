/* containerd-shim-runc-v2: which action, and nothing else. */
#include "base/log.h"
#include "base/mem.h"
#include "os/fd.h"
#include "runtime/entry.h"
#include "runtime/runtime.h"
#include "shim/actions.h"

#include <stdio.h>
#include <string.h>

/* Our own path.  Once protected, /proc/self/exe is a copy without a name; the server and a `start`
 * that becomes one have it as their argv[0]. */
static char *self_path(const char *argv0, bool is_server)
{
	bool is_moved = is_server || (&entry_mount && entry_mount >= 0);
	char buf[4096];
	ssize_t n = readlink("/proc/self/exe", buf, sizeof buf - 1);

	if ((is_moved && argv0[0] == '/') || n <= 0)
		return xstrdup(argv0);
	return xstrndup(buf, (size_t)n);
}

static void print_version(const char *name)
{
	printf("%s:\n  Version:  %s\n  Revision: \n\n", name, CASCO_VERSION);
}

int main(int argc, char **argv)
{
	struct shim_args args;
	struct err e = { 0 };

	if (fd_fill_std() < 0)
		return 1;
	if (shim_args_parse(argc, argv, &args, &e) < 0) {
		fprintf(stderr, "%s\n", e.msg);
		return 2;
	}
	if (args.version) {
		print_version(argv[0]);
		return 0;
	}

	bool is_server = !args.info && !*args.action;
	AUTO_FREE char *self = self_path(argv[0], is_server);

	if (args.info)
		return shim_info(self);
	if (!strcmp(args.action, "start"))
		return shim_start(&args, argv, self);
	if (!strcmp(args.action, "delete"))
		return shim_delete(&args, self);
	/* Processes of containers have us as their parent: what they can reach of us must not be
	 * the program on disk. */
	if (runtime_protect_self(argv, &e) < 0)
		return shim_fail(&e);
	runtime_release_self();
	return shim_serve(&args, self);
}
