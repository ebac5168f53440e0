/* What every command of ctr has in hand: the global options, one arena for the whole run, and the
 * connection, which is made by the first call. One thread. */
#pragma once

#include "cmd/ctr/cli.h"
#include "wire/grpc_client.h"

#include "cgroups/v1/metrics.pb-c.h"
#include "cgroups/v2/metrics.pb-c.h"
#include "containerd/events/container.pb-c.h"
#include "containerd/events/content.pb-c.h"
#include "containerd/events/image.pb-c.h"
#include "containerd/events/namespace.pb-c.h"
#include "containerd/events/sandbox.pb-c.h"
#include "containerd/events/snapshot.pb-c.h"
#include "containerd/events/task.pb-c.h"
#include "containerd/services/containers/v1/containers.pb-c.h"
#include "containerd/services/content/v1/content.pb-c.h"
#include "containerd/services/diff/v1/diff.pb-c.h"
#include "containerd/services/events/v1/events.pb-c.h"
#include "containerd/services/images/v1/images.pb-c.h"
#include "containerd/services/introspection/v1/introspection.pb-c.h"
#include "containerd/services/leases/v1/leases.pb-c.h"
#include "containerd/services/namespaces/v1/namespace.pb-c.h"
#include "containerd/services/snapshots/v1/snapshots.pb-c.h"
#include "containerd/services/streaming/v1/streaming.pb-c.h"
#include "containerd/services/tasks/v1/tasks.pb-c.h"
#include "containerd/services/transfer/v1/transfer.pb-c.h"
#include "containerd/services/version/v1/version.pb-c.h"
#include "containerd/types/introspection.pb-c.h"
#include "containerd/types/runc/options/oci.pb-c.h"
#include "containerd/types/runtimeoptions/v1/api.pb-c.h"
#include "containerd/types/transfer/imagestore.pb-c.h"
#include "containerd/types/transfer/importexport.pb-c.h"
#include "containerd/types/transfer/progress.pb-c.h"
#include "containerd/types/transfer/registry.pb-c.h"
#include "containerd/types/transfer/streaming.pb-c.h"

struct ctr {
	struct arena *arena;
	const char *address, *ns;
	uint64_t timeout_ns, connect_timeout_ns;
	const char *lease; /* goes with every call while it is set */
	struct grpc_stream *lease_call; /* its creation or deletion, not answered yet; or NULL */
	struct grpc_client *client; /* NULL before ctr_connect() */
	struct str *trace; /* of --trace: what calls add to; or NULL */
	struct trace_file *trace_file;
	bool no_transfer; /* the daemon has no Transfer service: found out by the first try */
	int exit_code; /* of the program when the command succeeds: a container's code is ours */
};

/* Makes the connection when there is none yet. */
int ctr_connect(struct ctr *c, struct err *e);

/* One unary call: method is "tasks.v1.Tasks/Kill".  *ret lives in c->arena. */
int ctr_call(struct ctr *c, const char *method, const void *req,
	     const ProtobufCMessageDescriptor *rsp_type, void *ret, struct err *e);

/* Opens a call for streams or for a reply that comes later.  req may be NULL; otherwise it is sent
 * and our side is closed. */
int ctr_open(struct ctr *c, const char *method, const void *req,
	     const ProtobufCMessageDescriptor *rsp_type, struct grpc_stream **ret, struct err *e);

/* The answer of a unary call that ctr_open() began; others may have been on their way meanwhile.
 * Frees s. */
int ctr_end(struct ctr *c, struct grpc_stream *s, void *ret, struct err *e);

/* CTR_CALL(c, "tasks.v1.Tasks/Get", &req, tasks__v1__get_response, &rsp, e) */
#define CTR_CALL(c, method, req, rsp, ret, e) \
	ctr_call(c, method, req, &containerd__services__##rsp##__descriptor, ret, e)
#define CTR_CALL_EMPTY(c, method, req, e) \
	ctr_call(c, method, req, &google__protobuf__empty__descriptor, NULL, e)

/* A lease that keeps what the command makes from being collected while it runs. */
int ctr_lease(struct ctr *c, struct err *e);
void ctr_lease_done(struct ctr *c); /* failures are warned about */
/* In steps: the lease is there after confirm, and its end may be told by the program's end. */
int ctr_lease_begin(struct ctr *c, struct err *e);
int ctr_lease_confirm(struct ctr *c, struct err *e);
void ctr_lease_let_go(struct ctr *c);
void ctr_lease_end(struct ctr *c);

/* "NANOS-XXXX": a name of our own for leases and streams. */
char *ctr_unique(struct ctr *c, const char *prefix);

/* Warnings and per-item errors, as the original logs them; not the last word. */
void ctr_warn(const char *fmt, ...) PRINTF(1, 2);

/* String maps: all generated *LabelsEntry structs look like this one. */
struct entry {
	ProtobufCMessage base;
	char *key, *value;
};

struct labels {
	const char **keys, **values;
	size_t n;
};

/* "k=v" each; "k" alone is "true" as in the original.  A later one of the same key wins. */
void labels_parse(struct arena *a, const char *const *words, size_t n, struct labels *ret);
void labels_add(struct arena *a, struct labels *l, const char *key, const char *value);
/* As a message's map: assign to n_labels and (cast) to labels. */
struct entry **labels_to_pb(struct arena *a, const struct labels *l,
			    const ProtobufCMessageDescriptor *entry_type);
/* Sorted by key; borrowed from the message.  map: the message's labels member. */
void labels_from_pb(struct arena *a, void *map, size_t n, struct labels *ret);
const char *labels_get(const struct labels *l, const char *key); /* NULL when absent */
/* "a=b,c=d", or "" */
const char *labels_text(struct arena *a, const struct labels *l);
/* The update mask "labels.KEY" for each. */
char **labels_mask(struct arena *a, const struct labels *l);

/* No escape sequence of an image's, a container's or a registry's reaches the terminal: control
 * characters (C0, DEL, C1) and bytes that are no UTF-8 are shown as '?'.  All text that is not the
 * command's own leaves by one of these or in a table; only a container's streams and logs, blobs
 * and JSON, which escapes them, are exact. */
/* At most n bytes; the caller frees it. */
char *printable(const char *s, size_t n);
/* s itself where nothing is to be replaced. */
const char *shown(struct arena *a, const char *s);
/* shown() and a newline, on stdout. */
void ctr_puts(struct ctr *c, const char *s);
/* For text of several lines or columns: newlines and tabs stay. */
void ctr_print(FILE *out, const char *fmt, ...) PRINTF(2, 3);

/* A timestamp's text ("2026-11-23T10:20:30Z"), Go's zero time when absent. */
const char *time_rfc3339(struct arena *a, const Google__Protobuf__Timestamp *t);
/* "2026-11-23 10:20:30.123 +0000 UTC" */
const char *time_go(struct arena *a, const Google__Protobuf__Timestamp *t);

/* Sizes: "1.9 MiB" (tables of images and snapshots) and "2.007MB" (content). */
const char *size_binary(struct arena *a, int64_t bytes);
const char *size_human(struct arena *a, int64_t bytes);
/* "Less than a second", "3 minutes" … since t. */
const char *age_text(struct arena *a, const Google__Protobuf__Timestamp *t);

/* alpine:latest -> docker.io/library/alpine:latest, as oci/reference.h does it; what cannot be
 * completed stays as it was typed. */
const char *ref_complete(struct ctr *c, const char *ref);

/* --snapshotter, its environment variable, or the default. */
const char *snapshotter_of(const struct args *args);

/* The words that the generated C gives to messages are long. */
#define TASKS(n) Containerd__Services__Tasks__V1__##n
#define TASKS_INIT(n) CONTAINERD__SERVICES__TASKS__V1__##n##__INIT
#define CONTAINERS(n) Containerd__Services__Containers__V1__##n
#define CONTAINERS_INIT(n) CONTAINERD__SERVICES__CONTAINERS__V1__##n##__INIT
#define IMAGES(n) Containerd__Services__Images__V1__##n
#define IMAGES_INIT(n) CONTAINERD__SERVICES__IMAGES__V1__##n##__INIT
#define CONTENT(n) Containerd__Services__Content__V1__##n
#define CONTENT_INIT(n) CONTAINERD__SERVICES__CONTENT__V1__##n##__INIT
#define SNAPSHOTS(n) Containerd__Services__Snapshots__V1__##n
#define SNAPSHOTS_INIT(n) CONTAINERD__SERVICES__SNAPSHOTS__V1__##n##__INIT
#define NAMESPACES(n) Containerd__Services__Namespaces__V1__##n
#define NAMESPACES_INIT(n) CONTAINERD__SERVICES__NAMESPACES__V1__##n##__INIT
#define LEASES(n) Containerd__Services__Leases__V1__##n
#define LEASES_INIT(n) CONTAINERD__SERVICES__LEASES__V1__##n##__INIT
#define INTROSPECTION(n) Containerd__Services__Introspection__V1__##n
#define INTROSPECTION_INIT(n) CONTAINERD__SERVICES__INTROSPECTION__V1__##n##__INIT

/* proto-c wants char * where nothing is written. */
#define PB(s) ((char *)(uintptr_t)(s))

/* The groups and the commands that stand alone; each file has one table. */
extern const struct command containers_commands[], content_commands[], images_commands[],
	leases_commands[], namespaces_commands[], plugins_commands[], registry_commands[],
	sandboxes_commands[], snapshots_commands[], tasks_commands[], oci_commands[],
	shim_commands[], deprecations_commands[];
extern const struct flag shim_flags[], network_flags[], container_flags[], run_flags[], log_flags[],
	logs_flags[], ps_flags[], platform_flags[], snapshotter_flags[], quiet_flags[],
	inspect_runtime_flags[], doctor_flags[], install_flags[];

/* Prints what may follow words (the last may be the start of an option). */
int complete_run(struct ctr *ctr, const struct command *app, const char *const *words, size_t n);

command_fn version_run, events_run, run_run, logs_run, inspect_run, ps_run, why_run, info_run,
	inspect_runtime_run, doctor_run, install_run;
