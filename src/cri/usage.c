/* How much writable layers take.  A container can make its own as large and as deep as it likes, so
 * that nobody waits for one to be counted: calls answer with the last figures, and begin the next
 * round in the background. */
#include "cri/private.h"
#include "loop/pool.h"
#include "store/snapshot.h"

#include <string.h>
#include <time.h>

/* After a round there is a pause of at least a second, and of as long as keeps the rounds below a
 * tenth of one processor. */
enum { PAUSE_FACTOR = 10 };
#define PAUSE_MIN_NS 1000000000ll

static int64_t monotonic(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void measure(struct cri *cri, struct box *box)
{
	const struct snapshot_at at = { .ns = CRI_NAMESPACE, .snapshotter = box->snapshotter };
	struct snapshot_usage u;
	struct err none = { 0 };

	pthread_mutex_lock(&cri->lock);
	bool is_over = cri->is_stopping || box->is_removed;

	pthread_mutex_unlock(&cri->lock);
	if (is_over || snapshot_usage(cri->en->store, &at, box->id, &u, &none) < 0)
		return;
	pthread_mutex_lock(&cri->lock);
	box->layer = (struct layer_usage){ cri_now(), (uint64_t)u.size, (uint64_t)u.inodes };
	pthread_mutex_unlock(&cri->lock);
}

static void round_job(void *arg)
{
	AUTO_HOLD struct cri_hold h = { 0 };
	struct cri *cri = arg;
	int64_t began = monotonic();

	hold_boxes(cri, NULL, &h);
	for (size_t i = 0; i < h.n_boxes; i++)
		measure(cri, h.boxes[i]);

	int64_t now = monotonic(), pause = (now - began) * PAUSE_FACTOR;

	pthread_mutex_lock(&cri->lock);
	cri->is_measuring = false;
	cri->next_measure = now + (pause > PAUSE_MIN_NS ? pause : PAUSE_MIN_NS);
	pthread_mutex_unlock(&cri->lock);
}

/* Under the lock. */
static void begin_round(struct cri *cri)
{
	if (cri->is_measuring || cri->is_stopping || monotonic() < cri->next_measure)
		return;
	cri->is_measuring = true;
	pool_run(cri->en->pool, round_job, cri);
}

struct layer_usage box_layer_usage(struct box *box)
{
	struct cri *cri = box->pod->cri;

	pthread_mutex_lock(&cri->lock);
	begin_round(cri);
	struct layer_usage u = box->layer;

	pthread_mutex_unlock(&cri->lock);
	return u;
}

void cri_layers_usage(struct cri *cri, const char *snapshotter, uint64_t *ret_bytes,
		      uint64_t *ret_inodes)
{
	*ret_bytes = *ret_inodes = 0;
	pthread_mutex_lock(&cri->lock);
	begin_round(cri);
	for (const struct box *b = cri->boxes; b; b = b->next)
		if (!strcmp(b->snapshotter, snapshotter)) {
			*ret_bytes += b->layer.bytes;
			*ret_inodes += b->layer.inodes;
		}
	pthread_mutex_unlock(&cri->lock);
}

const char *cri_snapshotter_root(struct cri *cri, const char *name)
{
	const struct snapshotter_state *states;

	for (size_t i = 0, n = snapshotter_list(cri->en->store, &states); i < n; i++)
		if (!strcmp(states[i].name, name))
			return states[i].root ?: "";
	return "";
}
