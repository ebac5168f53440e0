/* A worker that was taken over: what it may say, and what the daemon's half makes of it. */
#include "image/serve.h"

#include "base/sha256.h"
#include "image/verify.h"
#include "oci/image.h"
#include "store/content.h"
#include "store/store_fixture.h"

#include <sys/stat.h>
#include <time.h>

#define NS "default"
#define HEX64(c) c c c c c c c c c c c c c c c c
#define DIFF1 "sha256:" HEX64("1111")
#define DIFF2 "sha256:" HEX64("2222")
#define STRANGER "sha256:" HEX64("cafe")

struct play {
	struct fixture f;
	struct transfer_job job;
	struct transfer_unpack unpack;
	struct session s;
	int worker; /* its end */
	const char *config, *manifest, *index, *evil_config, *evil_manifest;
	const char **chains;
};

static const char *blob(struct fixture *f, const char *text)
{
	const struct labels none = { 0 };
	struct err e = { 0 };
	struct ingest *in;
	char digest[72];

	CHECK_OK(ingest_open(f->s, NS, NULL, text, 0, NULL, &in, &e), &e);
	CHECK_OK(ingest_write(in, text, strlen(text), &e), &e);
	CHECK_OK(ingest_commit(in, 0, NULL, &none, digest, &e), &e);
	ingest_close(in);
	return arena_strdup(f->a, digest);
}

static const char *manifest_of(struct fixture *f, const char *config)
{
	return blob(f, arena_printf(f->a,
				    "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"%s\","
				    "\"digest\":\"%s\",\"size\":9},\"layers\":[]}",
				    MEDIA_OCI_CONFIG, config));
}

static void play_open(struct play *p)
{
	static const char *const diffs[] = { DIFF1, DIFF2 };
	int pair[2];

	*p = (struct play){ .f = fixture_open(), .unpack = { .snapshotter = "native" } };
	p->config = blob(&p->f, "{\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":"
				"[\"" DIFF1 "\",\"" DIFF2 "\"]}}");
	p->evil_config = blob(&p->f, "{\"author\":\"me\",\"os\":\"linux\",\"rootfs\":{\"type\":"
				     "\"layers\",\"diff_ids\":[\"" DIFF1 "\",\"" DIFF2 "\"]}}");
	p->manifest = manifest_of(&p->f, p->config);
	p->evil_manifest = manifest_of(&p->f, p->evil_config);
	p->index = blob(&p->f, arena_printf(p->f.a,
					    "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":"
					    "\"%s\",\"digest\":\"%s\",\"size\":9}]}",
					    MEDIA_OCI_MANIFEST, p->manifest));
	p->chains = image_chain_ids(p->f.a, diffs, 2);
	CHECK(channel_pair(pair) == 0);
	p->worker = pair[1];
	p->job = (struct transfer_job){ .store = p->f.s,
					.ns = NS,
					.kind = TRANSFER_PULL,
					.pull = { .reference = "example.com/asked" },
					.unpacks = &p->unpack,
					.n_unpacks = 1 };
	p->s = (struct session){ .job = &p->job, .sock = pair[0], .pidfd = -1 };
}

static void play_close(struct play *p)
{
	session_end(&p->s);
	close(p->s.sock);
	close(p->worker);
	fixture_close(&p->f);
}

/* What serve_packet() says of one packet. */
static int tell(struct play *p, const char *json, struct err *e)
{
	AUTO_PACKET struct channel_packet packet = { 0 };
	struct transfer_result result;
	bool failed;

	CHECK_OK(jsonr_parse(json, strlen(json), &packet.json, e), e);
	return serve_packet(&p->s, &packet, p->f.a, &result, &failed, e);
}

/* A request and its answer: 0, or -1 with the error in it. */
static int ask(struct play *p, const char *json, struct err *e)
{
	AUTO_PACKET struct channel_packet answer = { 0 };

	CHECK_OK(tell(p, json, e), e);
	CHECK(channel_recv(p->worker, &answer, e) == 1);
	return channel_read_err(answer.json, e) ? -1 : 0;
}

static void prepare(struct play *p, const char *key, const char *parent)
{
	struct err e = { 0 };

	CHECK_OK(ask(p,
		     arena_printf(p->f.a,
				  "{\"op\":\"snapshot_prepare\",\"snapshotter\":\"native\","
				  "\"key\":\"%s\",\"parent\":\"%s\",\"target\":\"x\"}",
				  key, parent),
		     &e),
		 &e);
}

struct want {
	const char *key, *name, *parent, *manifest, *config;
};

static int commit(struct play *p, const struct want *w, struct err *e)
{
	err_clear(e);
	return ask(p,
		   arena_printf(p->f.a,
				"{\"op\":\"snapshot_commit\",\"snapshotter\":\"native\","
				"\"key\":\"%s\",\"name\":\"%s\",\"parent\":\"%s\","
				"\"manifest\":\"%s\",\"config\":\"%s\",\"synced\":true}",
				w->key, w->name, w->parent, w->manifest, w->config),
		   e);
}

static int verify(struct play *p, const char *name, const char *digest, struct err *e)
{
	err_clear(e);
	return ask(p,
		   arena_printf(p->f.a,
				"{\"op\":\"verify\",\"name\":\"%s\",\"target\":{\"mediaType\":"
				"\"%s\",\"digest\":\"%s\",\"size\":9}}",
				name, MEDIA_OCI_INDEX, digest),
		   e);
}

TEST(a_snapshot_is_a_layer_of_the_config)
{
	struct err e = { 0 };
	struct play p;

	play_open(&p);
	const char *one = p.chains[0], *two = p.chains[1];
	const struct want wrong[] = {
		{ "a", STRANGER, "", p.manifest, p.config }, /* of no layer */
		{ "a", two, "", p.manifest, p.config }, /* without what is below */
		{ "a", one, two, p.manifest, p.config },
	};

	prepare(&p, "a", "");
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		CHECK_FAIL(commit(&p, &wrong[i], &e), &e, ERR_PERMISSION_DENIED);
	const struct want none = { "a", one, "", p.manifest, STRANGER };
	CHECK_FAIL(commit(&p, &none, &e), &e, ERR_NOT_FOUND);
	const struct want good = { "a", one, "", p.manifest, p.config };
	CHECK_OK(commit(&p, &good, &e), &e);

	/* What it was prepared on counts, whatever the commit says. */
	prepare(&p, "b", one);
	const struct want moved = { "b", one, "", p.manifest, p.config };
	CHECK_FAIL(commit(&p, &moved, &e), &e, ERR_PERMISSION_DENIED);
	const struct want top = { "b", two, "", p.manifest, p.config };
	CHECK_OK(commit(&p, &top, &e), &e);
	play_close(&p);
}

TEST(nothing_is_unpacked_before_it_is_verified)
{
	static const struct verifier v = { .bin_dir = "", .policy = "" };
	struct err e = { 0 };
	struct play p;

	play_open(&p);
	p.job.verifier = &v;
	const struct want good = { "a", p.chains[0], "", p.manifest, p.config };
	prepare(&p, "a", "");
	CHECK_FAIL(commit(&p, &good, &e), &e, ERR_PERMISSION_DENIED);
	CHECK_OK(verify(&p, "", p.index, &e), &e);

	/* Equal layers, of an image that nobody has looked at. */
	const struct want evil[] = {
		{ "a", p.chains[0], "", p.evil_manifest, p.evil_config },
		{ "a", p.chains[0], "", p.manifest, p.evil_config },
	};
	for (size_t i = 0; i < ARRAY_LEN(evil); i++)
		CHECK_FAIL(commit(&p, &evil[i], &e), &e, ERR_PERMISSION_DENIED);
	CHECK_OK(commit(&p, &good, &e), &e);
	play_close(&p);
}

/* The name that the policy is asked about is the job's. */
TEST(the_worker_does_not_choose_the_name)
{
	char dir[] = "/tmp/casco-verifier-XXXXXX";
	struct verifier v = { .max_verifiers = -1, .timeout = 10000000000u, .policy = "" };
	struct err e = { 0 };
	struct play p;

	CHECK(mkdtemp(dir));
	v.bin_dir = dir;
	AUTO_FREE char *path = xasprintf("%s/only-asked", dir);
	static const char script[] = "#!/bin/sh\n[ \"$2\" = example.com/asked:latest ]\n";
	CHECK(file_replace(AT_FDCWD, path, script, strlen(script), 0700, false) == 0);
	play_open(&p);
	p.job.verifier = &v;
	CHECK_OK(verify(&p, "example.com/trusted:1", p.index, &e), &e);
	p.job.pull.reference = "example.com/other";
	CHECK_FAIL(verify(&p, "example.com/asked:latest", p.manifest, &e), &e,
		   ERR_PERMISSION_DENIED);
	p.job.pull.reference = "example.com/asked@" STRANGER;
	CHECK_FAIL(verify(&p, "example.com/asked:latest", p.index, &e), &e, ERR_PERMISSION_DENIED);
	play_close(&p);
	CHECK(file_remove_tree(AT_FDCWD, dir) == 0);
}

static int done(struct play *p, const char *name, const char *digest, struct err *e)
{
	err_clear(e);
	return tell(p,
		    arena_printf(p->f.a,
				 "{\"op\":\"done\",\"images\":[{\"name\":\"%s\",\"target\":{"
				 "\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":9}}]}",
				 name, MEDIA_OCI_INDEX, digest),
		    e);
}

TEST(what_was_pulled_has_the_name_and_digest_that_were_asked_for)
{
	static const struct verifier v = { .bin_dir = "", .policy = "" };
	struct err e = { 0 };
	struct play p;

	play_open(&p);
	CHECK_OK(done(&p, "example.com/asked:latest", p.index, &e), &e);
	CHECK_FAIL(done(&p, "example.com/trusted:1", p.index, &e), &e, ERR_PERMISSION_DENIED);
	p.job.pull.reference = "example.com/asked@" STRANGER;
	CHECK_FAIL(done(&p, "example.com/asked@" STRANGER, p.index, &e), &e, ERR_PERMISSION_DENIED);
	p.job.pull.reference = "example.com/asked";
	p.job.verifier = &v;
	CHECK_FAIL(done(&p, "example.com/asked:latest", p.index, &e), &e, ERR_PERMISSION_DENIED);
	play_close(&p);
}

TEST(a_pull_brings_one_image_and_nothing_beside)
{
	static const char image[] = "{\"name\":\"example.com/asked:latest\",\"target\":{"
				    "\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":9}}";
	static const char root[] =
		"\"root\":{\"mediaType\":\"%s\",\"digest\":\"" STRANGER "\",\"size\":9}";
	struct err e = { 0 };
	struct play p;

	play_open(&p);
	struct arena *a = p.f.a;
	const char *one = arena_printf(a, image, MEDIA_OCI_INDEX, p.index);
	const char *evil = arena_printf(a, root, MEDIA_OCI_INDEX);
	const char *const sent[] = {
		arena_printf(a, "{\"op\":\"done\",\"images\":[],%s}", evil),
		arena_printf(a, "{\"op\":\"done\",\"images\":[%s,%s],%s}", one, one, evil),
		arena_printf(a, "{\"op\":\"done\",\"images\":[%s],%s}", one, evil),
		arena_printf(a, "{\"op\":\"done\",\"images\":[%s,%s]}", one, one),
		"{\"op\":\"done\",\"images\":[]}",
	};
	for (size_t i = 0; i < ARRAY_LEN(sent); i++) {
		err_clear(&e);
		CHECK_FAIL(tell(&p, sent[i], &e), &e, ERR_PERMISSION_DENIED);
	}
	err_clear(&e);
	CHECK_OK(tell(&p, arena_printf(a, "{\"op\":\"done\",\"images\":[%s]}", one), &e), &e);
	play_close(&p);
}

/* What was let in is forgotten when it is gone, and not while it may still come. */
TEST(marks_of_images_that_are_gone)
{
	static const struct timespec long_ago[] = { { 1, 0 }, { 1, 0 } };
	char dir[] = "/tmp/casco-marks-XXXXXX";
	struct verifier v = { .policy = "/p", .marks = dir };
	struct play p;

	CHECK(mkdtemp(dir));
	play_open(&p);
	const char *const names[] = { p.index, STRANGER, DIFF1 };
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		AUTO_FREE char *path = xasprintf("%s/%s", dir, names[i]);

		CHECK(file_replace(AT_FDCWD, path, "x", 1, 0600, false) == 0);
		if (i < 2)
			CHECK(utimensat(AT_FDCWD, path, long_ago, 0) == 0);
	}
	verifier_sweep(&v, p.f.s);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		AUTO_FREE char *path = xasprintf("%s/%s", dir, names[i]);

		CHECK((access(path, F_OK) == 0) == (i != 1));
	}
	play_close(&p);
	CHECK(file_remove_tree(AT_FDCWD, dir) == 0);
}
