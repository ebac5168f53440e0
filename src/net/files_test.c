#include "net/files.h"

#include "base/test.h"

static json_object *json(const char *text)
{
	json_object *o = NULL;
	struct err e = { 0 };

	CHECK_OK(jsonr_parse(text, strlen(text), &o, &e), &e);
	return o;
}

#define HEAD                                          \
	"127.0.0.1\tlocalhost\n"                      \
	"::1\tlocalhost ip6-localhost ip6-loopback\n" \
	"ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"

TEST(hosts)
{
	AUTO_JSON json_object *result =
		json("{\"ips\":[{\"address\":\"10.1.0.2/24\"},{\"address\":\"fd00::2/64\"},"
		     "{\"address\":\"10.1.0.3 evil/24\"}, 7]}");
	struct str a AUTO_STR = STR_INIT(4096), b AUTO_STR = STR_INIT(4096);
	struct strv addresses AUTO_STRV = { 0 };

	files_addresses(result, &addresses);
	files_hosts(&addresses, "web", "c1", &a);
	CHECK_STR(str_c(&a), HEAD "10.1.0.2\tweb c1\nfd00::2\tweb c1\n");
	files_hosts(&addresses, "we\nb", "c1", &b);
	CHECK_STR(str_c(&b), HEAD "10.1.0.2\tc1\nfd00::2\tc1\n");
}

static void resolves(const char *wished, const char *given, const char *host, const char *want)
{
	AUTO_JSON json_object *w = wished ? json(wished) : NULL, *g = given ? json(given) : NULL;
	struct str out AUTO_STR = STR_INIT(4096);

	files_resolv(w, g, host, &out);
	CHECK_STR(str_c(&out), want);
}

TEST(resolv_conf)
{
	static const char host[] = "# made by hand\nnameserver 127.0.0.53\nnameserver 9.9.9.9\n"
				   "search a\nsearch b c\noptions edns0 trust-ad\n";

	resolves(NULL, NULL, host, "search b c\nnameserver 9.9.9.9\noptions edns0 trust-ad\n");
	resolves(NULL, "{\"nameservers\":[\"10.0.0.1\"],\"domain\":\"d\",\"search\":[\"e\"]}", host,
		 "search e\nnameserver 10.0.0.1\noptions edns0 trust-ad\n");
	resolves("{\"servers\":[\"8.8.8.8\",\"127.0.0.1\"],\"searches\":[\".\"],\"options\":["
		 "\"ndots:2\"]}",
		 "{\"nameservers\":[\"10.0.0.1\"]}", host,
		 "nameserver 8.8.8.8\nnameserver 127.0.0.1\noptions ndots:2\n");
	resolves("{\"servers\":[\"1.1.1.1\\nnameserver 6.6.6.6\"]}", NULL, "", "");
	CHECK(files_has_server(host) && !files_has_server("nameserver 127.0.0.53\n"));
}
