#include "api/containerd/attach.h"

#include "api/containerd/event_fields.h"
#include "api/containerd/publish.h"
#include "base/str.h"
#include "engine/collector.h"

#include "containerd/events/content.pb-c.h"
#include "containerd/events/image.pb-c.h"
#include "containerd/events/snapshot.pb-c.h"

#include <string.h>

/* Ingests and leases end silently, as in containerd. */
static void on_removed(const char *ns, const char *type, const char *id, void *arg)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct call call = { .engine = arg, .ns = ns, .arena = a };

	if (strcmp(type, "content") == 0) {
		Containerd__Events__ContentDelete m = CONTAINERD__EVENTS__CONTENT_DELETE__INIT;

		m.digest = (char *)id;
		api_publish(&call, "/content/delete", &m.base);
	} else if (strcmp(type, "images") == 0) {
		Containerd__Services__Images__V1__ImageDelete m =
			CONTAINERD__SERVICES__IMAGES__V1__IMAGE_DELETE__INIT;

		m.name = (char *)id;
		api_publish(&call, "/images/delete", &m.base);
	} else if (str_starts(type, "snapshots/")) {
		Containerd__Events__SnapshotRemove m = CONTAINERD__EVENTS__SNAPSHOT_REMOVE__INIT;

		m.key = (char *)id;
		m.snapshotter = (char *)type + strlen("snapshots/");
		api_publish(&call, "/snapshot/remove", &m.base);
	}
}

void api_attach(struct engine *en)
{
	events_set_fields(en->events, event_field);
	collector_set_report(en->collector, on_removed, en);
}
