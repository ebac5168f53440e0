#include "image/stage.h"

#include "base/mem.h"

#include <pthread.h>
#include <stdbool.h>

enum { PIECE = 256 * 1024, PIECES = 4, WORTH_A_THREAD = 256 * 1024 };

struct piece {
	uint8_t *bytes;
	ssize_t n; /* 0: the end, -1: failed */
};

struct stage {
	struct inflate *z;
	struct piece pieces[PIECES];
	size_t made, used; /* counts; under lock */
	bool is_held; /* the reader has a piece */
	bool is_threaded, stop;
	struct err failure; /* the thread's, with n -1 */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
};

static void *run(void *arg)
{
	struct stage *s = arg;

	pthread_mutex_lock(&s->lock);
	for (ssize_t n = 1; n > 0 && !s->stop;) {
		struct piece *p = &s->pieces[s->made % PIECES];

		if (s->made - s->used == PIECES) {
			pthread_cond_wait(&s->changed, &s->lock);
			continue;
		}
		pthread_mutex_unlock(&s->lock);
		n = inflate_read(s->z, p->bytes, PIECE, &s->failure);
		pthread_mutex_lock(&s->lock);
		p->n = n;
		s->made++;
		pthread_cond_broadcast(&s->changed);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

struct stage *stage_start(struct inflate *z, uint64_t packed_size)
{
	struct stage *s = NEW(struct stage);

	s->z = z;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	s->pieces[0].bytes = xmalloc(PIECE);
	if (packed_size < WORTH_A_THREAD)
		return s;
	for (size_t i = 1; i < PIECES; i++)
		s->pieces[i].bytes = xmalloc(PIECE);
	s->is_threaded = pthread_create(&s->thread, NULL, run, s) == 0;
	return s;
}

static ssize_t next_piece(struct stage *s, const void **ret, struct err *e)
{
	pthread_mutex_lock(&s->lock);
	if (s->is_held) {
		s->used++;
		pthread_cond_broadcast(&s->changed);
	}
	while (s->made == s->used)
		pthread_cond_wait(&s->changed, &s->lock);
	struct piece *p = &s->pieces[s->used % PIECES];
	s->is_held = p->n > 0; /* the last word stays */
	pthread_mutex_unlock(&s->lock);
	*ret = p->bytes;
	return p->n < 0 ? err_copy(e, &s->failure) : p->n;
}

ssize_t stage_read(struct stage *s, const void **ret, struct err *e)
{
	if (s->is_threaded)
		return next_piece(s, ret, e);
	*ret = s->pieces[0].bytes;
	return inflate_read(s->z, s->pieces[0].bytes, PIECE, e);
}

void stage_end(struct stage *s)
{
	if (s->is_threaded) {
		pthread_mutex_lock(&s->lock);
		s->stop = true;
		pthread_cond_broadcast(&s->changed);
		pthread_mutex_unlock(&s->lock);
		pthread_join(s->thread, NULL);
	}
	for (size_t i = 0; i < PIECES; i++)
		free(s->pieces[i].bytes);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
