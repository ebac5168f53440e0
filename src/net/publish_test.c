#include "net/publish.h"

#include "base/test.h"

#include <string.h>

static void prints(const char *const *texts, const char *want)
{
	AUTO_JSON json_object *ports = json_object_new_array();
	struct str out AUTO_STR = STR_INIT(4096);
	struct err e = { 0 };

	for (; *texts; texts++)
		CHECK_OK(publish_parse(*texts, ports, &e), &e);
	publish_print(ports, &out);
	CHECK_STR(str_c(&out), want);
}
#define PRINTS(want, ...) prints((const char *const[]){ __VA_ARGS__, NULL }, want)

TEST(what_is_published)
{
	PRINTS("8080->80/tcp", "8080:80");
	PRINTS("127.0.0.1:53->5353/udp", "127.0.0.1:53:5353/udp");
	PRINTS("[::1]:53->53/sctp", "[::1]:53:53/sctp");
	PRINTS("8000-8010->9000-9010/tcp, 1->1/udp", "8000-8010:9000-9010", "1:1/udp");
	PRINTS("80-81->80-81/tcp, 83->83/tcp", "80:80", "81:81", "83:83");
	PRINTS("80->80/tcp, 81->81/udp", "80:80", "81:81/udp");
}

TEST(the_document)
{
	AUTO_JSON json_object *ports = json_object_new_array();
	struct err e = { 0 };

	CHECK_OK(publish_parse("10.0.0.1:8080:80", ports, &e), &e);
	CHECK_STR(json_object_to_json_string_ext(ports, JSON_C_TO_STRING_PLAIN),
		  "[{\"hostPort\":8080,\"containerPort\":80,\"protocol\":\"tcp\",\"hostIP\":"
		  "\"10.0.0.1\"}]");
}

TEST(what_is_none)
{
	static const char *const rows[] = { "",
					    "80",
					    "80:",
					    ":80",
					    "0:80",
					    "80:65536",
					    "80:80/icmp",
					    "80:80/",
					    "80-79:1-2",
					    "80-90:1-2",
					    "a:80:80",
					    "::1:80:80",
					    "[1.2.3.4]:80:80",
					    "[::1]80:80",
					    "1-2-3:1-2-3",
					    "80:+80",
					    "1-5000:1-5000",
					    "300.1.1.1:80:80",
					    "80 :80",
					    "80:80/tcp/udp" };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_JSON json_object *ports = json_object_new_array();
		struct err e = { 0 };

		if (publish_parse(rows[i], ports, &e) == 0)
			FAIL_("%s: should fail", rows[i]);
		CHECK(e.code == ERR_INVALID_ARGUMENT);
		CHECK(json_object_array_length(ports) == 0);
	}
}

TEST(rates)
{
	static const struct {
		const char *text;
		uint64_t bits;
	} rows[] = { { "1", 1 },
		     { "500k", 500000 },
		     { "500K", 500000 },
		     { "10M", 10000000 },
		     { "2G", 2000000000 },
		     { "64Ki", 65536 },
		     { "1Mi", 1048576 },
		     { "0", 0 },
		     { "", 0 },
		     { "M", 0 },
		     { "1m", 0 },
		     { "1MB", 0 },
		     { "-1", 0 },
		     { "1.5M", 0 },
		     { "1Ki ", 0 },
		     { "99999999999999999G", 0 } };
	uint64_t bits;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int r = publish_parse_rate(rows[i].text, &bits);

		if (rows[i].bits ? r < 0 || bits != rows[i].bits : r == 0)
			FAIL_("%s: %d", rows[i].text, r);
	}
}

TEST(default_address)
{
	AUTO_JSON json_object *ports = json_object_new_array();
	AUTO_STR struct str out = STR_INIT(200);
	struct err e = { 0 };

	CHECK_OK(publish_parse("80:80", ports, &e), &e);
	CHECK_OK(publish_parse("192.0.2.1:81:81", ports, &e), &e);
	json_object_array_add(ports, json_tokener_parse("{\"hostPort\":82,\"containerPort\":82}"));
	json_object_array_add(ports, json_object_new_int(5));
	publish_set_address(ports, "127.0.0.1");
	publish_print(ports, &out);
	CHECK_STR(str_c(&out), "127.0.0.1:80->80/tcp, 192.0.2.1:81->81/tcp, 127.0.0.1:82->82/tcp");
}

TEST(addresses)
{
	struct err e = { 0 };

	CHECK_OK(publish_check_ip("10.1.2.3", &e), &e);
	CHECK_OK(publish_check_ip("10.1.2.3/24", &e), &e);
	CHECK_OK(publish_check_ip("fd00::3/64", &e), &e);
	CHECK_FAIL(publish_check_ip("10.1.2.3/33", &e), &e, ERR_INVALID_ARGUMENT);
	err_clear(&e);
	CHECK_FAIL(publish_check_ip("10.1.2", &e), &e, ERR_INVALID_ARGUMENT);
	err_clear(&e);
	CHECK_OK(publish_check_mac("02:00:00:00:00:0A", &e), &e);
	CHECK_FAIL(publish_check_mac("02:00:00:00:00", &e), &e, ERR_INVALID_ARGUMENT);
	err_clear(&e);
	CHECK_FAIL(publish_check_mac("02:00:00:00:00:0g", &e), &e, ERR_INVALID_ARGUMENT);
}
