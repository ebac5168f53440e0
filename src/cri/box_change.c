/* What changes in a container that runs: its limits and its log. */
#include "cri/box_make.h"

#include "base/jsonr.h"
#include "engine/network.h"
#include "engine/nri.h"
#include "os/fd.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- limits --- */

/* What is not given stays. */
static CRI(LinuxContainerResources) * merge(struct arena *a,
					    const CRI(LinuxContainerResources) * old,
					    const CRI(LinuxContainerResources) * new)
{
	CRI(LinuxContainerResources) *m =
		old ? message_copy(a, &old->base)
		    : CRI_NEW(a, LinuxContainerResources, linux_container_resources);
	const CRI(LinuxContainerResources) *n = message_copy(a, &new->base);

#define TAKE(field) m->field = n->field ? n->field : m->field
	TAKE(cpu_period);
	TAKE(cpu_quota);
	TAKE(cpu_shares);
	TAKE(memory_limit_in_bytes);
	TAKE(memory_swap_limit_in_bytes);
	TAKE(oom_score_adj);
#undef TAKE
#define TAKE_TEXT(field) m->field = *n->field ? n->field : m->field
	TAKE_TEXT(cpuset_cpus);
	TAKE_TEXT(cpuset_mems);
#undef TAKE_TEXT
	if (n->n_hugepage_limits) {
		m->n_hugepage_limits = n->n_hugepage_limits;
		m->hugepage_limits = n->hugepage_limits;
	}
	if (n->n_unified) {
		m->n_unified = n->n_unified;
		m->unified = n->unified;
	}
	return m;
}

/* linux.resources of a spec made of these, without the devices, which an update leaves alone. */
static int resources_json(const struct box *box, const CRI(LinuxContainerResources) * r,
			  struct arena *a, json_object **ret, struct err *e)
{
	static const char *const args[] = { "-", NULL };
	struct generate g = { .args = args, .bare_mounts = true, .no_rlimits = true };
	AUTO_JSON json_object *spec = NULL;
	AUTO_FREE char *text = NULL;
	json_object *l = NULL, *resources = NULL;

	box_resources(box, r, a, &g);
	if (generate_spec(&g, &text, e) < 0 || jsonr_parse(text, strlen(text), &spec, e) < 0 ||
	    jsonr_object(spec, "linux", &l, e) < 0 ||
	    jsonr_object(l, "resources", &resources, e) < 0)
		return -1;
	json_object_object_del(resources, "devices");
	*ret = json_object_get(resources);
	return 0;
}

static const char *text_of(json_object *o)
{
	return json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
							 JSON_C_TO_STRING_NOSLASHESCAPE);
}

/* In the record, for the next start. */
static int save_in_spec(const struct call *call, struct box *box, json_object *resources,
			struct err *e)
{
	static const char *const paths[] = { "spec" };
	const struct mask mask = { paths, 1 };
	AUTO_JSON json_object *spec = NULL;
	json_object *l = NULL, *old = NULL;
	struct container_record r, out;

	if (container_get(call->engine->store, call->ns, call->arena, box->id, &r, e) < 0 ||
	    jsonr_parse(r.spec.value, r.spec.n, &spec, e) < 0 ||
	    jsonr_object(spec, "linux", &l, e) < 0)
		return -1;
	if (!l || jsonr_object(l, "resources", &old, e) < 0 || !old)
		return e->code ? -1 : err_set(e, ERR_INTERNAL, "spec without resources");
	json_object_object_foreach(resources, key, value)
	{
		json_object_object_add(old, key, json_object_get(value));
	}
	r.spec.value = text_of(spec);
	r.spec.n = strlen(r.spec.value);
	return container_update(call->engine->store, call->ns, call->arena, &r, &mask, &out, e);
}

static int update_task(const struct call *call, struct box *box, json_object *resources,
		       const struct labels *annotations, struct err *e)
{
	const char *text = text_of(resources);
	struct any any = { "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources", text,
			   strlen(text) };
	AUTO_TASK struct task *t = NULL;

	if (task_get(call->engine->tasks, call->ns, box->id, &t, e) < 0)
		return -1;
	return engine_task_update(call, t, &any, annotations, e);
}

static int update(const struct call *call, struct box *box,
		  const CRI(UpdateContainerResourcesRequest) * q, struct err *e)
{
	struct cri *cri = box->pod->cri;
	struct labels annotations = message_map_labels(call->arena, MESSAGE_MAP(q, annotations));
	AUTO_JSON json_object *resources = NULL;
	struct arena *kept = arena_new(), *old;
	const CRI(LinuxContainerResources) * all;
	int r = -1;

	pthread_mutex_lock(&cri->lock);
	CRI(ContainerState) state = box->state;
	bool is_removed = box->is_removed;

	pthread_mutex_unlock(&cri->lock);
	all = merge(kept, box->resources, q->linux); /* changed with the turn alone */
	if (is_removed)
		err_set(e, ERR_FAILED_PRECONDITION, "container \"%s\" is in removing state",
			box->id);
	else if (resources_json(box, all, call->arena, &resources, e) == 0 &&
		 save_in_spec(call, box, resources, e) == 0)
		r = state == RUNTIME__V1__CONTAINER_STATE__CONTAINER_RUNNING
			    ? update_task(call, box, resources, &annotations, e)
			    : 0;
	if (r < 0) {
		arena_free(kept);
		return -1;
	}
	pthread_mutex_lock(&cri->lock);
	old = box->resources_arena;
	box->resources_arena = kept;
	box->resources = all;
	pthread_mutex_unlock(&cri->lock);
	arena_free(old);
	box_save_or_warn(box);
	return 0;
}

int cri_update_box(struct cri *cri, struct arena *a, struct cancel *c,
		   const CRI(UpdateContainerResourcesRequest) * q, struct err *e)
{
	const struct call call = cri_call(cri, a, c);
	AUTO_BOX struct box *box = box_find(cri, q->container_id, e);
	int r;

	if (!box)
		return err_wrap(e, "failed to find container");
	if (!q->linux)
		return 0;
	pthread_mutex_lock(&box->turn);
	r = update(&call, box, q, e);
	pthread_mutex_unlock(&box->turn);
	return r < 0 ? err_wrap(e, "failed to update resources") : 0;
}

/* --- log --- */

/* As the shim does it: what a pod may have put there is not followed, and not waited for. */
static int make_log(const struct box_log *l, struct err *e)
{
	AUTO_FD int base = open(l->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (base < 0)
		return err_sys(e, errno, "open %s", l->base);
	AUTO_FD int dirfd = file_mkdirs_below(base, l->below, 0);
	if (dirfd < 0)
		return err_sys(e, -dirfd, "open %s/%s", l->base, l->below);
	AUTO_FD int fd =
		openat(dirfd, l->file,
		       O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0640);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, errno, "open %s", l->file);
	return S_ISREG(st.st_mode)
		       ? 0
		       : err_set(e, ERR_FAILED_PRECONDITION, "%s is no regular file", l->file);
}

/* The shim follows a new file within a second, as soon as there is something to write; here it is
 * made, so that who rotates sees it at once. */
int cri_reopen_log(struct cri *cri, const char *id, struct err *e)
{
	AUTO_BOX struct box *box = box_find(cri, id, e);

	if (!box)
		return -1;
	pthread_mutex_lock(&cri->lock);
	bool is_running = box->state == RUNTIME__V1__CONTAINER_STATE__CONTAINER_RUNNING;

	pthread_mutex_unlock(&cri->lock);
	if (!is_running)
		return err_set(e, ERR_FAILED_PRECONDITION, "container is not running");
	AUTO_ARENA struct arena *a = arena_new();
	struct box_log l;

	if (!box_log_place(box, a, &l) || make_log(&l, e) == 0)
		return 0;
	return err_wrap(e, "failed to create container log file \"%s\"", box->log_path);
}

/* --- for streams --- */

int cri_get_running(struct cri *cri, const char *id, struct cri_hold *h, struct cri_running *ret,
		    struct err *e)
{
	struct box *box = box_find(cri, id, e);

	if (!box)
		return -1;
	h->boxes = xcalloc(1, sizeof *h->boxes);
	h->boxes[0] = box;
	h->n_boxes = 1;
	pthread_mutex_lock(&cri->lock);
	bool is_running = box->state == RUNTIME__V1__CONTAINER_STATE__CONTAINER_RUNNING;

	pthread_mutex_unlock(&cri->lock);
	if (!is_running)
		return err_set(e, ERR_FAILED_PRECONDITION, "container \"%s\" is not running",
			       box->id);
	*ret = (struct cri_running){ .id = box->id,
				     .pod = box->pod->id,
				     .dir = box->dir,
				     .has_stdin = box->config->stdin,
				     .is_stdin_once = box->config->stdin_once,
				     .has_terminal = box->config->tty };
	return task_get(cri->en->tasks, CRI_NAMESPACE, box->id, &ret->task, e);
}

int cri_pod_netns(struct cri *cri, struct arena *a, const char *id, const char **ret_id,
		  const char **ret_path, struct err *e)
{
	AUTO_POD struct pod *pod = pod_find(cri, id, e);

	if (!pod)
		return -1;
	pthread_mutex_lock(&cri->lock);
	bool is_ready = pod->is_ready;

	pthread_mutex_unlock(&cri->lock);
	if (!is_ready)
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "sandbox container \"%s\" is not running", pod->id);
	*ret_id = arena_strdup(a, pod->id);
	*ret_path = pod_has_host(pod, OCI_NS_NETWORK)
			    ? ""
			    : network_netns(cri->en->network, CRI_NAMESPACE, pod->id, a);
	return 0;
}
