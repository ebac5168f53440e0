/* The operator's programs of bin_dir, as containerd's documentation has their contract: arguments
 * -name, -digest and -stdin-media-type, the descriptor on the standard input, the reason on the
 * standard output, and 0 for yes. */
#include "image/verify.h"

#include "base/log.h"
#include "image/ask_program.h"
#include "image/wire.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

enum { MAX_FILES = 1024, OUTPUT_MAX = 32 * 1024, REASON = 400 };

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted; a folder that is not there has none. */
static int list(const char *dir, struct strv *ret, struct err *e)
{
	DIR *d = opendir(dir);
	struct dirent *n;

	if (!d)
		return errno == ENOENT ? 0 : err_sys(e, errno, "open %s", dir);
	while ((n = readdir(d)) && ret->n < MAX_FILES)
		if (strcmp(n->d_name, ".") != 0 && strcmp(n->d_name, "..") != 0)
			strv_add(ret, n->d_name);
	closedir(d);
	if (ret->n)
		qsort(ret->v, ret->n, sizeof *ret->v, compare);
	return 0;
}

static int ask(const struct verifier *v, const char *file, const char *name,
	       const struct oci_descriptor *target, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/%s", v->bin_dir, file);
	AUTO_STR struct str said = STR_INIT(OUTPUT_MAX);
	AUTO_STR struct str text = STR_INIT(1 << 20);
	const char *argv[] = { path,
			       "-name",
			       name,
			       "-digest",
			       target->digest,
			       "-stdin-media-type",
			       "application/vnd.oci.descriptor.v1+json",
			       NULL };
	struct jsonw w;

	jsonw_init(&w, &text, 0);
	wire_write_descriptor(&w, target);
	int code = program_ask(path, argv, str_c(&text), text.len, v->timeout, &said, e);

	if (code < 0) {
		e->code = ERR_PERMISSION_DENIED;
		return err_wrap(
			e,
			"blocking pull of %s with digest %s: image verifier bindir returned "
			"error",
			name, target->digest);
	}
	for (; said.len && strchr(" \t\r\n", said.ptr[said.len - 1]); said.len--)
		said.ptr[said.len - 1] = 0;
	log_debug(LOG({ "verifier", path }, { "reason", str_c(&said) }), "image verifier ended");
	if (code == 0)
		return 0;
	return err_set(
		e, ERR_PERMISSION_DENIED,
		"image verifier bindir blocked pull of %s with digest %s for reason: verifier "
		"%s rejected image (exit code %d): %.*s",
		name, target->digest, file, code, REASON, str_c(&said));
}

int verifier_run_programs(const struct verifier *v, const char *name,
			  const struct oci_descriptor *target, struct err *e)
{
	AUTO_STRV struct strv files = { 0 };

	if (!*v->bin_dir || v->max_verifiers == 0)
		return 0;
	if (list(v->bin_dir, &files, e) < 0)
		return -1;
	for (size_t i = 0; i < files.n; i++) {
		if (v->max_verifiers > 0 && i == (size_t)v->max_verifiers) {
			log_warn(LOG({ "bin_dir", v->bin_dir }),
				 "there are more verifiers than max_verifiers, skipping the rest");
			break;
		}
		if (ask(v, files.v[i], name, target, e) < 0)
			return -1;
	}
	return 0;
}
