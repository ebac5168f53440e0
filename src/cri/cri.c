#include "cri/cri.h"

#include "base/log.h"
#include "cri/image_read.h"
#include "cri/private.h"
#include "cri/security.h"
#include "engine/events.h"
#include "loop/loop.h"
#include "loop/pool.h"
#include "os/file.h"

#include <errno.h>

enum { EXIT_THREADS = 8 };

static int open_parts(struct cri *cri, struct err *e)
{
	const struct {
		const char *below, *name;
	} folders[] = { { cri->root, "sandboxes" },
			{ cri->state, "sandboxes" },
			{ cri->state, "containers" } };

	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		AUTO_FREE char *path = xasprintf("%s/%s", folders[i].below, folders[i].name);
		int r = file_mkdirs(path, 0711);

		if (r < 0)
			return err_sys(e, -r, "mkdir %s", path);
	}
	/* On a full or read-only disk the daemon starts all the same; what it cannot do says so. */
	struct err unmade = { 0 };

	if (pause_root_make(cri, &unmade) < 0)
		log_warn(LOG({ "error", unmade.msg }), "pods' first program may not be there");
	if (cri_watch_oom(cri, e) < 0)
		return -1;
	return cri_recover(cri, e);
}

int cri_open(struct engine *en, struct cri **ret, struct err *e)
{
	struct cri *cri = NEW(struct cri);
	pthread_condattr_t monotonic;

	cri->en = en;
	cri->exits = pool_new(EXIT_THREADS, POOL_IDLE_NS);
	cri->root = xasprintf("%s/" CRI_FOLDER, en->cfg->root);
	cri->state = xasprintf("%s/" CRI_FOLDER, en->cfg->state);
	cri->pause_root = xasprintf("%s/pause", cri->root);
	cri->image_cache = image_cache_new();
	cri->oom_floor = security_oom_floor(en->cfg->cri.restrict_oom_score_adj);
	cri->has_selinux = en->cfg->cri.enable_selinux && selinux_is_on();
	if (en->cfg->cri.enable_selinux && !cri->has_selinux)
		log_warn(LOG_NONE, "SELinux is not supported by this kernel: pods get no labels");
	pthread_mutex_init(&cri->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&cri->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	*ret = cri; /* also on failure: it is freed with the engine */
	return open_parts(cri, e) < 0 ? err_wrap(e, "failed to start the CRI service") : 0;
}

/* After the stop it is the next daemon that finds what has ended, by the shims. */
bool cri_run_exit(struct cri *cri, void (*fn)(void *), void *arg)
{
	pthread_mutex_lock(&cri->lock);
	bool is_stopping = cri->is_stopping;

	if (!is_stopping)
		pool_run(cri->exits, fn, arg);
	pthread_mutex_unlock(&cri->lock);
	return !is_stopping;
}

/* What waits is told so at once, and takes the lock to give its reference back. */
void cri_stop(struct cri *cri)
{
	uint64_t *ids;
	size_t n = 0;

	if (!cri)
		return;
	pthread_mutex_lock(&cri->lock);
	cri->is_stopping = true;
	for (struct pod *p = cri->pods; p; p = p->next)
		n += p->wait != 0;
	for (struct box *b = cri->boxes; b; b = b->next)
		n += b->wait != 0;
	ids = xcalloc(n + 1, sizeof *ids);
	n = 0;
	for (struct pod *p = cri->pods; p; p = p->next)
		if (p->wait)
			ids[n++] = p->wait;
	for (struct box *b = cri->boxes; b; b = b->next)
		if (b->wait)
			ids[n++] = b->wait;
	pthread_mutex_unlock(&cri->lock);
	for (size_t i = 0; i < n; i++)
		task_wait_cancel(cri->en->tasks, ids[i]);
	free(ids);
	loop_timer_remove(TAKE_PTR(cri->stop_timer));
}

void cri_free(struct cri *cri)
{
	if (!cri)
		return;
	pool_free(cri->exits);
	while (cri->boxes)
		box_drop(cri->boxes);
	while (cri->pods)
		pod_drop(cri->pods);
	events_unsubscribe(cri->oom);
	pthread_cond_destroy(&cri->changed);
	pthread_mutex_destroy(&cri->lock);
	image_cache_free(cri->image_cache);
	free(cri->features);
	free(cri->root);
	free(cri->state);
	free(cri->pause_root);
	free(cri);
}
