#include "api/containerd/publish.h"

#include "api/containerd/convert.h"
#include "base/log.h"
#include "engine/events.h"

void api_publish(const struct call *call, const char *topic, const ProtobufCMessage *msg)
{
	struct any any = conv_pack(call->arena, msg);
	struct err e = { 0 };

	if (events_publish(call->engine->events, call->ns, topic, any.type_url, any.value, any.n,
			   &e) < 0)
		log_warn(LOG({ "error", e.msg }), "cannot publish %s", topic);
}
