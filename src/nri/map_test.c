/* Messages as JSON of the runtime spec, and back. */
#include "nri/map.h"

#include "base/test.h"
#include "nri/pkg/api/v1alpha1/api.pb-c.h"

#define DESCRIPTOR(name) nri__pkg__api__v1alpha1__##name##__descriptor

/* What a plugin is told of a container: through the message and back it is the same. */
TEST(what_the_spec_says_survives)
{
	static const char text[] =
		"{\"id\":\"box\",\"state\":\"CONTAINER_RUNNING\",\"labels\":{\"a\":\"b\"},"
		"\"args\":[\"sh\",\"-c\"],\"env\":[\"A=1\"],"
		"\"mounts\":[{\"destination\":\"/d\",\"type\":\"bind\",\"options\":[\"ro\"]}],"
		"\"linux\":{\"devices\":[{\"path\":\"/dev/"
		"x\",\"type\":\"c\",\"major\":0,\"minor\":7,"
		"\"fileMode\":438,\"uid\":0}],\"resources\":{\"memory\":{\"limit\":-1,"
		"\"kernelTCP\":5,\"disableOOMKiller\":true},\"cpu\":{\"shares\":512,\"cpus\":\"0-"
		"1\"},"
		"\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":0}],\"unified\":{\"x\":\"y\"},"
		"\"pids\":{\"limit\":9}},\"oomScoreAdj\":-5,\"cgroupsPath\":\"/c\","
		"\"ioPriority\":{\"class\":\"IOPRIO_CLASS_BE\",\"priority\":3}},\"pid\":77,"
		"\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"hard\":18446744073709551615,\"soft\":0}"
		"],"
		"\"createdAt\":0,\"startedAt\":0,\"finishedAt\":0,\"exitCode\":0,"
		"\"user\":{\"uid\":1,\"gid\":2,\"additionalGids\":[3,4]}}";
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_JSON json_object *in = NULL, *out = NULL;
	struct err e = { 0 };

	CHECK_OK(jsonr_parse(text, sizeof text - 1, &in, &e), &e);
	const ProtobufCMessage *m = map_from_json(&DESCRIPTOR(container), in, a);
	uint8_t wire[2048];
	size_t n = protobuf_c_message_pack(m, wire);
	ProtobufCMessage *again = protobuf_c_message_unpack(&DESCRIPTOR(container), NULL, n, wire);

	CHECK(again);
	out = map_to_json(again);
	protobuf_c_message_free_unpacked(again, NULL);
	if (!json_object_equal(in, out))
		FAIL_("%s", json_object_to_json_string_ext(out, JSON_C_TO_STRING_PLAIN));
}

/* A config.json may hold what it likes under these names. */
TEST(wrong_types_are_left_out)
{
	static const char text[] =
		"{\"id\":7,\"args\":{},\"env\":[1,\"A=1\",null],\"labels\":[1],\"state\":\"none\","
		"\"linux\":{\"resources\":{\"memory\":{\"limit\":\"much\"},\"cpu\":3}},"
		"\"pid\":\"x\",\"mounts\":[[],{\"destination\":[]}]}";
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_JSON json_object *in = NULL;
	struct err e = { 0 };

	CHECK_OK(jsonr_parse(text, sizeof text - 1, &in, &e), &e);
	const Nri__Pkg__Api__V1alpha1__Container *c =
		(const void *)map_from_json(&DESCRIPTOR(container), in, a);

	CHECK_STR(c->id, "");
	CHECK(c->n_args == 0 && c->n_labels == 0 && c->state == 0 && c->pid == 0);
	CHECK(c->n_env == 1);
	CHECK_STR(c->env[0], "A=1");
	CHECK(c->linux->resources->memory && !c->linux->resources->memory->limit);
	CHECK(!c->linux->resources->cpu);
	CHECK(c->n_mounts == 1);
}
