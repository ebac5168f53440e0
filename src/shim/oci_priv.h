/* The parts of shim/oci.c: our own runtime's answer, and another's command line and log.  Private
 * to oci*.c. */
#pragma once

#include "base/str.h"
#include "shim/oci.h"

struct oci_answer {
	pid_t pid;
	int console;
	struct err error; /* code 0: success */
};

/* sock: where a struct err comes when the rootfs is made, with code 0, or is not; -1: it is there.
 * steps: where it notes what it is at, or NULL. */
struct steps;
void oci_own_run(const struct oci_runtime *rt, const struct oci_request *q, int sock,
		 struct steps *steps, struct oci_answer *ret);

/* What takes no time is done here and now: true, and *ret_e says how it went. */
bool oci_own_now(const struct oci_runtime *rt, const struct oci_request *q, struct steps *steps,
		 struct err *ret_e);

/* The command line; files named by it are listed in ret_temporary. */
int oci_command(const struct oci_runtime *rt, const struct oci_request *q,
		const char *console_socket, struct strv *ret_argv, struct strv *ret_temporary,
		struct err *e);

/* The last error in the runtime's log behind its first `from` bytes; "" when there is none. */
char *oci_log_last_error(const char *path, size_t from);
