/* The interface's messages as data: copied into an arena, packed, compared and written as JSON. */
#pragma once

#include "base/jsonw.h"
#include "cri/cri.h"
#include "store/container.h"

#define CRI(name) Runtime__V1__##name
#define CRI_TYPE(name) &runtime__v1__##name##__descriptor
/* A message of the arena: CRI_NEW(a, PodSandbox, pod_sandbox) */
#define CRI_NEW(a, type, name)                           \
	({                                               \
		CRI(type) *m_ = ARENA_NEW(a, CRI(type)); \
		runtime__v1__##name##__init(m_);         \
		m_;                                      \
	})

/* Everything in the arena; NULL when the bytes are no such message. */
void *message_unpack(struct arena *a, const ProtobufCMessageDescriptor *type, const void *bytes,
		     size_t n);
struct any message_pack(struct arena *a, const ProtobufCMessage *m);
/* A deep copy. */
void *message_copy(struct arena *a, const ProtobufCMessage *m);

/* As Go's encoding/json writes the original's structs: the fields' own names, empty ones left out,
 * enumerations as numbers. */
void message_json(const ProtobufCMessage *m, struct jsonw *w);
/* The same as a text in the arena. */
const char *message_json_text(struct arena *a, const ProtobufCMessage *m);

/* Maps of texts: n entries of whatever generated type. */
#define MESSAGE_MAP(m, field) (m)->n_##field, (m)->field
const char *message_map_get(size_t n, const void *entries, const char *key); /* or NULL */
/* Are all of wanted in there? */
bool message_map_has(size_t n, const void *entries, size_t n_wanted, const void *wanted);
/* As labels: the texts are borrowed. */
struct labels message_map_labels(struct arena *a, size_t n, const void *entries);
