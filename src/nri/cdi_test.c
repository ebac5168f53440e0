#include "nri/cdi.h"

#include "base/mem.h"
#include "base/test.h"
#include "os/file.h"

#include <fcntl.h>

static void put(const char *folder, const char *name, const char *text)
{
	AUTO_FREE char *path = xasprintf("%s/%s", folder, name);

	CHECK(file_replace(AT_FDCWD, path, text, strlen(text), 0600, false) == 0);
}

static int apply(const char *folder, const char *device, json_object *spec, struct err *e)
{
	const char *const folders[] = { folder, NULL };

	return cdi_apply(folders, &device, 1, spec, e);
}

TEST(files_of_both_forms)
{
	char folder[] = "/tmp/casco-cdi-XXXXXX";
	AUTO_JSON json_object *spec = json_object_new_object();
	struct err e = { 0 };

	CHECK(mkdtemp(folder));
	put(folder, "a.json",
	    "{\"cdiVersion\":\"0.6.0\",\"kind\":\"x.y/"
	    "json\",\"devices\":[{\"name\":\"one\",\"containerEdits\":{\"env\":[\"J=1\"]}}]}");
	put(folder, "b.yaml",
	    "cdiVersion: 0.6.0\nkind: x.y/yaml\ndevices:\n- name: 0\n  containerEdits:\n    "
	    "deviceNodes:\n"
	    "    - {path: /dev/mine, hostPath: /dev/null, fileMode: 0640}\ncontainerEdits:\n  env: "
	    "[Y=2]\n");
	put(folder, "c.yml", "no: [such, file\n"); /* is no CDI file by its name */
	CHECK_OK(apply(folder, "x.y/json=one", spec, &e), &e);
	CHECK_OK(apply(folder, "x.y/yaml=0", spec, &e), &e);
	CHECK_STR(json_object_to_json_string_ext(spec, JSON_C_TO_STRING_PLAIN |
							       JSON_C_TO_STRING_NOSLASHESCAPE),
		  "{\"process\":{\"env\":[\"J=1\",\"Y=2\"]},\"linux\":{\"devices\":[{\"path\":\"/"
		  "dev/mine\",\"fileMode\":416,"
		  "\"type\":\"c\",\"major\":1,\"minor\":3}],\"resources\":{\"devices\":[{\"allow\":"
		  "true,\"type\":\"c\","
		  "\"major\":1,\"minor\":3,\"access\":\"rwm\"}]}},\"mounts\":[]}");
	CHECK_FAIL(apply(folder, "x.y/yaml=1", spec, &e), &e, ERR_NOT_FOUND);
	CHECK_STR(e.msg, "unresolvable CDI devices x.y/yaml=1");
	put(folder, "c.yaml", "kind: [x\n");
	err_clear(&e);
	CHECK_FAIL(apply(folder, "x.y/yaml=0", spec, &e), &e, ERR_INVALID_ARGUMENT);
	CHECK(strstr(e.msg, "/c.yaml: yaml: line "));
	CHECK(file_remove_tree(AT_FDCWD, folder) == 0);
}
