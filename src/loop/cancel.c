#include "loop/cancel.h"

#include "loop/loop.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>

void cancel_init(struct cancel *c)
{
	atomic_init(&c->code, ERR_OK);
	pthread_mutex_init(&c->lock, NULL);
	c->fd = -1;
}

void cancel_done(struct cancel *c)
{
	close_fd(&c->fd);
	pthread_mutex_destroy(&c->lock);
}

static void ring(int fd)
{
	uint64_t one = 1;

	(void)!write(fd, &one, sizeof one); /* cannot block: it is rung once */
}

void cancel_set(struct cancel *c, enum err_code code)
{
	int none = ERR_OK;

	if (!atomic_compare_exchange_strong(&c->code, &none, (int)code))
		return;
	pthread_mutex_lock(&c->lock);
	if (c->fd >= 0)
		ring(c->fd);
	pthread_mutex_unlock(&c->lock);
}

bool cancel_is_set(const struct cancel *c)
{
	return c && atomic_load(&c->code) != ERR_OK;
}

int cancel_check(const struct cancel *c, struct err *e)
{
	int code = c ? atomic_load(&c->code) : ERR_OK;

	if (code == ERR_OK)
		return 0;
	return err_set(e, (enum err_code)code, "%s", err_class_text((enum err_code)code));
}

int cancel_fd(struct cancel *c)
{
	int r;

	if (!c)
		return -1;
	pthread_mutex_lock(&c->lock);
	if (c->fd < 0) {
		int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

		c->fd = fd;
		r = fd < 0 ? -errno : fd;
		if (fd >= 0 && cancel_is_set(c))
			ring(fd);
	} else {
		r = c->fd;
	}
	pthread_mutex_unlock(&c->lock);
	return r;
}

/* Milliseconds to the deadline, rounded up; an hour at most, since poll is called again. */
static int remaining_ms(uint64_t deadline)
{
	uint64_t now = loop_now();

	if (!deadline)
		return -1;
	if (now >= deadline)
		return 0;
	uint64_t ms = (deadline - now + 999999) / 1000000;
	return ms > 3600000 ? 3600000 : (int)ms;
}

int cancel_poll(struct cancel *c, int fd, short events, uint64_t deadline, struct err *e)
{
	int cfd = cancel_fd(c);

	if (c && cfd < 0)
		return err_sys(e, -cfd, "eventfd");
	for (;;) {
		struct pollfd p[] = { { .fd = fd, .events = events },
				      { .fd = cfd, .events = POLLIN } };
		int n = poll(p, 2, remaining_ms(deadline));

		if (cancel_check(c, e) < 0)
			return -1;
		if (n < 0 && errno != EINTR)
			return err_sys(e, errno, "poll");
		if (n > 0 && p[0].revents)
			return 0;
		if (n == 0 && deadline && loop_now() >= deadline)
			return err_set(e, ERR_DEADLINE_EXCEEDED, "%s",
				       err_class_text(ERR_DEADLINE_EXCEEDED));
	}
}
