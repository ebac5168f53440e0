#include "engine/network_repair.h"

#include "base/log.h"
#include "base/mem.h"
#include "engine/network.h"
#include "loop/loop.h"
#include "loop/pool.h"
#include "net/nft_state.h"

/* Who flushes the rules mostly writes new ones right after. */
#define SOON_NS 300000000ull

struct network_repair {
	struct engine_network *n;
	struct loop *loop;
	struct pool *pool;
	struct loop_io *io;
	struct loop_timer *timer;
	struct nft_watch watch;
	int fd;
	bool is_taken; /* since the last job: from our own table */
};

static void job(void *arg)
{
	size_t n = network_restore_all(arg);

	if (n)
		log_info(LOG_NONE, "rules of nf_tables were taken away: %zu networks restored", n);
}

static void ask_job(void *arg)
{
	network_ask_again(arg);
}

static void on_due(UNUSED struct loop_timer *t, void *arg)
{
	struct network_repair *r = arg;

	loop_timer_remove(TAKE_PTR(r->timer));
	if (r->is_taken)
		pool_run(r->pool, job, r->n);
	pool_run(r->pool, ask_job, r->n);
	r->is_taken = false;
}

static void on_news(UNUSED struct loop_io *io, UNUSED uint32_t events, void *arg)
{
	struct network_repair *r = arg;

	enum nft_news news = nft_watch_read(&r->watch, r->fd);

	r->is_taken |= news == NFT_TAKEN;
	if (news && !r->timer)
		r->timer = loop_timer_add(r->loop, SOON_NS, on_due, r);
}

struct network_repair *network_repair_new(struct engine_network *n, struct loop *l, struct pool *p)
{
	struct network_repair *r = NEW(struct network_repair);

	*r = (struct network_repair){ .n = n, .loop = l, .pool = p, .fd = nft_watch_open() };
	nft_watch_init(&r->watch);
	pool_run(p, job, n);
	if (r->fd >= 0 && loop_io_add(l, r->fd, EPOLLIN, on_news, r, &r->io) == 0)
		return r;
	log_debug(LOG_NONE, "nobody tells of changes of nf_tables");
	close_fd(&r->fd);
	free(r);
	return NULL;
}

void network_repair_free(struct network_repair *r)
{
	if (!r)
		return;
	loop_timer_remove(r->timer);
	loop_io_remove(r->io);
	close_fd(&r->fd);
	free(r);
}
