/* box STATE BUNDLE ID: runs a container with the installed library, and ends as it does. */
#include <runtime/runtime.h>

#include <stdio.h>
#include <sys/wait.h>

static int run(const char *root, const char *bundle, const char *id, struct err *e)
{
	AUTO_ARENA struct arena *arena = arena_new();
	CLEANUP(runtime_process_done) struct runtime_process process = RUNTIME_PROCESS_NONE;
	struct runtime runtime = { .root = root };
	struct runtime_create create = { .id = id, .bundle = bundle, .io = RUNTIME_IO_INHERIT };
	struct oci_spec *spec;
	int status;

	if (runtime_load_spec(arena, bundle, &spec, e) < 0)
		return -1;
	create.spec = spec;
	if (runtime_run(&runtime, &create, &process, e) < 0)
		return -1;
	if (waitpid(process.pid, &status, 0) < 0)
		return -1;
	if (runtime_delete(&runtime, id, false, e) < 0)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
	struct err e = { 0 };

	if (argc != 4 || runtime_protect_self(argv, &e) < 0) {
		fprintf(stderr, "box: %s\n", e.code ? e.msg : "usage: box STATE BUNDLE ID");
		return 125;
	}
	int status = run(argv[1], argv[2], argv[3], &e);

	if (status < 0)
		fprintf(stderr, "box: %s\n", e.msg);
	return status < 0 ? 125 : status;
}
