/* Sandboxes that run: a shim that serves containerd.runtime.sandbox.v1.Sandbox, with a bundle of
 * its own (STATE/io.containerd.sandbox.controller.v1.shim/NS/ID), held in a registry like a task's.
 *
 * All block; a task of the sandbox (task_new.sandbox) talks to the same shim. */
#pragma once

#include "task/task.h"

/* A registry of sandboxes instead of tasks; recovered, listened to and closed as such. */
struct tasks *sandboxes_new(const struct tasks_env *env);

struct sandbox_new {
	const char *ns, *id, *runtime;
	struct any spec; /* config.json, or none */
	struct any runtime_options; /* for the start of the shim */
	struct any options; /* for CreateSandbox */
	struct mounts rootfs;
	const char *netns_path;
	struct labels annotations;
};

/* ERR_ALREADY_EXISTS `sandbox ID already running`.  Whatever fails, nothing is left. */
int sandbox_bring_up(struct tasks *sandboxes, const struct sandbox_new *n, struct err *e);

struct sandbox_started {
	uint32_t pid;
	struct timespec created;
	struct any spec;
	const char *address; /* "ttrpc+unix:///…" */
	uint32_t version;
};
int sandbox_start(struct task *t, struct arena *a, struct sandbox_started *ret, struct err *e);

struct sandbox_status {
	uint32_t pid, version;
	const char *state, *address;
	struct labels info;
	struct timespec created, exited;
	struct any extra;
};
int sandbox_status(struct task *t, bool verbose, struct arena *a, struct sandbox_status *ret,
		   struct err *e);

struct sandbox_platform {
	const char *os, *architecture, *variant;
};
int sandbox_platform(struct task *t, struct arena *a, struct sandbox_platform *ret, struct err *e);
int sandbox_stop(struct task *t, uint32_t timeout_seconds, struct err *e);
int sandbox_metrics(struct task *t, struct arena *a, struct any *ret, struct err *e);

/* The shim ends, the bundle goes. */
int sandbox_shutdown(struct task *t, struct err *e);
