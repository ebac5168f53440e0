/* CreateContainer: record, snapshot, spec; all of it undone when a step fails. */
#include "cri/box_make.h"

#include "base/log.h"
#include "base/signame.h"
#include "base/timefmt.h"
#include "nri/cdi.h"
#include "store/snapshot.h"

#include <signal.h>
#include <string.h>

#define METADATA_URL "github.com/containerd/cri/pkg/store/container/Metadata"

static struct any metadata_of(const struct box *box, struct arena *a)
{
	AUTO_STR struct str out = STR_INIT(4 << 20);
	struct jsonw w;

	jsonw_init(&w, &out, 0);
	jsonw_object(&w);
	jsonw_kstring(&w, "Version", "v1");
	jsonw_key(&w, "Metadata");
	jsonw_object(&w);
	jsonw_kstring(&w, "ID", box->id);
	jsonw_kstring(&w, "Name", box->name);
	jsonw_kstring(&w, "SandboxID", box->pod->id);
	jsonw_key(&w, "Config");
	message_json(&box->config->base, &w);
	jsonw_kstring(&w, "ImageRef", box->image_id);
	jsonw_kstring(&w, "LogPath", box->log_path);
	jsonw_end(&w);
	jsonw_end(&w);
	return (struct any){ METADATA_URL, arena_memdup(a, str_c(&out), out.len), out.len };
}

/* The interface's numbers are its own: RUNTIME_DEFAULT, then the names in the order of letters. */
static int wished_signal(const struct box *box, const struct image_facts *image)
{
	const char *name = image->config.stop_signal;

	if (box->config->stop_signal != RUNTIME__V1__SIGNAL__RUNTIME_DEFAULT) {
		const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(
			&runtime__v1__signal__descriptor, box->config->stop_signal);

		name = v ? v->name : "";
	}
	return signal_by_word(name) ?: SIGTERM;
}

static const CRI(ContainerUser) * user_message(struct arena *a, const struct oci_user *u)
{
	CRI(ContainerUser) *m = CRI_NEW(a, ContainerUser, container_user);

	m->linux = CRI_NEW(a, LinuxContainerUser, linux_container_user);
	m->linux->uid = u->uid;
	m->linux->gid = u->gid;
	m->linux->supplemental_groups = arena_array(a, u->n_additional_gids + 1, sizeof(int64_t));
	for (size_t i = 0; i < u->n_additional_gids; i++)
		m->linux->supplemental_groups[m->linux->n_supplemental_groups++] =
			u->additional_gids[i];
	return m;
}

/* The owner of the snapshot's files is the pod's root. */
static struct labels snapshot_labels(const struct box *box, struct arena *a)
{
	const CRI(UserNamespace) *u = pod_userns(box->pod);
	struct labels l = { 0 };

	if (!u)
		return l;
	labels_set(a, &l, "containerd.io/snapshot/uidmapping",
		   arena_printf(a, "%u:%u:%u", u->uids[0]->container_id, u->uids[0]->host_id,
				u->uids[0]->length));
	labels_set(a, &l, "containerd.io/snapshot/gidmapping",
		   arena_printf(a, "%u:%u:%u", u->gids[0]->container_id, u->gids[0]->host_id,
				u->gids[0]->length));
	return l;
}

static int add_cdi(const struct box *box, struct arena *a, struct any *spec, struct err *e)
{
	const CRI(ContainerConfig) *c = box->config;
	const char **names = arena_array(a, c->n_cdi_devices + 1, sizeof *names);
	AUTO_JSON json_object *o = NULL;
	const char *text;

	if (!c->n_cdi_devices)
		return 0;
	for (size_t i = 0; i < c->n_cdi_devices; i++)
		names[i] = c->cdi_devices[i]->name;
	if (jsonr_parse(spec->value, spec->n, &o, e) < 0 ||
	    cdi_apply(cdi_folders, names, c->n_cdi_devices, o, e) < 0)
		return err_wrap(e, "CDI device injection failed");
	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
							 JSON_C_TO_STRING_NOSLASHESCAPE);
	spec->n = strlen(text);
	spec->value = arena_memdup(a, text, spec->n);
	return 0;
}

static int make_record(const struct call *call, struct box *box, const struct image_facts *image,
		       struct err *e)
{
	struct extension *x = arena_array(call->arena, 3, sizeof *x);
	struct container_record in = { .id = box->id,
				       .image = image->name,
				       .snapshotter = box->snapshotter,
				       .snapshot_key = box->id,
				       .sandbox = box->pod->id,
				       .extensions = { x, 3 } },
				out;
	struct oci_user user;

	if (box_find_user(box, image, call->arena, &user, e) < 0)
		return err_wrap(e, "failed to generate user");
	box->user = user_message(box->arena, &user);
	if (box_spec(box, image, &user, call->arena, &in.spec, e) < 0 ||
	    add_cdi(box, call->arena, &in.spec, e) < 0)
		return err_wrap(e, "failed to generate container \"%s\" spec", box->id);
	x[0] = (struct extension){ "io.cri-containerd.container.metadata",
				   metadata_of(box, call->arena) };
	x[1] = box_extension(box, call->arena);
	x[2] = box_status_extension(box, call->arena);
	in.labels = cri_labels(call->arena, MESSAGE_MAP(box->config, labels), "container");
	if (cri_set_runtime(box->pod->cri, box->pod->request->runtime_handler, call->arena, &in,
			    e) < 0)
		return -1;
	if (container_create(call->engine->store, call->ns, call->arena, &in, &out, e) < 0)
		return err_wrap(e, "failed to create containerd container");
	return 0;
}

void box_add_expiry(struct arena *a, struct labels *l)
{
	enum { KEPT_S = 3600 };
	struct timespec t;
	char text[TIMEFMT_MAX];

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += KEPT_S;
	labels_set(a, l, "containerd.io/gc.expire", timefmt_rfc3339(t, text));
}

static int make(struct box *box, const struct call *call, const char *image_name, struct err *e)
{
	struct store *s = call->engine->store;
	const char *snapshotter = call->engine->cfg->snapshotter;
	struct err ignored = { 0 };
	struct image_facts image;
	struct mounts mounts;

	if (image_find(call, image_name, &image, e) < 0)
		return err_wrap(e, "failed to resolve image \"%s\"", image_name);
	box->image_id = arena_strdup(box->arena, image.id);
	box->image_ref = arena_strdup(box->arena, image.ref);
	box->snapshotter = arena_strdup(
		box->arena, snapshotter && *snapshotter ? snapshotter : snapshotter_default(s));
	box->stop_signal = wished_signal(box, &image);

	const struct snapshot_at at = { .ns = call->ns, .snapshotter = box->snapshotter };
	struct labels labels = snapshot_labels(box, call->arena);

	box_add_expiry(call->arena, &labels);
	if (snapshot_prepare(s, &at, call->arena, box->id, image.chain, &labels, &mounts, e) < 0)
		return err_wrap(e, "failed to create containerd container");
	if (make_record(call, box, &image, e) == 0)
		return 0;
	(void)snapshot_remove(s, &at, box->id, &ignored); /* the failure is told */
	return -1;
}

static int create(struct pod *pod, struct arena *a, struct cancel *c,
		  const CRI(CreateContainerRequest) * q, const char **ret, struct err *e)
{
	const struct call call = cri_call(pod->cri, a, c);
	AUTO_BOX struct box *box = NULL;
	char id[ID_SIZE];

	if (!q->config || !q->config->metadata || !*q->config->metadata->name)
		return err_set(e, ERR_INVALID_ARGUMENT, "container config must include metadata");
	if (!q->config->image || !*q->config->image->image)
		return err_set(e, ERR_INVALID_ARGUMENT, "container config must name an image");
	pthread_mutex_lock(&pod->cri->lock);
	bool is_ready = pod->is_ready && !pod->is_closing;

	pthread_mutex_unlock(&pod->cri->lock);
	if (!is_ready)
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "sandbox container \"%s\" is not running", pod->id);
	cri_new_id(id);
	box = box_new(pod, id, q);
	if (box_add(box, e) < 0)
		return -1;
	if (make(box, &call, q->config->image->image, e) < 0) {
		box_drop(box);
		return -1;
	}
	/* Who stops or removes the pod looks for its containers after it has said that it closes.
	 */
	pthread_mutex_lock(&pod->cri->lock);
	box->is_made = !pod->is_closing && !pod->is_removed;
	bool is_late = !box->is_made;

	pthread_mutex_unlock(&pod->cri->lock);
	if (is_late) {
		struct err gone = { 0 };

		(void)box_discard(box, &gone); /* the failure is told */
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "sandbox container \"%s\" is not running", pod->id);
	}
	cri_tell(pod->cri, RUNTIME__V1__CONTAINER_EVENT_TYPE__CONTAINER_CREATED_EVENT, pod,
		 box->id);
	*ret = arena_strdup(a, box->id);
	return 0;
}

int cri_create_box(struct cri *cri, struct arena *a, struct cancel *c,
		   const CRI(CreateContainerRequest) * q, CRI(CreateContainerResponse) * ret,
		   struct err *e)
{
	AUTO_POD struct pod *pod = pod_find(cri, q->pod_sandbox_id, e);
	const char *id;

	if (!pod)
		return err_wrap(e, "failed to find sandbox id \"%.80s\"", q->pod_sandbox_id);
	if (create(pod, a, c, q, &id, e) < 0)
		return -1;
	ret->container_id = (char *)id;
	return 0;
}
