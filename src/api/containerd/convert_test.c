#include "api/containerd/convert.h"

#include "base/test.h"
#include "base/timefmt.h"

#include "containerd/services/namespaces/v1/namespace.pb-c.h"

typedef Containerd__Services__Namespaces__V1__Namespace namespace_msg;
typedef Containerd__Services__Namespaces__V1__Namespace__LabelsEntry entry_msg;

TEST(times)
{
	AUTO_ARENA struct arena *a = arena_new();
	Google__Protobuf__Timestamp t = GOOGLE__PROTOBUF__TIMESTAMP__INIT;

	CHECK(conv_time(NULL).tv_sec == 0);
	t.seconds = TIMEFMT_GO_ZERO_SEC;
	CHECK(conv_time(&t).tv_sec == 0 && conv_time(&t).tv_nsec == 0);
	t.seconds = 1700000000;
	t.nanos = 5;
	CHECK(conv_time(&t).tv_sec == 1700000000 && conv_time(&t).tv_nsec == 5);
	t.nanos = -1;
	CHECK(conv_time(&t).tv_sec == 0);
	CHECK(conv_timestamp(a, (struct timespec){ 0 })->seconds == TIMEFMT_GO_ZERO_SEC);
	CHECK(conv_timestamp(a, (struct timespec){ 0, 7 })->nanos == 7);
	CHECK(conv_timestamp(a, (struct timespec){ 12, 7 })->seconds == 12);
}

TEST(labels_there_and_back)
{
	AUTO_ARENA struct arena *a = arena_new();
	entry_msg e[3], *v[3] = { &e[0], &e[1], &e[2] };
	namespace_msg m = CONTAINERD__SERVICES__NAMESPACES__V1__NAMESPACE__INIT, out = m;
	static const char *const keys[] = { "b", "a", "b" }, *const values[] = { "1", "", "3" };

	for (int i = 0; i < 3; i++) {
		containerd__services__namespaces__v1__namespace__labels_entry__init(&e[i]);
		e[i].key = (char *)keys[i];
		e[i].value = (char *)values[i];
	}
	m.labels = v;
	m.n_labels = 3;
	struct labels l = CONV_LABELS(a, &m, labels);
	CHECK(l.n == 2);
	CHECK_STR(labels_get(&l, "a"), "");
	CHECK_STR(labels_get(&l, "b"), "3"); /* the last one counts */

	CONV_SET_LABELS(a, &out, labels, &l,
			containerd__services__namespaces__v1__namespace__labels_entry);
	CHECK(out.n_labels == 2);
	CHECK_STR(out.labels[1]->key, "b");
	CHECK_STR(out.labels[1]->value, "3");
	CHECK(protobuf_c_message_check(&out.base));
	l = conv_labels(a, 0, NULL);
	CHECK(l.n == 0);
}

TEST(any)
{
	AUTO_ARENA struct arena *a = arena_new();
	Google__Protobuf__Timestamp t = GOOGLE__PROTOBUF__TIMESTAMP__INIT, *back;
	struct any none = conv_any(NULL);

	CHECK(!none.type_url && !conv_to_any(a, &none));
	t.seconds = 42;
	struct any x = conv_pack(a, &t.base);
	CHECK_STR(x.type_url, "google.protobuf.Timestamp");
	Google__Protobuf__Any *m = conv_to_any(a, &x);
	x = conv_any(m);
	back = conv_unpack(a, &x, &google__protobuf__timestamp__descriptor);
	CHECK(back && back->seconds == 42);
	x.type_url = "type.googleapis.com/google.protobuf.Timestamp";
	CHECK(conv_unpack(a, &x, &google__protobuf__timestamp__descriptor));
	x.type_url = "google.protobuf.TimestampX";
	CHECK(!conv_unpack(a, &x, &google__protobuf__timestamp__descriptor));
	x = (struct any){ "google.protobuf.Timestamp", "\xff", 1 };
	CHECK(!conv_unpack(a, &x, &google__protobuf__timestamp__descriptor));
}
