/* One call to an OCI runtime, without blocking the loop.
 *
 * Our own runtime is called as a library in a short-lived copy of this process (a start or a
 * deletion that waits for nothing in this one): what it needs of memory goes with it, a hook that
 * hangs can be killed, and the container it makes becomes ours as every orphan does.  Any other
 * runtime is run by its command line, as containerd's shim runs runc. Both give the same answers
 * here. */
#pragma once

#include "base/err.h"
#include "shim/options.h"

#include <stdbool.h>
#include <sys/types.h>

struct loop;
struct reaper;
struct ttrpc_call;

struct oci_runtime {
	char *binary; /* NULL: our own, as a library */
	char *own_binary; /* our own as a program, for what the library leaves out */
	char *root; /* ROOT/NAMESPACE */
	char *log; /* BUNDLE/log.json */
	bool systemd_cgroup;
};

/* own_binary is the runc installed beside this shim ("" when unknown). */
void oci_runtime_init(struct oci_runtime *rt, const struct shim_options *o, const char *ns,
		      const char *bundle, const char *own_binary);
void oci_runtime_done(struct oci_runtime *rt);

enum oci_verb {
	OCI_CREATE,
	OCI_START,
	OCI_EXEC,
	OCI_KILL,
	OCI_DELETE,
	OCI_PAUSE,
	OCI_RESUME,
	OCI_UPDATE,
	/* These two are always asked by command line, as criu's part is no part of this program. */
	OCI_CHECKPOINT,
	OCI_RESTORE, /* create and start in one */
};

/* What criu is to write or read, and what it may meet. */
struct oci_criu {
	const char *image, *work, *parent; /* folders; "" is not given */
	const char *cgroups_mode; /* "" is the runtime's */
	const char *const *empty_namespaces;
	size_t n_empty_namespaces;
	bool leave_running;
	bool open_tcp, external_unix_sockets, terminal, file_locks;
};

/* Borrowed until the call ends, but for json, which is used up before oci_call() returns. */
struct oci_request {
	enum oci_verb verb;
	const char *id, *bundle;
	const char *pid_file; /* create, exec, restore */
	const int *stdio; /* the same: becomes 0, 1, 2; -1 is /dev/null */
	bool terminal; /* the process gets a terminal instead */
	bool no_pivot_root, no_new_keyring; /* create; the first restore, too */
	int sig; /* kill */
	bool all; /* kill */
	bool force; /* delete */
	const char *json; /* exec: the process; update: the resources */
	size_t json_len;
	const struct oci_criu *criu; /* checkpoint, restore */
	/* create: mounts the rootfs, which our own runtime needs last only: it does all else
	 * beside. NULL: it is mounted.  Its error is told as it is.  Called from inside oci_call().
	 */
	int (*make_root)(void *arg, struct err *e);
	void *root_arg;
	/* Whom it is done for, or NULL: the runtime has the caller's time, less what the answer
	 * needs, and its steps are told to a caller who wants a trace. */
	struct ttrpc_call *call;
};

/* e is NULL on success.  pid and console (the callee's to close, or -1) are of create, exec and
 * restore. */
typedef void oci_done_fn(const struct err *e, pid_t pid, int console, void *arg);

/* done runs later, on the loop; never from inside.  The runtime is killed when it takes longer than
 * the verb's time (five minutes where hooks run in it, or memory is written); the error then says
 * what it was at, and what each step before took. */
void oci_call(struct loop *l, struct reaper *r, const struct oci_runtime *rt,
	      const struct oci_request *q, oci_done_fn *done, void *arg);

/* The same, waiting, for the `delete` action: kill or delete with force only. */
int oci_call_wait(const struct oci_runtime *rt, const struct oci_request *q, struct err *e);
