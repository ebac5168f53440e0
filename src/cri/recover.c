/* The daemon's start: pods and containers by their records, their states by what runs, and away
 * with what no record names any more. */
#include "base/log.h"
#include "cri/private.h"
#include "engine/nri.h"
#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>

struct scan {
	struct cri *cri;
	bool is_boxes;
};

static const struct any *find(const struct container_record *r, const char *key)
{
	for (size_t i = 0; i < r->extensions.n; i++)
		if (!strcmp(r->extensions.v[i].key, key))
			return &r->extensions.v[i].any;
	return NULL;
}

static void load_pod(struct cri *cri, const struct container_record *r, const struct any *request)
{
	AUTO_ARENA struct arena *a = arena_new();
	const CRI(RunPodSandboxRequest) *q =
		message_unpack(a, CRI_TYPE(run_pod_sandbox_request), request->value, request->n);
	struct err e = { 0 };

	if (!q || !q->config || !q->config->metadata) {
		log_warn(LOG({ "id", r->id }), "the record of a pod cannot be read, skipping");
		return;
	}
	AUTO_POD struct pod *pod = pod_new(cri, r->id, q);

	pod->created = r->created.tv_sec * 1000000000ll + r->created.tv_nsec;
	pod->is_made = true;
	snprintf(pod->level, sizeof pod->level, "%s", labels_get(&r->labels, LEVEL_LABEL) ?: "");
	if (pod_add(pod, &e) < 0)
		log_warn(LOG({ "id", r->id }, { "error", e.msg }), "a pod is skipped");
}

static void load_box(struct cri *cri, const struct container_record *r)
{
	AUTO_BOX struct box *box = NULL;
	struct err e = { 0 };

	if (box_load(cri, r, &box, &e) == 0) {
		box->is_made = true;
		(void)box_add(box, &e);
	}
	if (e.code)
		log_warn(LOG({ "id", r->id }, { "error", e.msg }), "a container is skipped");
}

static int visit(const struct container_record *r, void *arg, UNUSED struct err *e)
{
	const struct scan *s = arg;
	const struct any *request = find(r, EXTENSION_POD);

	if (request && !s->is_boxes)
		load_pod(s->cri, r, request);
	else if (s->is_boxes && find(r, EXTENSION_BOX))
		load_box(s->cri, r);
	return 0;
}

/* --- what runs --- */

static int state_of(struct cri *cri, const char *id, struct arena *a, struct task **t,
		    struct task_state *ret)
{
	struct err e = { 0 };

	*ret = (struct task_state){ 0 };
	if (task_get(cri->en->tasks, CRI_NAMESPACE, id, t, &e) < 0)
		return -1;
	if (task_state(*t, NULL, a, ret, &e) < 0)
		log_warn(LOG({ "id", id }, { "error", e.msg }), "a task does not say how it is");
	return 0;
}

static void end(struct cri *cri, struct arena *a, struct task *t)
{
	const struct call call = cri_call(cri, a, NULL);
	struct err e = { 0 };

	if (cri_end_task(&call, t, &e) < 0)
		log_warn(LOG({ "id", task_id(t) }, { "error", e.msg }), "a task stays");
}

static void recover_pod(struct cri *cri, struct pod *pod)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_TASK struct task *t = NULL;
	struct task_state s;

	if (state_of(cri, pod->id, a, &t, &s) < 0)
		return;
	if (s.status == TASK_STOPPED || s.status == TASK_CREATED) { /* it never began */
		end(cri, a, t);
		return;
	}
	/* paused, or its shim does not say: the wait will */
	pod_set_ready(pod, s.pid);
	pod_watch(pod, t);
}

static void recover_box(struct cri *cri, struct box *box)
{
	const CRI(ContainerState) created = RUNTIME__V1__CONTAINER_STATE__CONTAINER_CREATED;
	const CRI(ContainerState) exited = RUNTIME__V1__CONTAINER_STATE__CONTAINER_EXITED;
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_TASK struct task *t = NULL;
	struct task_state s;

	if (state_of(cri, box->id, a, &t, &s) < 0) {
		if (box->state != exited && box->state != created)
			box_set_exited(box, UNKNOWN_EXIT, "Unknown", NULL, cri_now());
		return;
	}
	/* a start that the daemon's end cut in two is told as one that failed */
	if (s.status == TASK_CREATED || box->state == exited) {
		end(cri, a, t);
		if (box->state != exited)
			box_set_exited(box, UNKNOWN_EXIT, "Unknown", NULL, cri_now());
		return;
	}
	box->state = RUNTIME__V1__CONTAINER_STATE__CONTAINER_RUNNING;
	box->process = process_of(s.pid);
	if (!box->started)
		box->started = cri_now();
	box_watch(box, t); /* tells at once if it has ended */
}

/* --- what is left over --- */

static bool is_known(struct cri *cri, const char *id, bool is_box)
{
	struct err e = { 0 };

	if (is_box) {
		AUTO_BOX struct box *box = box_find(cri, id, &e);

		return box != NULL;
	}
	AUTO_POD struct pod *pod = pod_find(cri, id, &e);

	return pod != NULL;
}

static void sweep(struct cri *cri, const char *below, const char *folder, bool is_box)
{
	AUTO_FREE char *path = xasprintf("%s/%s", below, folder);
	DIR *d = opendir(path);
	const struct dirent *x;

	while (d && (x = readdir(d))) {
		AUTO_FREE char *child = xasprintf("%s/%s", path, x->d_name);
		AUTO_FREE char *shm = xasprintf("%s/shm", child);

		if (*x->d_name == '.' || is_known(cri, x->d_name, is_box))
			continue;
		(void)umount2(shm, MNT_DETACH | UMOUNT_NOFOLLOW); /* mostly there is none */
		if (file_remove_tree(AT_FDCWD, child) < 0)
			log_warn(LOG({ "path", child }), "what a pod left cannot be removed");
	}
	if (d)
		closedir(d);
}

int cri_recover(struct cri *cri, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_HOLD struct cri_hold pods = { 0 }, boxes = { 0 };
	struct scan s = { cri, false };

	if (container_list(cri->en->store, CRI_NAMESPACE, a, visit, &s, e) < 0)
		return -1;
	s.is_boxes = true;
	if (container_list(cri->en->store, CRI_NAMESPACE, a, visit, &s, e) < 0)
		return -1;
	hold_pods(cri, &pods);
	for (size_t i = 0; i < pods.n_pods; i++)
		recover_pod(cri, pods.pods[i]);
	hold_boxes(cri, NULL, &boxes);
	for (size_t i = 0; i < boxes.n_boxes; i++)
		recover_box(cri, boxes.boxes[i]);
	sweep(cri, cri->state, "sandboxes", false);
	sweep(cri, cri->root, "sandboxes", false);
	sweep(cri, cri->state, "containers", true);
	return 0;
}
