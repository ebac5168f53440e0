#include "cmd/containerd/publish.h"

#include "base/mem.h"
#include "base/str.h"
#include "wire/grpc_client.h"

#include "containerd/services/events/v1/events.pb-c.h"
#include "google/protobuf/empty.pb-c.h"

#include <errno.h>

enum { EVENT_MAX = 4 << 20 };
#define PUBLISH_TIMEOUT_NS 5000000000ull

static int read_stdin(struct str *out, struct err *e)
{
	char buf[4096];
	ssize_t n;

	while ((n = read(STDIN_FILENO, buf, sizeof buf)) > 0)
		str_addn(out, buf, (size_t)n);
	if (n < 0)
		return err_sys(e, errno, "read event");
	return out->over ? err_set(e, ERR_INVALID_ARGUMENT, "the event is too large") : 0;
}

static int send_event(struct grpc_client *c, const char *topic, Google__Protobuf__Any *event,
		      struct err *e)
{
	Containerd__Services__Events__V1__PublishRequest req =
		CONTAINERD__SERVICES__EVENTS__V1__PUBLISH_REQUEST__INIT;
	const struct grpc_options opt = { .timeout_ns = PUBLISH_TIMEOUT_NS };
	AUTO_ARENA struct arena *a = arena_new();
	void *rsp;

	req.topic = (char *)(uintptr_t)topic;
	req.event = event;
	return grpc_call(c, "/containerd.services.events.v1.Events/Publish", &req.base,
			 &google__protobuf__empty__descriptor, a, &rsp, &opt, e);
}

int publish_event(const char *address, const char *ns, const char *topic, struct err *e)
{
	AUTO_STR struct str text = STR_INIT(EVENT_MAX);
	AUTO_GRPC struct grpc_client *c = NULL;

	if (read_stdin(&text, e) < 0 || grpc_connect(address, PUBLISH_TIMEOUT_NS, &c, e) < 0)
		return -1;
	Google__Protobuf__Any *event =
		google__protobuf__any__unpack(NULL, text.len, (const uint8_t *)str_c(&text));
	if (!event)
		return err_set(e, ERR_INVALID_ARGUMENT, "stdin is no google.protobuf.Any");
	grpc_meta(c, "containerd-namespace", ns);
	int r = send_event(c, topic, event, e);
	google__protobuf__any__free_unpacked(event, NULL);
	return r;
}
