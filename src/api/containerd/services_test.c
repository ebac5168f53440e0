/* The small services as a client sees them: real store, real exchange, real gRPC, no daemon. */
#include "api/containerd/api.h"
#include "api/containerd/services.h"
#include "api/containerd/services_bench.h"
#include "base/str.h"
#include "base/test.h"
#include "base/timefmt.h"
#include "engine/collector.h"
#include "engine/events.h"
#include "loop/loop.h"
#include "loop/pool.h"
#include "os/file.h"
#include "store/store.h"
#include "wire/grpc_client.h"
#include "wire/grpc_server.h"

#include "containerd/events/task.pb-c.h"
#include "containerd/services/events/v1/events.pb-c.h"
#include "containerd/services/introspection/v1/introspection.pb-c.h"
#include "containerd/services/leases/v1/leases.pb-c.h"
#include "containerd/services/namespaces/v1/namespace.pb-c.h"
#include "containerd/services/version/v1/version.pb-c.h"
#include "google/protobuf/empty.pb-c.h"
#include "grpc/health/v1/health.pb-c.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>

#define NS(name) containerd__services__namespaces__v1__##name
#define LEASE(name) containerd__services__leases__v1__##name
#define INTRO(name) containerd__services__introspection__v1__##name
#define EVENTS(name) containerd__services__events__v1__##name

/* Instead of services.c: only what this test links. */
const struct rpc_service api_services[] = {
	{ "e", events_methods },  { "i", introspection_methods },
	{ "l", leases_methods },  { "n", namespaces_methods },
	{ "v", version_methods }, { "h", health_methods },
	{ NULL, NULL },
};

static const Google__Protobuf__Empty nothing = { .base = PROTOBUF_C_MESSAGE_INIT(
							 &google__protobuf__empty__descriptor) };

TEST(version_and_health)
{
	struct bench b;
	struct err e = { 0 };
	Containerd__Services__Version__V1__VersionResponse *v;
	Grpc__Health__V1__HealthCheckRequest q = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
	Grpc__Health__V1__HealthCheckResponse *h;

	open_bench(&b);
	CHECK_OK(call(&b, "/v/Version", &nothing,
		      &containerd__services__version__v1__version_response__descriptor, &v, &e),
		 &e);
	CHECK(v->version[0] >= '2' && v->version[1] == '.'); /* nerdctl's gate */
	CHECK_OK(call(&b, "/h/Check", &q, &grpc__health__v1__health_check_response__descriptor, &h,
		      &e),
		 &e);
	CHECK(h->status == GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING);
	q.service = (char *)"nope";
	CHECK_FAIL(call(&b, "/h/Check", &q, &grpc__health__v1__health_check_response__descriptor,
			&h, &e),
		   &e, ERR_NOT_FOUND);
	close_bench(&b);
}

static Containerd__Services__Namespaces__V1__Namespace__LabelsEntry label(const char *k,
									  const char *v)
{
	Containerd__Services__Namespaces__V1__Namespace__LabelsEntry l;

	containerd__services__namespaces__v1__namespace__labels_entry__init(&l);
	l.key = (char *)k;
	l.value = (char *)v;
	return l;
}

TEST(namespaces)
{
	struct bench b;
	struct err e = { 0 };
	struct events_sub *sub;
	const struct event *ev;
	static const char *const topics[] = { "/namespaces/create", "/namespaces/update",
					      "/namespaces/delete" };
	Containerd__Services__Namespaces__V1__Namespace n;
	Containerd__Services__Namespaces__V1__CreateNamespaceRequest create;
	Containerd__Services__Namespaces__V1__UpdateNamespaceRequest update;
	Containerd__Services__Namespaces__V1__DeleteNamespaceRequest del;
	Containerd__Services__Namespaces__V1__GetNamespaceRequest get;
	Containerd__Services__Namespaces__V1__ListNamespacesRequest list;
	Containerd__Services__Namespaces__V1__UpdateNamespaceResponse *r;
	Containerd__Services__Namespaces__V1__ListNamespacesResponse *all;
	void *any;
	Containerd__Services__Namespaces__V1__Namespace__LabelsEntry one = label("a/b.c", "1"),
								     *labels[] = { &one };
	char *paths[] = { (char *)"labels.x.y/z" };
	Google__Protobuf__FieldMask mask = GOOGLE__PROTOBUF__FIELD_MASK__INIT;

	open_bench(&b);
	CHECK_OK(events_subscribe(b.en.events, NULL, 0, (events_wake_fn *)event_unrefp,
				  &(void *){ NULL }, &sub, &e),
		 &e);
	NS(namespace__init)(&n);
	NS(create_namespace_request__init)(&create);
	NS(update_namespace_request__init)(&update);
	NS(delete_namespace_request__init)(&del);
	NS(get_namespace_request__init)(&get);
	NS(list_namespaces_request__init)(&list);
	n.name = (char *)"moby";
	n.labels = labels;
	n.n_labels = 1;
	create.namespace_ = update.namespace_ = &n;
	get.name = del.name = n.name;

	/* one that does not exist has no labels: dockerd asks before anything is in its own */
	CHECK_OK(call(&b, "/n/Get", &get, &NS(get_namespace_response__descriptor), &any, &e), &e);
	CHECK(((Containerd__Services__Namespaces__V1__GetNamespaceResponse *)any)
		      ->namespace_->n_labels == 0);
	CHECK_OK(call(&b, "/n/Create", &create, &NS(create_namespace_response__descriptor), &any,
		      &e),
		 &e);
	CHECK_FAIL(call(&b, "/n/Create", &create, &NS(create_namespace_response__descriptor), &any,
			&e),
		   &e, ERR_ALREADY_EXISTS);
	CHECK_STR(e.msg, "namespace \"moby\": already exists");
	one = label("x.y/z", "2");
	mask.paths = paths;
	mask.n_paths = 1;
	update.update_mask = &mask;
	CHECK_OK(call(&b, "/n/Update", &update, &NS(update_namespace_response__descriptor), &r, &e),
		 &e);
	CHECK(r->namespace_->n_labels == 2);
	CHECK_OK(call(&b, "/n/List", &list, &NS(list_namespaces_response__descriptor), &all, &e),
		 &e);
	CHECK(all->n_namespaces == 1 && all->namespaces[0]->n_labels == 2);
	CHECK_OK(call(&b, "/n/Delete", &del, &google__protobuf__empty__descriptor, &any, &e), &e);
	n.name = (char *)"a/b";
	CHECK_FAIL(call(&b, "/n/Create", &create, &NS(create_namespace_response__descriptor), &any,
			&e),
		   &e, ERR_INVALID_ARGUMENT);

	err_clear(&e);
	for (size_t i = 0; i < ARRAY_LEN(topics); i++) {
		CHECK(events_next(sub, &ev, &e) == 1);
		CHECK_STR(ev->topic, topics[i]);
		CHECK_STR(ev->ns, "moby");
		event_unref(ev);
	}
	events_unsubscribe(sub);
	close_bench(&b);
}

TEST(leases)
{
	struct bench b;
	struct err e = { 0 };
	Containerd__Services__Leases__V1__CreateRequest create;
	Containerd__Services__Leases__V1__CreateResponse *made;
	Containerd__Services__Leases__V1__ListRequest list;
	Containerd__Services__Leases__V1__ListResponse *all;
	Containerd__Services__Leases__V1__DeleteRequest del;
	Containerd__Services__Leases__V1__Resource res;
	Containerd__Services__Leases__V1__AddResourceRequest add;
	Containerd__Services__Leases__V1__ListResourcesRequest which;
	Containerd__Services__Leases__V1__ListResourcesResponse *held;
	void *any;
	char *filters[] = { (char *)"id==one" };

	open_bench(&b);
	LEASE(create_request__init)(&create);
	LEASE(list_request__init)(&list);
	LEASE(delete_request__init)(&del);
	LEASE(resource__init)(&res);
	LEASE(add_resource_request__init)(&add);
	LEASE(list_resources_request__init)(&which);

	CHECK_FAIL(call(&b, "/l/List", &list, &LEASE(list_response__descriptor), &all, &e), &e,
		   ERR_FAILED_PRECONDITION);
	CHECK_STR(e.msg, "namespace is required: failed precondition");
	grpc_meta(b.client, "containerd-namespace", "default");
	CHECK_OK(call(&b, "/l/Create", &create, &LEASE(create_response__descriptor), &made, &e),
		 &e);
	CHECK(strchr(made->lease->id, '-') && made->lease->created_at->seconds > 1000000000);
	create.id = (char *)"one";
	CHECK_OK(call(&b, "/l/Create", &create, &LEASE(create_response__descriptor), &made, &e),
		 &e);
	CHECK_FAIL(call(&b, "/l/Create", &create, &LEASE(create_response__descriptor), &made, &e),
		   &e, ERR_ALREADY_EXISTS);
	CHECK_OK(call(&b, "/l/List", &list, &LEASE(list_response__descriptor), &all, &e), &e);
	CHECK(all->n_leases == 2);
	list.filters = filters;
	list.n_filters = 1;
	CHECK_OK(call(&b, "/l/List", &list, &LEASE(list_response__descriptor), &all, &e), &e);
	CHECK(all->n_leases == 1);
	CHECK_STR(all->leases[0]->id, "one");
	filters[0] = (char *)"id=one";
	CHECK_FAIL(call(&b, "/l/List", &list, &LEASE(list_response__descriptor), &all, &e), &e,
		   ERR_INVALID_ARGUMENT);

	res.id = (char *)"sha256:0000000000000000000000000000000000000000000000000000000000000000";
	res.type = (char *)"content";
	add.id = which.id = del.id = (char *)"one";
	add.resource = &res;
	CHECK_OK(call(&b, "/l/AddResource", &add, &google__protobuf__empty__descriptor, &any, &e),
		 &e);
	CHECK_OK(call(&b, "/l/ListResources", &which, &LEASE(list_resources_response__descriptor),
		      &held, &e),
		 &e);
	CHECK(held->n_resources == 1);
	CHECK_STR(held->resources[0]->type, "content");
	del.sync = 1;
	CHECK_OK(call(&b, "/l/Delete", &del, &google__protobuf__empty__descriptor, &any, &e), &e);
	CHECK_FAIL(call(&b, "/l/Delete", &del, &google__protobuf__empty__descriptor, &any, &e), &e,
		   ERR_NOT_FOUND);
	CHECK_STR(e.msg, "lease \"one\": not found");
	close_bench(&b);
}

TEST(plugins)
{
	struct bench b;
	struct err e = { 0 };
	Containerd__Services__Introspection__V1__PluginsRequest q;
	Containerd__Services__Introspection__V1__PluginsResponse *r;
	Containerd__Services__Introspection__V1__ServerResponse *s, *again;
	char *filters[] = { (char *)"type==io.containerd.snapshotter.v1, id==native" };

	open_bench(&b);
	INTRO(plugins_request__init)(&q);
	CHECK_OK(call(&b, "/i/Plugins", &q, &INTRO(plugins_response__descriptor), &r, &e), &e);
	CHECK(r->n_plugins > 10);
	q.filters = filters;
	q.n_filters = 1;
	CHECK_OK(call(&b, "/i/Plugins", &q, &INTRO(plugins_response__descriptor), &r, &e), &e);
	CHECK(r->n_plugins == 1 && r->plugins[0]->n_platforms == 1 && !r->plugins[0]->init_err);
	CHECK_STR(r->plugins[0]->platforms[0]->os, "linux");
	CHECK_STR(r->plugins[0]->exports[0]->key, "root");
	filters[0] = (char *)"id==restart"; /* as nerdctl asks before --restart */
	CHECK_OK(call(&b, "/i/Plugins", &q, &INTRO(plugins_response__descriptor), &r, &e), &e);
	CHECK(r->n_plugins == 1 && r->plugins[0]->n_capabilities == 4);
	CHECK_STR(r->plugins[0]->capabilities[2], "on-failure");
	CHECK_OK(call(&b, "/i/Server", &nothing, &INTRO(server_response__descriptor), &s, &e), &e);
	CHECK_OK(call(&b, "/i/Server", &nothing, &INTRO(server_response__descriptor), &again, &e),
		 &e);
	CHECK(strlen(s->uuid) == 36 && s->pid == (uint64_t)getpid() && s->pidns);
	CHECK_STR(s->uuid, again->uuid);
	close_bench(&b);
}

static void publish_start(struct bench *b, const char *id)
{
	Containerd__Events__TaskStart m = CONTAINERD__EVENTS__TASK_START__INIT;
	Containerd__Services__Events__V1__PublishRequest q;
	Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
	struct err e = { 0 };
	uint8_t buf[100];
	void *r;

	m.container_id = (char *)id;
	EVENTS(publish_request__init)(&q);
	any.type_url = (char *)"containerd.events.TaskStart";
	any.value.len = containerd__events__task_start__pack(&m, buf);
	any.value.data = buf;
	q.topic = (char *)"/tasks/start";
	q.event = &any;
	CHECK_OK(call(b, "/e/Publish", &q, &google__protobuf__empty__descriptor, &r, &e), &e);
}

static struct grpc_stream *subscribe(struct grpc_client *c, const char *filter)
{
	Containerd__Services__Events__V1__SubscribeRequest q;
	char *filters[] = { (char *)filter };
	struct grpc_stream *s;
	struct err e = { 0 };

	EVENTS(subscribe_request__init)(&q);
	q.filters = filters;
	q.n_filters = 1;
	CHECK_OK(grpc_stream_open(c, "/e/Subscribe", &containerd__types__envelope__descriptor, NULL,
				  &s, &e),
		 &e);
	CHECK_OK(grpc_stream_send(s, &q.base, &e), &e);
	CHECK_OK(grpc_stream_close_send(s, &e), &e);
	return s;
}

TEST(event_stream)
{
	struct bench b;
	struct err e = { 0 };
	Containerd__Types__Envelope *m;
	struct grpc_stream *all, *one, *bad;
	char id[16];

	open_bench(&b);
	grpc_meta(b.client, "containerd-namespace", "moby");
	all = subscribe(b.client, "");
	one = subscribe(b.client, "event.container_id==c7,topic~=|^/tasks/|");
	bad = subscribe(b.client, "a=b");
	CHECK_OK(grpc_stream_wait_headers(all, &e), &e);
	CHECK_OK(grpc_stream_wait_headers(one, &e), &e);
	CHECK_FAIL(grpc_stream_recv(bad, b.a, (void **)&m, &e), &e, ERR_INVALID_ARGUMENT);
	CHECK_STR(e.msg, "filters: parse error: [a >|=|< b]: unsupported operator \"=\": "
			 "invalid argument");
	err_clear(&e);
	for (int i = 0; i < 20; i++) {
		snprintf(id, sizeof id, "c%d", i);
		publish_start(&b, id);
	}
	for (int i = 0; i < 20; i++) {
		CHECK(grpc_stream_recv(all, b.a, (void **)&m, &e) == 1);
		CHECK_STR(m->topic, "/tasks/start");
		CHECK_STR(m->namespace_, "moby");
		CHECK_STR(m->event->type_url, "containerd.events.TaskStart");
		snprintf(id, sizeof id, "c%d", i);
		CHECK(memmem(m->event->value.data, m->event->value.len, id, strlen(id)));
	}
	CHECK(grpc_stream_recv(one, b.a, (void **)&m, &e) == 1);
	CHECK(!grpc_stream_ready(one));
	grpc_stream_free(bad);
	grpc_stream_free(all);
	grpc_stream_free(one);
	close_bench(&b);
}

/* A subscriber that never reads costs itself its subscription, and nobody else anything. */
TEST(a_stuck_subscriber_is_cut_off)
{
	struct bench b;
	struct err e = { 0 };
	Containerd__Types__Envelope *m;
	struct grpc_client *stuck;
	AUTO_FREE char *value = xcalloc(1, 64 * 1024);
	int r;

	open_bench(&b);
	add_client(&b, &stuck);
	struct grpc_stream *s = subscribe(stuck, "");
	CHECK_OK(grpc_stream_wait_headers(s, &e), &e);
	for (int i = 0; i < 400; i++)
		CHECK_OK(events_publish(b.en.events, "default", "/x", "x.Y", value, 64 * 1024, &e),
			 &e);
	while ((r = grpc_stream_recv(s, b.a, (void **)&m, &e)) > 0)
		;
	CHECK_FAIL(r, &e, ERR_RESOURCE_EXHAUSTED);
	grpc_close(stuck);
	close_bench(&b);
}
