/* ctr events */
#include "cmd/ctr/ctr.h"

#include "cmd/ctr/json_print.h"

/* What the daemon and the shims publish. */
static const ProtobufCMessageDescriptor *const types[] = {
	&containerd__events__container_create__descriptor,
	&containerd__events__container_update__descriptor,
	&containerd__events__container_delete__descriptor,
	&containerd__events__content_create__descriptor,
	&containerd__events__content_delete__descriptor,
	&containerd__services__images__v1__image_create__descriptor,
	&containerd__services__images__v1__image_update__descriptor,
	&containerd__services__images__v1__image_delete__descriptor,
	&containerd__events__namespace_create__descriptor,
	&containerd__events__namespace_update__descriptor,
	&containerd__events__namespace_delete__descriptor,
	&containerd__events__snapshot_prepare__descriptor,
	&containerd__events__snapshot_commit__descriptor,
	&containerd__events__snapshot_remove__descriptor,
	&containerd__events__task_create__descriptor,
	&containerd__events__task_start__descriptor,
	&containerd__events__task_delete__descriptor,
	&containerd__events__task_io__descriptor,
	&containerd__events__task_exit__descriptor,
	&containerd__events__task_oom__descriptor,
	&containerd__events__task_exec_added__descriptor,
	&containerd__events__task_exec_started__descriptor,
	&containerd__events__task_paused__descriptor,
	&containerd__events__task_resumed__descriptor,
	&containerd__events__task_checkpointed__descriptor,
	&containerd__events__sandbox_create__descriptor,
	&containerd__events__sandbox_start__descriptor,
	&containerd__events__sandbox_exit__descriptor,
};

/* The event as JSON; of a type that is not known, its name. */
static void add_event(struct str *out, const Google__Protobuf__Any *any)
{
	const char *name = strrchr(any->type_url, '/');
	ProtobufCMessage *m = NULL;
	struct jsonw w;

	name = name ? name + 1 : any->type_url;
	for (size_t i = 0; i < ARRAY_LEN(types) && !m; i++)
		if (!strcmp(types[i]->name, name))
			m = protobuf_c_message_unpack(types[i], NULL, any->value.len,
						      any->value.data);
	jsonw_init(&w, out, 0);
	if (m) {
		json_message(&w, m);
		protobuf_c_message_free_unpacked(m, NULL);
	} else {
		jsonw_object(&w);
		jsonw_kstring(&w, "type_url", any->type_url);
		jsonw_end(&w);
	}
}

static void print_event(const Containerd__Types__Envelope *v)
{
	struct str text AUTO_STR = STR_INIT(32 << 20);
	struct arena *a AUTO_ARENA = arena_new();

	if (v->event)
		add_event(&text, v->event);
	ctr_print(stdout, "%s %s %s %s\n", time_go(a, v->timestamp), v->namespace_, v->topic,
		  str_c(&text));
	fflush(stdout);
}

int events_run(struct ctr *ctr, const struct args *args, struct err *e)
{
	Containerd__Services__Events__V1__SubscribeRequest req =
		CONTAINERD__SERVICES__EVENTS__V1__SUBSCRIBE_REQUEST__INIT;
	struct grpc_stream *s AUTO_GRPC_STREAM = NULL;
	Containerd__Types__Envelope *v;
	int r;

	req.filters = (char **)(uintptr_t)args->v;
	req.n_filters = args->n;
	if (ctr_open(ctr, "events.v1.Events/Subscribe", &req,
		     &containerd__types__envelope__descriptor, &s, e) < 0)
		return -1;
	for (;;) {
		struct arena *a AUTO_ARENA = arena_new();

		r = grpc_stream_recv(s, a, (void **)&v, e);
		if (r <= 0)
			return r;
		print_event(v);
	}
}
