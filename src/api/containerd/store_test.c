/* Images, content and snapshots as a client sees them: real store, real gRPC, no daemon. */
#include "api/containerd/services_bench.h"

#include "base/sha256.h"

#include "containerd/events/content.pb-c.h"
#include "containerd/events/image.pb-c.h"
#include "containerd/services/content/v1/content.pb-c.h"
#include "containerd/services/images/v1/images.pb-c.h"
#include "containerd/services/snapshots/v1/snapshots.pb-c.h"
#include "google/protobuf/empty.pb-c.h"

#define CONTENT(name) containerd__services__content__v1__##name
#define IMAGE(name) containerd__services__images__v1__##name
#define SNAP(name) containerd__services__snapshots__v1__##name

typedef Containerd__Services__Content__V1__WriteContentRequest write_request;
typedef Containerd__Services__Content__V1__WriteContentResponse write_response;

#define STAT CONTAINERD__SERVICES__CONTENT__V1__WRITE_ACTION__STAT
#define WRITE CONTAINERD__SERVICES__CONTENT__V1__WRITE_ACTION__WRITE
#define COMMIT CONTAINERD__SERVICES__CONTENT__V1__WRITE_ACTION__COMMIT

const struct rpc_service api_services[] = {
	{ "c", content_methods },
	{ "i", images_methods },
	{ "s", snapshots_methods },
	{ NULL, NULL },
};

static void open_default(struct bench *b)
{
	open_bench(b);
	grpc_meta(b->client, "containerd-namespace", "default");
}

static char *digest_of(struct arena *a, const char *text)
{
	struct sha256 h;
	char d[72];

	sha256_init(&h);
	sha256_add(&h, text, strlen(text));
	sha256_digest(&h, d);
	return arena_strdup(a, d);
}

static struct grpc_stream *open_write(struct bench *b)
{
	struct grpc_stream *s;
	struct err e = { 0 };

	CHECK_OK(grpc_stream_open(b->client, "/c/Write",
				  &CONTENT(write_content_response__descriptor), NULL, &s, &e),
		 &e);
	return s;
}

static void say(struct grpc_stream *s, Containerd__Services__Content__V1__WriteAction action,
		int64_t offset, int64_t total, const char *expected, const char *data)
{
	write_request q;
	struct err e = { 0 };

	CONTENT(write_content_request__init)(&q);
	q.action = action;
	q.ref = (char *)"ref";
	q.offset = offset;
	q.total = total;
	q.expected = (char *)(expected ?: "");
	q.data.data = (uint8_t *)data;
	q.data.len = data ? strlen(data) : 0;
	CHECK_OK(grpc_stream_send(s, &q.base, &e), &e);
}

static write_response *hear(struct bench *b, struct grpc_stream *s)
{
	struct err e = { 0 };
	void *r;
	int n = grpc_stream_recv(s, b->a, &r, &e);

	if (n != 1)
		FAIL_("no answer: %d %s", n, e.msg);
	return r;
}

static void fails(struct bench *b, struct grpc_stream *s, enum err_code code, const char *text)
{
	struct err e = { 0 };
	void *r;

	CHECK(grpc_stream_recv(s, b->a, &r, &e) == -1);
	if (e.code != code || strcmp(e.msg, text) != 0)
		FAIL_("got %d \"%s\", want %d \"%s\"", e.code, e.msg, code, text);
	grpc_stream_free(s);
}

/* STAT, two WRITEs, COMMIT: what containerd's own client does. */
TEST(content_write)
{
	struct bench b;
	struct err e = { 0 };
	write_response *r;
	void *none;

	open_default(&b);
	char *digest = digest_of(b.a, "hello world");
	struct grpc_stream *s = open_write(&b);

	say(s, STAT, 0, 11, digest, NULL);
	r = hear(&b, s);
	CHECK(r->action == STAT && r->offset == 0 && r->total == 11 && r->started_at);
	CHECK_STR(r->digest, digest_of(b.a, ""));
	say(s, WRITE, 0, 0, NULL, "hello");
	r = hear(&b, s);
	CHECK(r->action == WRITE && r->offset == 5 && r->total == 11 && r->updated_at);
	CHECK_STR(r->digest, digest_of(b.a, "hello"));
	say(s, WRITE, 5, 0, NULL, " world");
	CHECK(hear(&b, s)->offset == 11);
	say(s, COMMIT, 11, 11, digest, NULL);
	r = hear(&b, s);
	CHECK(r->action == COMMIT && r->offset == 11 && r->started_at);
	CHECK_STR(r->digest, digest);
	CHECK_STR(hear(&b, s)->digest, digest); /* twice */
	CHECK(grpc_stream_recv(s, b.a, &none, &e) == 0);
	grpc_stream_free(s);

	s = open_write(&b);
	say(s, STAT, 0, 11, digest, NULL);
	fails(&b, s, ERR_ALREADY_EXISTS, arena_printf(b.a, "content %s: already exists", digest));
	close_bench(&b);
}

TEST(content_write_refusals)
{
	struct bench b;

	open_default(&b);
	struct grpc_stream *s = open_write(&b);

	say(s, WRITE, 0, 0, NULL, "abc");
	CHECK(hear(&b, s)->offset == 3);
	struct grpc_stream *other = open_write(&b);
	say(other, STAT, 0, 0, NULL, NULL);
	fails(&b, other, ERR_UNAVAILABLE, "ref ref locked for 0s: unavailable");
	say(s, WRITE, 0, 0, NULL, "wxyz"); /* from the start again */
	CHECK(hear(&b, s)->offset == 4);
	say(s, WRITE, 2, 0, NULL, "x");
	fails(&b, s, ERR_OUT_OF_RANGE, "write @2 must occur at current offset 4: out of range");

	/* resumed where it was; a wrong digest drops it */
	s = open_write(&b);
	say(s, STAT, 0, 0, NULL, NULL);
	CHECK(hear(&b, s)->offset == 4);
	say(s, COMMIT, 4, 4, digest_of(b.a, "other"), NULL);
	fails(&b, s, ERR_FAILED_PRECONDITION,
	      arena_printf(b.a, "unexpected commit digest %s, expected %s: failed precondition",
			   digest_of(b.a, "wxyz"), digest_of(b.a, "other")));
	s = open_write(&b);
	say(s, STAT, 0, 0, NULL, NULL);
	CHECK(hear(&b, s)->offset == 0);
	grpc_stream_free(s);
	close_bench(&b);
}

static char *put_blob(struct bench *b, const char *text)
{
	struct grpc_stream *s = open_write(b);
	char *digest = digest_of(b->a, text);

	say(s, COMMIT, 0, (int64_t)strlen(text), digest, text);
	CHECK_STR(hear(b, s)->digest, digest);
	hear(b, s);
	grpc_stream_free(s);
	return digest;
}

static const char *read_range(struct bench *b, const char *digest, int64_t from, int64_t size,
			      struct err *e)
{
	Containerd__Services__Content__V1__ReadContentRequest q;
	Containerd__Services__Content__V1__ReadContentResponse *r;
	struct grpc_stream *s;
	char *all = arena_alloc(b->a, 4096);
	size_t n = 0;
	int got;

	CONTENT(read_content_request__init)(&q);
	q.digest = (char *)digest;
	q.offset = from;
	q.size = size;
	CHECK_OK(grpc_stream_open(b->client, "/c/Read", &CONTENT(read_content_response__descriptor),
				  NULL, &s, e),
		 e);
	CHECK_OK(grpc_stream_send(s, &q.base, e), e);
	CHECK_OK(grpc_stream_close_send(s, e), e);
	while ((got = grpc_stream_recv(s, b->a, (void **)&r, e)) == 1) {
		CHECK(r->offset == (int64_t)n);
		memcpy(all + n, r->data.data, r->data.len);
		n += r->data.len;
	}
	grpc_stream_free(s);
	return got < 0 ? NULL : all;
}

TEST(content_read)
{
	struct bench b;
	struct err e = { 0 };
	Containerd__Services__Content__V1__InfoRequest q;
	Containerd__Services__Content__V1__InfoResponse *r;

	open_default(&b);
	char *digest = put_blob(&b, "0123456789");

	CHECK_STR(read_range(&b, digest, 0, 0, &e), "0123456789");
	CHECK_STR(read_range(&b, digest, 3, 4, &e), "3456");
	CHECK_STR(read_range(&b, digest, 8, 100, &e), "89");
	CHECK_STR(read_range(&b, digest, 10, 0, &e), "");
	CHECK(!read_range(&b, digest, 11, 0, &e) && e.code == ERR_OUT_OF_RANGE);
	CHECK_STR(e.msg, "read past object length 10 bytes: out of range");
	err_clear(&e);
	CHECK(!read_range(&b, digest_of(b.a, "no"), 0, 0, &e) && e.code == ERR_NOT_FOUND);

	CONTENT(info_request__init)(&q);
	q.digest = digest;
	CHECK_OK(call(&b, "/c/Info", &q, &CONTENT(info_response__descriptor), &r, &e), &e);
	CHECK(r->info->size == 10 && r->info->created_at->seconds > 0);
	close_bench(&b);
}

TEST(images)
{
	static const char *const topics[] = { "/images/create", "/images/update",
					      "/images/delete" };
	struct bench b;
	struct err e = { 0 };
	struct events_sub *sub;
	const struct event *ev;
	Containerd__Types__Descriptor target;
	Containerd__Services__Images__V1__Image img;
	Containerd__Services__Images__V1__CreateImageRequest create;
	Containerd__Services__Images__V1__UpdateImageRequest update;
	Containerd__Services__Images__V1__ListImagesRequest list;
	Containerd__Services__Images__V1__DeleteImageRequest del;
	Containerd__Services__Images__V1__CreateImageResponse *made;
	Containerd__Services__Images__V1__ListImagesResponse *all;
	void *none;
	char *filters[] = { (char *)"name~=bb", (char *)"labels.k==no" };

	open_default(&b);
	CHECK_OK(events_subscribe(b.en.events, NULL, 0, (events_wake_fn *)event_unrefp,
				  &(void *){ NULL }, &sub, &e),
		 &e);
	char *digest = put_blob(&b, "a manifest");

	containerd__types__descriptor__init(&target);
	IMAGE(image__init)(&img);
	IMAGE(create_image_request__init)(&create);
	target.digest = digest;
	target.size = 10;
	target.media_type = (char *)"m";
	img.name = (char *)"aabb";
	img.target = &target;
	create.image = &img;
	CHECK_OK(call(&b, "/i/Create", &create, &IMAGE(create_image_response__descriptor), &made,
		      &e),
		 &e);
	CHECK(made->image->created_at->seconds > 0 && made->image->target->size == 10);
	CHECK_FAIL(call(&b, "/i/Create", &create, &IMAGE(create_image_response__descriptor), &made,
			&e),
		   &e, ERR_ALREADY_EXISTS);
	CHECK_STR(e.msg, "image \"aabb\": already exists");

	IMAGE(update_image_request__init)(&update);
	update.image = &img;
	CHECK_OK(call(&b, "/i/Update", &update, &IMAGE(update_image_response__descriptor), &made,
		      &e),
		 &e);

	IMAGE(list_images_request__init)(&list);
	list.filters = filters;
	list.n_filters = 2;
	CHECK_OK(call(&b, "/i/List", &list, &IMAGE(list_images_response__descriptor), &all, &e),
		 &e);
	CHECK(all->n_images == 1);
	filters[0] = (char *)"name==a b";
	CHECK_FAIL(call(&b, "/i/List", &list, &IMAGE(list_images_response__descriptor), &all, &e),
		   &e, ERR_INVALID_ARGUMENT);

	/* sync: the blob is gone when the answer is here */
	IMAGE(delete_image_request__init)(&del);
	del.name = img.name;
	del.sync = true;
	CHECK_OK(call(&b, "/i/Delete", &del, &google__protobuf__empty__descriptor, &none, &e), &e);
	CHECK(!read_range(&b, digest, 0, 0, &e) && e.code == ERR_NOT_FOUND);

	CHECK(events_next(sub, &ev, &e) == 1);
	CHECK_STR(ev->topic, "/content/create");
	event_unref(ev);
	for (size_t i = 0; i < ARRAY_LEN(topics); i++) {
		CHECK(events_next(sub, &ev, &e) == 1);
		CHECK_STR(ev->topic, topics[i]);
		CHECK(strncmp(ev->type_url, "containerd.services.images.v1.Image", 35) == 0);
		event_unref(ev);
	}
	events_unsubscribe(sub);
	close_bench(&b);
}

TEST(snapshots)
{
	struct bench b;
	struct err e = { 0 };
	Containerd__Services__Snapshots__V1__PrepareSnapshotRequest q;
	Containerd__Services__Snapshots__V1__PrepareSnapshotResponse *r;
	Containerd__Services__Snapshots__V1__CommitSnapshotRequest commit;
	Containerd__Services__Snapshots__V1__ListSnapshotsRequest list;
	Containerd__Services__Snapshots__V1__ListSnapshotsResponse *all;
	struct grpc_stream *s;
	void *none;
	char *filters[] = { (char *)"kind==committed,name==n" };

	open_default(&b);
	SNAP(prepare_snapshot_request__init)(&q);
	q.key = (char *)"k";
	CHECK_FAIL(call(&b, "/s/Prepare", &q, &SNAP(prepare_snapshot_response__descriptor), &r, &e),
		   &e, ERR_INVALID_ARGUMENT);
	CHECK_STR(e.msg, "snapshotter argument missing: invalid argument");
	q.snapshotter = (char *)"native";
	CHECK_OK(call(&b, "/s/Prepare", &q, &SNAP(prepare_snapshot_response__descriptor), &r, &e),
		 &e);
	CHECK(r->n_mounts == 1 && r->mounts[0]->n_options == 2);
	CHECK_STR(r->mounts[0]->type, "bind");
	CHECK_STR(r->mounts[0]->options[0], "rw");
	CHECK_STR(r->mounts[0]->options[1], "rbind");

	SNAP(commit_snapshot_request__init)(&commit);
	commit.snapshotter = q.snapshotter;
	commit.key = q.key;
	commit.name = (char *)"n";
	commit.parent = (char *)"elsewhere";
	CHECK_FAIL(call(&b, "/s/Commit", &commit, &google__protobuf__empty__descriptor, &none, &e),
		   &e, ERR_UNIMPLEMENTED);
	commit.parent = (char *)"";
	CHECK_OK(call(&b, "/s/Commit", &commit, &google__protobuf__empty__descriptor, &none, &e),
		 &e);

	SNAP(list_snapshots_request__init)(&list);
	list.snapshotter = q.snapshotter;
	list.filters = filters;
	list.n_filters = 1;
	CHECK_OK(grpc_stream_open(b.client, "/s/List", &SNAP(list_snapshots_response__descriptor),
				  NULL, &s, &e),
		 &e);
	CHECK_OK(grpc_stream_send(s, &list.base, &e), &e);
	CHECK_OK(grpc_stream_close_send(s, &e), &e);
	CHECK(grpc_stream_recv(s, b.a, (void **)&all, &e) == 1 && all->n_info == 1);
	CHECK_STR(all->info[0]->name, "n");
	CHECK(grpc_stream_recv(s, b.a, &none, &e) == 0);
	grpc_stream_free(s);
	close_bench(&b);
}
