#include "net/cni.h"

#include "base/mem.h"
#include "base/test.h"
#include "os/file.h"

#include <fcntl.h>
#include <stdlib.h>

static struct cni_net *parse(const char *text, bool is_list)
{
	struct cni_net *net = NULL;
	struct err e = { 0 };

	CHECK_OK(cni_net_parse(text, strlen(text), is_list, NULL, &net, &e), &e);
	return net;
}

static void refuses(const char *text, bool is_list, const char *sentence)
{
	struct cni_net *net = NULL;
	struct err e = { 0 };

	CHECK_FAIL(cni_net_parse(text, strlen(text), is_list, NULL, &net, &e), &e,
		   ERR_INVALID_ARGUMENT);
	CHECK_STR(e.msg, sentence);
}

TEST(lists)
{
	AUTO_CNI_NET struct cni_net *net = parse(
		"{\"cniVersion\":\"0.4.0\",\"name\":\"a.b\",\"disableCheck\":true,\"plugins\":["
		"{\"type\":\"bridge\"},{\"type\":\"portmap\"}]}",
		true);

	CHECK_STR(net->name, "a.b");
	CHECK_STR(net->version, "0.4.0");
	CHECK(json_object_array_length(net->plugins) == 2);
	CHECK(net->no_check && !net->no_gc);
	CHECK(cni_net_has(net, 0, 4) && !cni_net_has(net, 1, 0));
}

TEST(a_single_one_becomes_a_list)
{
	AUTO_CNI_NET struct cni_net *net = parse(
		"{\"cniVersion\":\"1.0.0\",\"name\":\"one\",\"type\":\"ptp\",\"mtu\":1400}", false);

	CHECK_STR(net->text,
		  "{\"name\":\"one\",\"cniVersion\":\"1.0.0\",\"plugins\":[{"
		  "\"cniVersion\":\"1.0.0\",\"name\":\"one\",\"type\":\"ptp\",\"mtu\":1400}]}");
}

TEST(the_newest_version_counts)
{
	AUTO_CNI_NET struct cni_net *net =
		parse("{\"cniVersion\":\"0.4.0\",\"cniVersions\":[\"0.3.1\",\"1.1.0\",\"9.0.0\"],"
		      "\"name\":\"n\",\"plugins\":[{\"type\":\"x\"}]}",
		      true);

	CHECK_STR(net->version, "1.1.0");
	CHECK(cni_net_has(net, 1, 1) && cni_net_has(net, 0, 4));
}

TEST(what_is_no_network)
{
	refuses("[]", true, "the document is no object");
	refuses("{\"cniVersion\":\"1.0.0\",\"plugins\":[{\"type\":\"x\"}]}", true,
		"missing network name");
	refuses("{\"cniVersion\":\"1.0.0\",\"name\":\"../x\",\"plugins\":[{\"type\":\"x\"}]}", true,
		"invalid characters found in network name: ../x");
	refuses("{\"cniVersion\":\"1.0.0\",\"name\":\"x\",\"plugins\":[]}", true,
		"no plugins in list");
	refuses("{\"cniVersion\":\"1.0.0\",\"name\":\"x\",\"plugins\":[{}]}", true,
		"failed to parse plugin config 0: missing 'type'");
	refuses("{\"cniVersion\":\"1.0.0\",\"name\":\"x\",\"plugins\":[7]}", true,
		"plugin 0 is no object");
	refuses("{\"cniVersion\":\"0.2.0\",\"name\":\"x\",\"plugins\":[{\"type\":\"x\"}]}", true,
		"cniVersion \"0.2.0\" is not supported (0.3.0 to 1.1.0 are)");
}

TEST(names_from_outside)
{
	static const char *const bad_ids[] = { "", "-a", ".", "..", "a/b", "a b", "a\n", "a;b" };
	static const char *const bad_ifs[] = { "",    ".",   "..",   "a/b",
					       "a:b", "a b", "a\tb", "sixteen-letters." };
	struct err e = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(bad_ids); i++, err_clear(&e))
		CHECK_FAIL(cni_check_container(bad_ids[i], &e), &e, ERR_INVALID_ARGUMENT);
	for (size_t i = 0; i < ARRAY_LEN(bad_ids); i++, err_clear(&e))
		CHECK_FAIL(cni_check_network(bad_ids[i], &e), &e, ERR_INVALID_ARGUMENT);
	for (size_t i = 0; i < ARRAY_LEN(bad_ifs); i++, err_clear(&e))
		CHECK_FAIL(cni_check_ifname(bad_ifs[i], &e), &e, ERR_INVALID_ARGUMENT);
	CHECK_OK(cni_check_container("default-a.b_c-9", &e), &e);
	CHECK_OK(cni_check_ifname("fifteen-letters", &e), &e);
}

static void put(const char *dir, const char *name, const char *text)
{
	AUTO_FREE char *path = xasprintf("%s/%s", dir, name);

	CHECK(file_replace(AT_FDCWD, path, text, strlen(text), 0600, false) == 0);
}

TEST(the_folder)
{
	char dir[] = "/tmp/casco-cni-test-XXXXXX";
	AUTO_CNI_NET struct cni_net *net = NULL;
	struct err e = { 0 };

	CHECK(mkdtemp(dir));
	struct cni_env env = CNI_ENV_DEFAULT;
	AUTO_FREE char *sub = xasprintf("%s/two", dir);

	env.conf_dir = dir;
	CHECK_FAIL(cni_net_load(&env, NULL, &net, &e), &e, ERR_NOT_FOUND);
	CHECK(strstr(e.msg, "no network config found in ") == e.msg);
	err_clear(&e);
	put(dir, "20-b.conflist",
	    "{\"cniVersion\":\"1.0.0\",\"name\":\"two\",\"plugins\":[{\"type\":\"x\"}]}");
	put(dir, "10-a.conf", "{\"cniVersion\":\"1.0.0\",\"name\":\"one\",\"type\":\"y\"}");
	put(dir, "00-readme.txt", "no configuration");
	CHECK_OK(cni_net_load(&env, NULL, &net, &e), &e);
	CHECK_STR(net->name, "one");
	cni_net_free(TAKE_PTR(net));
	CHECK(file_mkdirs(sub, 0700) >= 0);
	put(sub, "x.conf", "{\"type\":\"more\"}");
	CHECK_OK(cni_net_load(&env, "two", &net, &e), &e);
	CHECK(json_object_array_length(net->plugins) == 2);
	cni_net_free(TAKE_PTR(net));
	CHECK_FAIL(cni_net_load(&env, "three", &net, &e), &e, ERR_NOT_FOUND);
	CHECK(strstr(e.msg, "no net configuration with name \"three\" in ") == e.msg);
	err_clear(&e);
	/* a broken file stands in the way of the default, not of another one's name */
	put(dir, "05-broken.json", "{");
	CHECK_FAIL(cni_net_load(&env, NULL, &net, &e), &e, ERR_INVALID_ARGUMENT);
	err_clear(&e);
	CHECK_OK(cni_net_load(&env, "one", &net, &e), &e);
	CHECK(file_remove_tree(AT_FDCWD, dir) == 0);
}

static int count(UNUSED json_object *doc, void *arg, UNUSED struct err *e)
{
	++*(int *)arg;
	return 0;
}

TEST(the_cache)
{
	char dir[] = "/tmp/casco-cni-test-XXXXXX";
	AUTO_CNI_NET struct cni_net *net = parse(
		"{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"plugins\":[{\"type\":\"x\"}]}", true);
	AUTO_JSON json_object *result = json_object_new_object(), *doc = NULL;
	const struct cni_attachment at = {
		.container = "default-c", .netns = "/x", .ifname = "eth0", .args = "A=1;B=2"
	};
	struct cni_env env = CNI_ENV_DEFAULT;
	struct err e = { 0 };
	int n = 0;

	CHECK(mkdtemp(dir));
	env.cache_dir = dir;
	CHECK(cni_cache_read(&env, "n", "default-c", "eth0", &doc, &e) == 0);
	CHECK_OK(cni_cache_write(&env, net, &at, result, &e), &e);
	CHECK(cni_cache_read(&env, "n", "default-c", "eth0", &doc, &e) == 1);
	CHECK_STR(json_object_to_json_string_ext(doc, JSON_C_TO_STRING_PLAIN |
							      JSON_C_TO_STRING_NOSLASHESCAPE),
		  "{\"kind\":\"cniCacheV1\",\"containerId\":\"default-c\",\"config\":"
		  "\"eyJjbmlWZXJzaW9uIjoiMS4wLjAiLCJuYW1lIjoibiIsInBsdWdpbnMiOlt7InR5cGUiOiJ4In1d"
		  "fQ==\",\"ifName\":\"eth0\",\"networkName\":\"n\",\"netns\":\"/x\",\"cniArgs\":"
		  "[[\"A\",\"1\"],[\"B\",\"2\"]],\"result\":{}}");
	CHECK_OK(cni_cache_list(&env, "n", "default-c", count, &n, &e), &e);
	CHECK_OK(cni_cache_list(&env, "n", "default", count, &n, &e), &e);
	CHECK_OK(cni_cache_list(&env, NULL, "default-d", count, &n, &e), &e);
	CHECK(n == 1);
	CHECK_FAIL(cni_cache_read(&env, "n", "../../x", "eth0", &doc, &e), &e,
		   ERR_INVALID_ARGUMENT);
	err_clear(&e);
	CHECK_OK(cni_cache_remove(&env, "n", "default-c", "eth0", &e), &e);
	CHECK_OK(cni_cache_remove(&env, "n", "default-c", "eth0", &e), &e);
	CHECK(file_remove_tree(AT_FDCWD, dir) == 0);
}
