/* ctr run */
#include "cmd/ctr/logs.h"
#include "cmd/ctr/network.h"
#include "cmd/ctr/trace_file.h"

#include "os/kernel.h"

#include <string.h>

static void remove_all(struct ctr *ctr, const CONTAINERS(Container) * c, bool has_task)
{
	struct err task = { 0 }, container = { 0 };
	char text[1100];

	if (has_task && task_delete(ctr, c->id, true, NULL, &task) < 0 &&
	    task.code != ERR_NOT_FOUND)
		ctr_warn("cannot delete the task of %s: %s", c->id,
			 err_text(&task, text, sizeof text));
	if (has_task)
		network_detach_task(ctr, c);
	if (container_discard(ctr, c, &container) < 0)
		ctr_warn("failed to cleanup container %s: %s", c->id,
			 err_text(&container, text, sizeof text));
}

/* What the daemon's monitor starts again goes on in the same log. */
static int add_restart_log(struct ctr *ctr, const struct args *args, const struct task_options *opt,
			   struct labels *more, struct err *e)
{
	const struct task_io nobody = { .id = container_name(args), .out = "", .err = "" };
	const char *uri = opt->log_uri;

	if (!opt->detach || opt->null_io || !*args_string(args, "restart"))
		return 0;
	if (!*uri && log_uri_make(ctr, args_string(args, "runtime"), opt, &nobody, &uri, e) < 0)
		return -1;
	if (uri)
		labels_add(ctr->arena, more, "containerd.io/restart.loguri", uri);
	return 0;
}

/* What is written into a container that goes with its process need not reach the disk: the kernel
 * would write its whole file system back at the unmount. */
static void spare_the_disk(struct arena *a, SNAPSHOTS(PrepareSnapshotResponse) * root)
{
	if (!root || !kernel_is(5, 10)) /* overlayfs has it since */
		return;
	for (size_t i = 0; i < root->n_mounts; i++) {
		Containerd__Types__Mount *m = root->mounts[i];
		bool has = strcmp(m->type, "overlay") != 0, is_written = false;

		for (size_t k = 0; k < m->n_options; k++) {
			has = has || strcmp(m->options[k], "volatile") == 0;
			is_written = is_written || str_starts(m->options[k], "upperdir=");
		}
		if (has || !is_written)
			continue;
		char **options = arena_array(a, m->n_options + 1, sizeof *options);

		memcpy(options, m->options, m->n_options * sizeof *options);
		options[m->n_options++] = PB("volatile");
		m->options = options;
	}
}

static int run(struct ctr *ctr, const struct args *args, struct err *e)
{
	bool rm = args_bool(args, "rm"), detach = args_bool(args, "detach");
	CONTAINERS(Container) * c;
	struct task_options opt;
	struct labels more = { 0 };
	int r;

	if (rm && detach)
		return err_set(e, ERR_UNKNOWN,
			       "flags --detach and --rm cannot be specified together");
	task_options_from(args, &opt);
	opt.no_pivot = args_bool(args, "no-pivot");
	if (add_restart_log(ctr, args, &opt, &more, e) < 0)
		return -1;
	if (container_create(ctr, args, &more, &c, &opt.root, e) < 0)
		return -1;
	if (rm)
		spare_the_disk(ctr->arena, opt.root);
	r = task_run(ctr, c, &opt, e);
	if (rm)
		remove_all(ctr, c, r < 0);
	if (r < 0 && e->code == ERR_CANCELLED) {
		err_clear(e); /* a signal: the exit code says it */
		return 0;
	}
	return r;
}

int run_run(struct ctr *ctr, const struct args *args, struct err *e)
{
	return traced(ctr, args, "ctr run", run, e);
}
