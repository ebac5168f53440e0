#include "api/containerd/event_fields.h"

#include "base/mem.h"

#include "containerd/events/container.pb-c.h"
#include "containerd/events/content.pb-c.h"
#include "containerd/events/image.pb-c.h"
#include "containerd/events/namespace.pb-c.h"
#include "containerd/events/sandbox.pb-c.h"
#include "containerd/events/snapshot.pb-c.h"
#include "containerd/events/task.pb-c.h"

#include <string.h>

#define EVENT(name) &containerd__events__##name##__descriptor
/* Their package is not that of the others. */
#define IMAGE_EVENT(name) &containerd__services__images__v1__##name##__descriptor
static const ProtobufCMessageDescriptor *const types[] = {
	EVENT(container_create),   EVENT(container_update),   EVENT(container_delete),
	EVENT(content_create),     EVENT(content_delete),     IMAGE_EVENT(image_create),
	IMAGE_EVENT(image_update), IMAGE_EVENT(image_delete), EVENT(namespace_create),
	EVENT(namespace_update),   EVENT(namespace_delete),   EVENT(sandbox_create),
	EVENT(sandbox_start),      EVENT(sandbox_exit),       EVENT(snapshot_prepare),
	EVENT(snapshot_commit),    EVENT(snapshot_remove),    EVENT(task_create),
	EVENT(task_start),         EVENT(task_delete),        EVENT(task_exit),
	EVENT(task_oom),           EVENT(task_exec_added),    EVENT(task_exec_started),
	EVENT(task_paused),        EVENT(task_resumed),       EVENT(task_checkpointed),
};

static const ProtobufCMessageDescriptor *find_type(const char *url)
{
	const char *slash = strrchr(url, '/');
	const char *name = slash ? slash + 1 : url;

	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (strcmp(types[i]->name, name) == 0)
			return types[i];
	return NULL;
}

/* A map<string, string>: repeated messages of two strings. */
static const char *map_value(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f,
			     const char *const *path, size_t n)
{
	const ProtobufCMessageDescriptor *entry = f->descriptor;
	size_t count = *(const size_t *)((const char *)m + f->quantifier_offset);
	const char *const *entries = *(const char *const *const *)((const char *)m + f->offset);

	if (f->type != PROTOBUF_C_TYPE_MESSAGE || !n || entry->n_fields != 2 ||
	    entry->fields[0].type != PROTOBUF_C_TYPE_STRING ||
	    entry->fields[1].type != PROTOBUF_C_TYPE_STRING ||
	    strcmp(entry->fields[0].name, "key") != 0)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		const char *const *key = (const void *)(entries[i] + entry->fields[0].offset);
		const char *const *value = (const void *)(entries[i] + entry->fields[1].offset);

		if (filter_path_is(path, n, *key))
			return *value;
	}
	return NULL;
}

static const char *find_value(const ProtobufCMessage *m, const char *const *path, size_t n)
{
	while (m && n) {
		const ProtobufCFieldDescriptor *f =
			protobuf_c_message_descriptor_get_field_by_name(m->descriptor, path[0]);
		if (!f)
			return NULL;

		const void *at = (const char *)m + f->offset;
		path++;
		n--;
		if (f->label == PROTOBUF_C_LABEL_REPEATED)
			return map_value(m, f, path, n);
		if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
			m = *(const ProtobufCMessage *const *)at;
			continue;
		}
		if (n)
			return NULL;
		if (f->type == PROTOBUF_C_TYPE_BOOL)
			return *(const protobuf_c_boolean *)at ? "true" : "false";
		if (f->type != PROTOBUF_C_TYPE_STRING)
			return NULL;
		const char *s = *(const char *const *)at;
		return s && *s ? s : NULL;
	}
	return NULL;
}

char *event_field(const struct event *ev, const char *const *path, size_t n)
{
	const ProtobufCMessageDescriptor *type = find_type(ev->type_url);
	ProtobufCMessage *m =
		type ? protobuf_c_message_unpack(type, NULL, ev->value_len, ev->value) : NULL;

	if (!m)
		return NULL;
	char *value = xstrdup(find_value(m, path, n));
	protobuf_c_message_free_unpacked(m, NULL);
	return value;
}
