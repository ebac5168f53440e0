#include "cri/selinux.h"

#include "cri/private.h"

#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum { CATEGORIES = 1024 };

bool selinux_is_on(void)
{
	return access("/sys/fs/selinux/enforce", F_OK) == 0;
}

static const char * or (const char *a, const char *b)
{
	return *a ? a : b;
}

struct selinux_labels selinux_labels(struct arena *a, const CRI(SELinuxOption) * o,
				     const char *level)
{
	static const CRI(SELinuxOption) none = RUNTIME__V1__SELINUX_OPTION__INIT;

	if (!o)
		o = &none;
	if (!*level && !(*o->user || *o->role || *o->type || *o->level))
		return (struct selinux_labels){ 0 };

	const char *user = or (o->user, "system_u");
	const char *at = or (o->level, or (level, "s0"));

	return (struct selinux_labels){
		.process = arena_printf(a, "%s:%s:%s:%s", user, or (o->role, "system_r"),
					or (o->type, "container_t"), at),
		/* whatever may run there, files are files */
		.mount = arena_printf(a, "%s:object_r:container_file_t:%s", user, at),
	};
}

/* Under the lock. */
static bool is_taken(const struct cri *cri, const char *level)
{
	for (const struct pod *p = cri->pods; p; p = p->next)
		if (!strcmp(p->level, level))
			return true;
	return false;
}

/* Some hundred pods of half a million pairs: the first try is mostly good. */
void selinux_assign(struct pod *pod)
{
	const CRI(LinuxPodSandboxConfig) *l = pod->config->linux;
	const CRI(LinuxSandboxSecurityContext) *s = l ? l->security_context : NULL;
	const CRI(SELinuxOption) *o = s ? s->selinux_options : NULL;
	char level[SELINUX_LEVEL_MAX];

	if (!pod->cri->has_selinux || (s && s->privileged) ||
	    (o && (*o->user || *o->role || *o->type || *o->level)))
		return;
	pthread_mutex_lock(&pod->cri->lock);
	do {
		uint16_t c[2];

		if (getrandom(c, sizeof c, 0) != sizeof c)
			BUG("getrandom gave less than it was asked for");
		c[0] %= CATEGORIES;
		c[1] %= CATEGORIES;
		if (c[0] == c[1])
			continue; /* one category would be open to every pod that has it */
		snprintf(level, sizeof level, "s0:c%u,c%u", c[0] < c[1] ? c[0] : c[1],
			 c[0] < c[1] ? c[1] : c[0]);
		if (!is_taken(pod->cri, level))
			memcpy(pod->level, level, sizeof level);
	} while (!*pod->level);
	pthread_mutex_unlock(&pod->cri->lock);
}
