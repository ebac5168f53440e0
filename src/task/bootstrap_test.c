#include "task/internal.h"

#include "base/test.h"

TEST(bootstrap_takes_three_kinds_of_answers)
{
	static const struct {
		const char *out;
		int version;
		const char *address, *error;
	} cases[] = {
		{ "unix:///run/containerd/s/ab", 2, "unix:///run/containerd/s/ab", NULL },
		{ "unix:///run/s/ab\n", 2, "unix:///run/s/ab", NULL },
		{ "{\"version\":3,\"address\":\"unix:///s\",\"protocol\":\"ttrpc\"}", 3,
		  "unix:///s", NULL },
		{ "{\"version\":2,\"address\":\"unix:///s\"}", 2, "unix:///s", NULL },
		{ "\x08\x03\x12\x09unix:///s\x1a\x05ttrpc", 3, "unix:///s", NULL },
		{ "{\"version\":4,\"address\":\"unix:///s\"}", 0, NULL,
		  "unsupported shim version (4)" },
		{ "{\"version\":3,\"address\":\"unix:///s\",\"protocol\":\"grpc\"}", 0, NULL,
		  "unsupported shim protocol \"grpc\"" },
		{ "{\"version\":3,\"address\":\"vsock://1\"}", 0, NULL,
		  "unsupported shim address \"vsock://1\": must be unix:///path" },
		{ "unix://relative", 0, NULL,
		  "unsupported shim address \"unix://relative\": must be unix:///path" },
		{ "\n", 0, NULL, "shim answered nothing" },
		{ "panic: no", 0, NULL, "shim answered \"panic: no\"" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct bootstrap b;
		struct err e = { 0 };
		int r = bootstrap_parse(cases[i].out, strlen(cases[i].out), &b, &e);

		if (cases[i].error) {
			CHECK(r == -1);
			CHECK_STR(e.msg, cases[i].error);
			continue;
		}
		CHECK(r == 0);
		CHECK(b.version == cases[i].version);
		CHECK_STR(b.address, cases[i].address);
	}
}

TEST(a_runtime_name_is_two_parts_or_a_program)
{
	static const struct {
		const char *name, *error;
	} cases[] = {
		{ "io.containerd.nope.v9",
		  "failed to resolve runtime path: runtime \"io.containerd.nope.v9\" binary not "
		  "installed \"containerd-shim-nope-v9\": file does not exist" },
		{ "runc", "invalid runtime name runc, correct runtime name should be either format "
			  "like `io.containerd.runc.v2` or a full path to the binary" },
		{ "a/../b.c",
		  "invalid runtime name a/../b.c, correct runtime name should be either "
		  "format like `io.containerd.runc.v2` or a full path to the binary" },
		{ "/etc/passwd", "invalid custom binary path: /etc/passwd is no program" },
	};
	char *path = NULL;
	struct err e = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		err_clear(&e);
		CHECK(runtime_to_shim(cases[i].name, "/nowhere/containerd", &path, &e) == -1);
		CHECK_STR(e.msg, cases[i].error);
	}
	err_clear(&e);
	CHECK(runtime_to_shim("/bin/sh", "/nowhere/containerd", &path, &e) == 0);
	CHECK_STR(path, "/bin/sh");
	free(path);
}
