/* Between the API's protobuf types and the plain C ones of store/ and engine/.
 *
 * On the way in, results borrow from the message (which lives as long as the call); on the way
 * out, they live in the arena given. */
#pragma once

#include "store/container.h"
#include "store/label.h"
#include "store/snapshot.h"

#include "containerd/types/mount.pb-c.h"
#include "google/protobuf/any.pb-c.h"
#include "google/protobuf/field_mask.pb-c.h"
#include "google/protobuf/timestamp.pb-c.h"
#include <time.h>

/* Go's zero time (year 1), an absent field and {0, 0} all mean "not set"; Go's zero time is what
 * goes out for it, since an absent Timestamp would read as 1970 on the other side. */
struct timespec conv_time(const Google__Protobuf__Timestamp *t);
Google__Protobuf__Timestamp *conv_timestamp(struct arena *a, struct timespec t);

/* map<string, string> fields, all of which have entries of the same layout.  Of a key that comes
 * twice the last one counts.
 *
 *	struct labels l = CONV_LABELS(a, req->container, labels);
 *	CONV_SET_LABELS(a, rsp, labels, &l, containerd__…__container__labels_entry); */
#define CONV_LABELS(a, msg, field) conv_labels((a), (msg)->n_##field, (msg)->field)
#define CONV_SET_LABELS(a, msg, field, l, entry) \
	((msg)->field = conv_entries((a), (l), &entry##__descriptor, &(msg)->n_##field))
struct labels conv_labels(struct arena *a, size_t n, const void *entries);
void *conv_entries(struct arena *a, const struct labels *l, const ProtobufCMessageDescriptor *entry,
		   size_t *ret_n);

/* NULL is a struct any with type_url NULL, and back. */
struct any conv_any(const Google__Protobuf__Any *m);
Google__Protobuf__Any *conv_to_any(struct arena *a, const struct any *any);
/* The same without copies: type and value stay any's, which lives as long as the message. */
Google__Protobuf__Any *conv_lend_any(struct arena *a, const struct any *any);

/* msg encoded, under its full protobuf name, as Go's typeurl writes it. */
struct any conv_pack(struct arena *a, const ProtobufCMessage *msg);

/* The message in any when its type is (exactly, or behind the last "/") type's name; NULL when it
 * is another or the bytes are wrong. Lives in a. */
void *conv_unpack(struct arena *a, const struct any *any, const ProtobufCMessageDescriptor *type);

/* NULL is no mask. */
struct mask conv_mask(const Google__Protobuf__FieldMask *m);

struct mounts conv_mounts(struct arena *a, Containerd__Types__Mount **v, size_t n);
Containerd__Types__Mount **conv_to_mounts(struct arena *a, const struct mounts *m, size_t *ret_n);

/* Strings of a repeated field as a list for filter_compile(). */
#define CONV_FILTERS(msg) (const char *const *)(msg)->filters, (msg)->n_filters
