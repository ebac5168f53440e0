#include "api/containerd/task_rootfs.h"

#include "base/log.h"
#include "store/activation.h"

int task_rootfs_activate(const struct call *call, const char *id, struct mounts *m, struct err *e)
{
	struct store *s = call->engine->store;
	struct label lv[] = { { "containerd.io/gc.bref.container", id } };
	const struct activation_new n = {
		.ns = call->ns, .name = id, .mounts = *m, .labels = { lv, ARRAY_LEN(lv) }
	};
	struct activation r;
	struct err why = { 0 };
	int made = activation_create(s, &n, call->arena, &r, &why);

	if (made < 0 && why.code == ERR_ALREADY_EXISTS) { /* of a task that ended in a crash */
		err_clear(&why);
		made = activation_remove(s, call->ns, id, &why);
		if (made == 0)
			made = activation_create(s, &n, call->arena, &r, &why);
	}
	if (made < 0)
		return why.code == ERR_UNIMPLEMENTED && !why.errnum ? 0 : err_copy(e, &why);
	*m = r.system;
	return 0;
}

void task_rootfs_deactivate(const struct call *call, const char *id)
{
	struct store *s = call->engine->store;
	struct activation r;
	struct err e = { 0 };

	if (activation_get(s, call->ns, call->arena, id, &r, &e) < 0)
		return; /* most have none */
	if (activation_remove(s, call->ns, id, &e) < 0)
		log_warn(LOG({ "error", e.msg }, { "id", id }, { "namespace", call->ns }),
			 "mounts of a task are left for the next collection");
}
