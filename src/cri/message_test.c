/* The interface's messages as data. */
#include "cri/message.h"

#include "base/test.h"

#include <string.h>

static Runtime__V1__PodSandboxConfig__LabelsEntry label(const char *k, const char *v)
{
	Runtime__V1__PodSandboxConfig__LabelsEntry l;

	runtime__v1__pod_sandbox_config__labels_entry__init(&l);
	l.key = (char *)k;
	l.value = (char *)v;
	return l;
}

TEST(json_is_as_go_writes_it)
{
	AUTO_ARENA struct arena *a = arena_new();
	Runtime__V1__PodSandboxConfig__LabelsEntry l = label("a\"b", "c"), *labels[] = { &l };
	CRI(PodSandboxMetadata) m = RUNTIME__V1__POD_SANDBOX_METADATA__INIT;
	CRI(PodSandboxConfig) c = RUNTIME__V1__POD_SANDBOX_CONFIG__INIT;
	CRI(PortMapping) port = RUNTIME__V1__PORT_MAPPING__INIT, *ports[] = { &port };
	CRI(KeyValue) env = RUNTIME__V1__KEY_VALUE__INIT;

	CHECK_STR(message_json_text(a, &c.base), "{}");
	m.name = (char *)"n";
	m.attempt = 3;
	port.protocol = RUNTIME__V1__PROTOCOL__UDP;
	port.host_port = -1;
	c.metadata = &m;
	c.labels = labels;
	c.n_labels = 1;
	c.port_mappings = ports;
	c.n_port_mappings = 1;
	CHECK_STR(message_json_text(a, &c.base),
		  "{\"metadata\":{\"name\":\"n\",\"attempt\":3},"
		  "\"port_mappings\":[{\"protocol\":1,\"host_port\":-1}],"
		  "\"labels\":{\"a\\\"b\":\"c\"}}");
	env.key = (char *)"K";
	env.value = (ProtobufCBinaryData){ 3, (uint8_t *)(char[]){ 'a', 0, 'b' } };
	CHECK_STR(message_json_text(a, &env.base), "{\"key\":\"K\",\"value\":\"YQBi\"}");
}

TEST(a_copy_is_whole_and_its_own)
{
	AUTO_ARENA struct arena *a = arena_new();
	CRI(LinuxContainerResources) r = RUNTIME__V1__LINUX_CONTAINER_RESOURCES__INIT;
	CRI(LinuxContainerResources) * copy;
	char cpus[] = "0-3";
	struct any packed;

	r.cpuset_cpus = cpus;
	r.memory_limit_in_bytes = -5;
	copy = message_copy(a, &r.base);
	cpus[0] = '9';
	CHECK_STR(copy->cpuset_cpus, "0-3");
	CHECK(copy->memory_limit_in_bytes == -5);
	packed = message_pack(a, &r.base);
	CHECK_STR(packed.type_url, "runtime.v1.LinuxContainerResources");
	/* bytes that were cut off are no message */
	CHECK(!message_unpack(a, CRI_TYPE(linux_container_resources), packed.value, packed.n - 1));
}

TEST(maps)
{
	AUTO_ARENA struct arena *a = arena_new();
	Runtime__V1__PodSandboxConfig__LabelsEntry e[] = { label("a", "1"), label("b", "2"),
							   label("a", "3") },
						   *v[] = { &e[0], &e[1], &e[2] },
						   *one[] = { &e[0] };
	struct labels l = message_map_labels(a, ARRAY_LEN(v), v);

	CHECK_STR(message_map_get(ARRAY_LEN(v), v, "a"), "3"); /* the last one counts */
	CHECK(!message_map_get(ARRAY_LEN(v), v, "c"));
	CHECK(message_map_has(ARRAY_LEN(v), v, 0, NULL));
	CHECK(message_map_has(ARRAY_LEN(v), v, 1, &v[1]));
	CHECK(!message_map_has(ARRAY_LEN(v), v, 1, one));
	CHECK(l.n == 2);
	CHECK_STR(labels_get(&l, "a"), "3");
}
