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
	*ret = (struct cgroup_oom){ .fd = -1, .event_fd = -1 };
	if (cg->ops->oom_open(cg, ret, e) < 0)
		return -1;
	(void)read_kills(ret->event_fd, &ret->seen); /* gone already: the fd will say so */
	return 0;
}

int cgroup_oom_read(struct cgroup_oom *oom, uint64_t *ret_kills, bool *ret_gone, struct err *e)
{
	_Alignas(8) char drain[4096];
	uint64_t kills = 0;

	*ret_kills = 0;
	*ret_gone = false;
	while (read(oom->fd, drain, sizeof drain) > 0)
		;

	int r = read_kills(oom->event_fd, &kills);
	if (r == -ENODEV || r == -ENOENT) {
		*ret_gone = true;
		return 0;
	}
	if (r < 0)
		return err_sys(e, -r, "cannot read the count of OOM kills");
	*ret_kills = kills > oom->seen ? kills - oom->seen : 0;
	oom->seen = kills;
	return 0;
}

void cgroup_oom_close(struct cgroup_oom *oom)
{
	close_fd(&oom->fd);
	close_fd(&oom->event_fd);
	*oom = (struct cgroup_oom){ .fd = -1, .event_fd = -1 };
}
