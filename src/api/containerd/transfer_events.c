#include "api/containerd/transfer_events.h"

#include "api/containerd/publish.h"

#include "containerd/events/content.pb-c.h"
#include "containerd/events/snapshot.pb-c.h"

static void on_content(const char *digest, uint64_t size, void *arg)
{
	Containerd__Events__ContentCreate m = CONTAINERD__EVENTS__CONTENT_CREATE__INIT;

	m.digest = (char *)digest;
	m.size = (int64_t)size;
	api_publish(arg, "/content/create", &m.base);
}

static void on_prepared(const char *snapshotter, const char *key, const char *parent, void *arg)
{
	Containerd__Events__SnapshotPrepare m = CONTAINERD__EVENTS__SNAPSHOT_PREPARE__INIT;

	m.key = (char *)key;
	m.parent = (char *)parent;
	m.snapshotter = (char *)snapshotter;
	api_publish(arg, "/snapshot/prepare", &m.base);
}

static void on_committed(const char *snapshotter, const char *key, const char *name, void *arg)
{
	Containerd__Events__SnapshotCommit m = CONTAINERD__EVENTS__SNAPSHOT_COMMIT__INIT;

	m.key = (char *)key;
	m.name = (char *)name;
	m.snapshotter = (char *)snapshotter;
	api_publish(arg, "/snapshot/commit", &m.base);
}

static void on_removed(const char *snapshotter, const char *key, void *arg)
{
	Containerd__Events__SnapshotRemove m = CONTAINERD__EVENTS__SNAPSHOT_REMOVE__INIT;

	m.key = (char *)key;
	m.snapshotter = (char *)snapshotter;
	api_publish(arg, "/snapshot/remove", &m.base);
}

void transfer_publish(struct transfer_hooks *h)
{
	h->content_created = on_content;
	h->snapshot_prepared = on_prepared;
	h->snapshot_committed = on_committed;
	h->snapshot_removed = on_removed;
}
