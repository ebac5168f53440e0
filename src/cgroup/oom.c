/* Kills by the kernel for want of memory: how many, and an fd that tells of the next one. */
#include "cgroup/private.h"

#include <errno.h>
#include <unistd.h>

/* "oom_kill N" in memory.oom_control and in memory.events alike. */
static int read_kills(int fd, uint64_t *ret)
{
	char text[512];
	ssize_t n = pread(fd, text, sizeof text - 1, 0);

	if (n < 0)
		return -errno;
	text[n] = 0;
	*ret = 0;
	(void)cg_text_u64(text, "oom_kill", ret); /* before Linux 4.13: always 0 */
	return 0;
}

int cgroup_oom_open(const struct cgroup *cg, struct cgroup_oom *ret, struct err *e)
{
	*ret = (struct cgroup_oom){ .fd = -1, .event_fd = -1, .populated_fd = -1 };
	if (cg->ops->oom_open(cg, ret, e) < 0)
		return -1;
	if (ret->event_fd >= 0)
		(void)read_kills(ret->event_fd, &ret->seen); /* gone already: the fd will say so */
	return 0;
}

static bool is_populated(int fd)
{
	char text[256];
	uint64_t v = 0;
	ssize_t n = pread(fd, text, sizeof text - 1, 0);

	if (n < 0)
		return false;
	text[n] = 0;
	return cg_text_u64(text, "populated", &v) && v;
}

/* v1 wakes when memory ran out, which is before anything was killed for it: the wake-ups count.
 * It also wakes when the cgroup goes. */
static int read_v1(struct cgroup_oom *oom, uint64_t *ret_kills, bool *ret_gone, struct err *e)
{
	uint64_t wakes = 0, kills;
	int r;

	if (read(oom->fd, &wakes, sizeof wakes) != sizeof wakes)
		wakes = 0;
	r = read_kills(oom->event_fd, &kills);
	if (r == -ENODEV || r == -ENOENT)
		*ret_gone = true;
	else if (r < 0)
		return err_sys(e, -r, "cannot read the count of OOM kills");
	else
		*ret_kills = wakes;
	return 0;
}

static int read_v2(struct cgroup_oom *oom, uint64_t *ret_kills, bool *ret_gone, struct err *e)
{
	_Alignas(8) char drain[4096];
	uint64_t kills = 0;
	int r = 0;

	while (read(oom->fd, drain, sizeof drain) > 0)
		;
	if (oom->event_fd >= 0)
		r = read_kills(oom->event_fd, &kills);
	*ret_gone = r == -ENODEV || r == -ENOENT || !is_populated(oom->populated_fd);
	if (r < 0 && !*ret_gone)
		return err_sys(e, -r, "cannot read the count of OOM kills");
	*ret_kills = r == 0 && kills > oom->seen ? kills - oom->seen : 0;
	if (r == 0)
		oom->seen = kills;
	return 0;
}

int cgroup_oom_read(struct cgroup_oom *oom, uint64_t *ret_kills, bool *ret_gone, struct err *e)
{
	*ret_kills = 0;
	*ret_gone = false;
	return (oom->is_v2 ? read_v2 : read_v1)(oom, ret_kills, ret_gone, e);
}

void cgroup_oom_close(struct cgroup_oom *oom)
{
	close_fd(&oom->fd);
	close_fd(&oom->event_fd);
	close_fd(&oom->populated_fd);
	*oom = (struct cgroup_oom){ .fd = -1, .event_fd = -1, .populated_fd = -1 };
}
