/* What there is: pods and boxes by id and by name. */
#include "cri/private.h"

#include <string.h>
#include <sys/random.h>

void cri_new_id(char ret[ID_SIZE])
{
	static const char hex[] = "0123456789abcdef";
	uint8_t b[(ID_SIZE - 1) / 2];

	if (getrandom(b, sizeof b, 0) != sizeof b)
		BUG("getrandom gave less than it was asked for");
	for (size_t i = 0; i < sizeof b; i++) {
		ret[2 * i] = hex[b[i] >> 4];
		ret[2 * i + 1] = hex[b[i] & 15];
	}
	ret[ID_SIZE - 1] = 0;
}

int64_t cri_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

struct call cri_call(struct cri *cri, struct arena *a, struct cancel *c)
{
	return (struct call){ .engine = cri->en, .ns = CRI_NAMESPACE, .arena = a, .cancel = c };
}

/* --- making --- */

static const char *pod_name(struct arena *a, const CRI(PodSandboxMetadata) * m)
{
	return arena_printf(a, "%s_%s_%s_%u", m->name, m->namespace_, m->uid, m->attempt);
}

struct pod *pod_new(struct cri *cri, const char *id, const CRI(RunPodSandboxRequest) * request)
{
	struct pod *p = NEW(struct pod);

	p->refs = 1;
	p->cri = cri;
	p->arena = arena_new();
	p->id = arena_strdup(p->arena, id);
	p->request = message_copy(p->arena, &request->base);
	p->config = p->request->config;
	p->name = pod_name(p->arena, p->config->metadata);
	p->dir = arena_printf(p->arena, "%s/sandboxes/%s", cri->state, id);
	p->files = arena_printf(p->arena, "%s/sandboxes/%s", cri->root, id);
	p->created = cri_now();
	pthread_mutex_init(&p->turn, NULL);
	return p;
}

/* Where the log is: below the pod's folder of logs. */
static const char *log_path(const struct box *b)
{
	const char *dir = b->pod->config->log_directory;

	return *b->config->log_path && *dir
		       ? arena_printf(b->arena, "%s/%s", dir, b->config->log_path)
		       : "";
}

struct box *box_new(struct pod *pod, const char *id, const CRI(CreateContainerRequest) * request)
{
	CRI(CreateContainerRequest) kept = *request;
	const CRI(PodSandboxMetadata) *m = pod->config->metadata;
	struct box *b = NEW(struct box);

	kept.sandbox_config = NULL; /* the pod has it */
	kept.pod_sandbox_id = (char *)pod->id;
	b->refs = 1;
	b->arena = arena_new();
	b->pod = pod;
	pod_ref(pod);
	b->id = arena_strdup(b->arena, id);
	b->request = message_copy(b->arena, &kept.base);
	b->config = b->request->config;
	b->name = arena_printf(b->arena, "%s_%s_%s_%s_%u", b->config->metadata->name, m->name,
			       m->namespace_, m->uid, b->config->metadata->attempt);
	b->dir = arena_printf(b->arena, "%s/containers/%s", pod->cri->state, id);
	b->log_path = log_path(b);
	b->image_id = b->image_ref = b->snapshotter = "";
	b->created = cri_now();
	b->state = RUNTIME__V1__CONTAINER_STATE__CONTAINER_CREATED;
	b->reason = "";
	b->resources = b->config->linux ? b->config->linux->resources : NULL;
	pthread_mutex_init(&b->turn, NULL);
	pthread_mutex_init(&b->saving, NULL);
	return b;
}

/* --- references --- */

void pod_ref(struct pod *pod)
{
	pthread_mutex_lock(&pod->cri->lock);
	pod->refs++;
	pthread_mutex_unlock(&pod->cri->lock);
}

void box_ref(struct box *box)
{
	pthread_mutex_lock(&box->pod->cri->lock);
	box->refs++;
	pthread_mutex_unlock(&box->pod->cri->lock);
}

void pod_unref(struct pod *pod)
{
	if (!pod)
		return;
	pthread_mutex_lock(&pod->cri->lock);
	unsigned left = --pod->refs;

	pthread_mutex_unlock(&pod->cri->lock);
	if (left)
		return;
	pthread_mutex_destroy(&pod->turn);
	strv_done(&pod->ips);
	arena_free(pod->arena);
	free(pod);
}

void box_unref(struct box *box)
{
	if (!box)
		return;
	struct pod *pod = box->pod;

	pthread_mutex_lock(&pod->cri->lock);
	unsigned left = --box->refs;

	pthread_mutex_unlock(&pod->cri->lock);
	if (left)
		return;
	pthread_mutex_destroy(&box->turn);
	pthread_mutex_destroy(&box->saving);
	arena_free(box->resources_arena);
	free(box->message);
	arena_free(box->arena);
	free(box);
	pod_unref(pod);
}

/* --- the lists --- */

int pod_add(struct pod *pod, struct err *e)
{
	struct cri *cri = pod->cri;
	int ret = 0;

	pthread_mutex_lock(&cri->lock);
	for (const struct pod *p = cri->pods; p && !ret; p = p->next)
		if (!strcmp(p->name, pod->name))
			ret = err_set(e, ERR_FAILED_PRECONDITION,
				      "failed to reserve sandbox name \"%s\": name \"%s\" is "
				      "reserved for \"%s\"",
				      pod->name, pod->name, p->id);
	if (!ret) {
		pod->refs++;
		pod->next = cri->pods;
		cri->pods = pod;
	}
	pthread_mutex_unlock(&cri->lock);
	return ret;
}

int box_add(struct box *box, struct err *e)
{
	struct cri *cri = box->pod->cri;
	int ret = 0;

	pthread_mutex_lock(&cri->lock);
	for (const struct box *b = cri->boxes; b && !ret; b = b->next)
		if (!strcmp(b->name, box->name))
			ret = err_set(e, ERR_FAILED_PRECONDITION,
				      "failed to reserve container name \"%s\": name \"%s\" is "
				      "reserved for \"%s\"",
				      box->name, box->name, b->id);
	if (!ret) {
		box->refs++;
		box->next = cri->boxes;
		cri->boxes = box;
	}
	pthread_mutex_unlock(&cri->lock);
	return ret;
}

void pod_drop(struct pod *pod)
{
	struct cri *cri = pod->cri;
	bool was_in = false;

	pthread_mutex_lock(&cri->lock);
	for (struct pod **p = &cri->pods; *p; p = &(*p)->next)
		if (*p == pod) {
			*p = pod->next;
			was_in = true;
			break;
		}
	pod->is_removed = true;
	pthread_mutex_unlock(&cri->lock);
	if (was_in)
		pod_unref(pod);
}

void box_drop(struct box *box)
{
	struct cri *cri = box->pod->cri;
	bool was_in = false;

	pthread_mutex_lock(&cri->lock);
	for (struct box **b = &cri->boxes; *b; b = &(*b)->next)
		if (*b == box) {
			*b = box->next;
			was_in = true;
			break;
		}
	box->is_removed = true;
	pthread_mutex_unlock(&cri->lock);
	if (was_in)
		box_unref(box);
}

/* The one with this id, or the only one that begins so: ids are typed by people, too. */
#define FIND(list, id, found)                                                   \
	do {                                                                    \
		size_t n_ = strlen(id);                                         \
		bool is_one_ = true;                                            \
		for (typeof(list) x_ = n_ ? (list) : NULL; x_; x_ = x_->next) { \
			if (strncmp(x_->id, id, n_) != 0)                       \
				continue;                                       \
			is_one_ = !(found);                                     \
			(found) = x_;                                           \
			if (!x_->id[n_]) {                                      \
				is_one_ = true;                                 \
				break;                                          \
			}                                                       \
		}                                                               \
		if (!is_one_)                                                   \
			(found) = NULL;                                         \
	} while (0)

struct pod *pod_find(struct cri *cri, const char *id, struct err *e)
{
	struct pod *found = NULL;

	pthread_mutex_lock(&cri->lock);
	FIND(cri->pods, id, found);
	if (found)
		found->refs++;
	pthread_mutex_unlock(&cri->lock);
	if (!found)
		err_set(e, ERR_NOT_FOUND, "an error occurred when try to find sandbox \"%.80s\"",
			id);
	return found;
}

struct box *box_find(struct cri *cri, const char *id, struct err *e)
{
	struct box *found = NULL;

	pthread_mutex_lock(&cri->lock);
	FIND(cri->boxes, id, found);
	if (found)
		found->refs++;
	pthread_mutex_unlock(&cri->lock);
	if (!found)
		err_set(e, ERR_NOT_FOUND, "an error occurred when try to find container \"%.80s\"",
			id);
	return found;
}

void hold_pods(struct cri *cri, struct cri_hold *h)
{
	size_t n = 0;

	pthread_mutex_lock(&cri->lock);
	for (struct pod *p = cri->pods; p; p = p->next)
		n += p->is_made;
	h->pods = xcalloc(n + 1, sizeof *h->pods);
	h->n_pods = n;
	for (struct pod *p = cri->pods; p; p = p->next)
		if (p->is_made) {
			p->refs++;
			h->pods[--n] = p;
		}
	pthread_mutex_unlock(&cri->lock);
}

static bool is_wanted(const struct box *b, const struct pod *pod)
{
	return b->is_made && (!pod || b->pod == pod);
}

void hold_boxes(struct cri *cri, const struct pod *pod, struct cri_hold *h)
{
	size_t n = 0;

	pthread_mutex_lock(&cri->lock);
	for (struct box *b = cri->boxes; b; b = b->next)
		n += is_wanted(b, pod);
	h->boxes = xcalloc(n + 1, sizeof *h->boxes);
	h->n_boxes = n;
	for (struct box *b = cri->boxes; b; b = b->next)
		if (is_wanted(b, pod)) {
			b->refs++;
			h->boxes[--n] = b;
		}
	pthread_mutex_unlock(&cri->lock);
}

void cri_hold_done(struct cri_hold *h)
{
	for (size_t i = 0; i < h->n_boxes; i++)
		box_unref(h->boxes[i]);
	for (size_t i = 0; i < h->n_pods; i++)
		pod_unref(h->pods[i]);
	free(h->pods);
	free(h->boxes);
	*h = (struct cri_hold){ 0 };
}
