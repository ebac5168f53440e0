/* What of a container must survive the daemon: extensions of its record. */
#include "base/log.h"
#include "base/num.h"
#include "cri/private.h"

#include <signal.h>
#include <string.h>

/* A reason is one of these: the rest of the daemon keeps it without copying. */
static const char *const reasons[] = { "",          "Completed",  "Error",
				       "OOMKilled", "StartError", "Unknown" };

static const char *reason_of(const char *text)
{
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (!strcmp(reasons[i], text))
			return reasons[i];
	return "Unknown";
}

struct extension box_extension(const struct box *box, struct arena *a)
{
	return (struct extension){ EXTENSION_BOX, message_pack(a, &box->request->base) };
}

/* The interface's own message says it all. */
struct extension box_status_extension(struct box *box, struct arena *a)
{
	CRI(ContainerStatus) *m = box_status(box, a);
	char signal[16];

	/* in the request already */
	m->metadata = NULL;
	m->image = NULL;
	m->n_labels = m->n_annotations = m->n_mounts = 0;
	snprintf(signal, sizeof signal, "%d", box->stop_signal);
	/* the record has no field for it: what it was resolved to, from the image's config */
	CRI(ContainerStatus__AnnotationsEntry) *entry =
		ARENA_NEW(a, CRI(ContainerStatus__AnnotationsEntry));

	runtime__v1__container_status__annotations_entry__init(entry);
	entry->key = (char *)"stop-signal";
	entry->value = arena_strdup(a, signal);
	m->annotations = arena_memdup(a, &entry, sizeof entry);
	m->n_annotations = 1;
	return (struct extension){ EXTENSION_STATUS, message_pack(a, &m->base) };
}

int box_save(struct box *box, struct err *e)
{
	static const char *const paths[] = { "extensions." EXTENSION_STATUS };
	const struct mask mask = { paths, 1 };
	AUTO_ARENA struct arena *a = arena_new();
	struct extension x;
	struct container_record in = { .id = box->id, .extensions = { &x, 1 } }, out;
	int r;

	/* who saves last has looked last */
	pthread_mutex_lock(&box->saving);
	x = box_status_extension(box, a);
	r = container_update(box->pod->cri->en->store, CRI_NAMESPACE, a, &in, &mask, &out, e);
	pthread_mutex_unlock(&box->saving);
	return r;
}

void box_save_or_warn(struct box *box)
{
	struct err e = { 0 };

	if (box_save(box, &e) < 0 && e.code != ERR_NOT_FOUND)
		log_warn(LOG({ "error", e.msg }, { "id", box->id }),
			 "the container's state is lost with the daemon");
}

static const struct any *find(const struct container_record *r, const char *key)
{
	for (size_t i = 0; i < r->extensions.n; i++)
		if (!strcmp(r->extensions.v[i].key, key))
			return &r->extensions.v[i].any;
	return NULL;
}

static void take_status(struct box *b, const CRI(ContainerStatus) * s)
{
	const char *signal = message_map_get(MESSAGE_MAP(s, annotations), "stop-signal");

	b->created = s->created_at;
	b->state = s->state;
	b->started = s->started_at;
	b->finished = s->finished_at;
	b->exit_code = s->exit_code;
	b->image_id = s->image_id;
	b->image_ref = s->image_ref;
	b->reason = reason_of(s->reason);
	b->message = *s->message ? xstrdup(s->message) : NULL;
	b->user = s->user;
	if (s->resources)
		b->resources = s->resources->linux;
	b->stop_signal = SIGTERM;
	if (signal)
		(void)num_i32(signal, &b->stop_signal); /* we wrote it */
}

int box_load(struct cri *cri, const struct container_record *r, struct box **ret, struct err *e)
{
	const struct any *request = find(r, EXTENSION_BOX), *status = find(r, EXTENSION_STATUS);
	AUTO_ARENA struct arena *a = arena_new();
	const CRI(CreateContainerRequest) *q = NULL;
	AUTO_POD struct pod *pod = NULL;
	CRI(ContainerStatus) *s = NULL;
	struct box *b;

	if (request)
		q = message_unpack(a, CRI_TYPE(create_container_request), request->value,
				   request->n);
	if (!q || !q->config || !q->config->metadata)
		return err_set(e, ERR_DATA_LOSS, "container \"%s\" has no record of its request",
			       r->id);
	pod = pod_find(cri, q->pod_sandbox_id, e);
	if (!pod)
		return err_wrap(e, "container \"%s\"", r->id);
	b = box_new(pod, r->id, q);
	b->snapshotter = arena_strdup(b->arena, r->snapshotter);
	if (status)
		s = message_unpack(b->arena, CRI_TYPE(container_status), status->value, status->n);
	if (s)
		take_status(b, s);
	*ret = b;
	return 0;
}
