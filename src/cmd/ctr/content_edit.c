/* ctr content ingest, edit, prune references */
#include "cmd/ctr/cmd_content.h"

#include "cmd/ctr/blob_write.h"
#include "cmd/ctr/image_read.h"

#include "base/ident.h"
#include "base/log.h"
#include "os/fd.h"
#include "os/spawn.h"

#include <errno.h>
#include <fcntl.h>

const struct flag ingest_flags[] = {
	{ "expected-size", FLAG_INT, NULL, "Validate against provided size", "0" },
	{ "expected-digest", FLAG_STRING, NULL, "Verify content against expected digest" },
	{ NULL },
};

const struct flag edit_flags[] = {
	{ "validate", FLAG_STRING, NULL, "Validate the result against a format: json" },
	{ .name = "editor",
	  .type = FLAG_STRING,
	  .help = "Select editor (vim, emacs, etc.)",
	  .env = "EDITOR" },
	{ NULL },
};

const struct flag references_flags[] = {
	{ "async", FLAG_BOOL, NULL, "Allow garbage collection to cleanup asynchronously" },
	{ "dry", FLAG_BOOL, NULL, "Just show updates without applying (enables debug logging)" },
	{ NULL },
};

int content_ingest(struct ctr *ctr, const struct args *args, struct err *e)
{
	const char *digest = args_string(args, "expected-digest");
	int64_t size = args_int(args, "expected-size");
	struct blob_source from = { .ref = args_at(args, 0), .fd = STDIN_FILENO };

	if (*digest && !digest_is_valid(digest))
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid checksum digest format: \"%s\"",
			       digest);
	if (!*from.ref)
		return err_set(e, ERR_UNKNOWN, "must specify a transaction reference");
	if (size < 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "a negative size: %lld", (long long)size);
	from.size = (uint64_t)size;
	from.expected = digest;
	return blob_write(ctr, &from, NULL, e);
}

/* --- edit --- */

/* "sh -c 'EDITOR FILE'": an editor with options is fine. */
static int run_editor(struct ctr *ctr, const char *editor, const char *path, struct err *e)
{
	char *argv[] = { PB("sh"), PB("-c"), arena_printf(ctr->arena, "%s %s", editor, path),
			 NULL };
	const int fds[] = { 0, 1, 2 };
	const struct spawn s = { .path = "/bin/sh",
				 .argv = argv,
				 .envp = environ,
				 .cwd_fd = -1,
				 .fds = fds,
				 .n_fds = 3 };
	int pidfd AUTO_FD = -1, status = 0, r;

	fflush(stdout);
	r = spawn_start(&s, &pidfd, NULL);
	if (r == 0)
		r = spawn_wait(pidfd, -1, &status);
	if (r < 0)
		return err_sys(e, -r, "run %s", editor);
	return status ? err_set(e, ERR_UNKNOWN, "%s: exit status %d", editor, status) : 0;
}

static int check_json(struct ctr *ctr, int fd, struct err *e)
{
	off_t n = lseek(fd, 0, SEEK_END);
	AUTO_JSON json_object *o = NULL;
	char *text;

	if (n < 0 || n > IMAGE_DOC_MAX || lseek(fd, 0, SEEK_SET) < 0)
		return err_set(e, ERR_OUT_OF_RANGE, "the result is larger than %d MiB",
			       IMAGE_DOC_MAX >> 20);
	text = arena_alloc(ctr->arena, (size_t)n + 1);
	ssize_t got = fd_read_all(fd, text, (size_t)n);

	if (got < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(e, errno, "read the result");
	return jsonr_parse(text, (size_t)got, &o, e) < 0 ? err_wrap(e, "the result is no JSON") : 0;
}

static int edit_file(struct ctr *ctr, const struct args *args, const char *path, struct err *e)
{
	const char *digest = args->v[0], *now;
	/* most editors make a new file of that name: what is there afterwards is what counts */
	int fd AUTO_FD = -1;
	struct blob_source from = { .ref = arena_printf(ctr->arena, "edit-%s", digest) };

	if (run_editor(ctr, args_string(args, "editor"), path, e) < 0)
		return -1;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "open %s", path);
	if (*args_string(args, "validate") && check_json(ctr, fd, e) < 0)
		return -1;
	from.fd = fd;
	if (blob_write(ctr, &from, &now, e) < 0)
		return -1;
	puts(now);
	return 0;
}

int content_edit(struct ctr *ctr, const struct args *args, struct err *e)
{
	const char *dir = getenv("XDG_RUNTIME_DIR"), *validate = args_string(args, "validate");
	char *path = arena_printf(ctr->arena, "%s/edit-XXXXXX", dir && *dir ? dir : "/tmp");
	int fd AUTO_FD = -1, r;

	if (!digest_is_valid(args_at(args, 0)))
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid checksum digest format: \"%s\"",
			       args_at(args, 0));
	if (*validate && strcmp(validate, "json") != 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "cannot validate \"%s\": only json",
			       validate);
	if (!*args_string(args, "editor"))
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "editor is required: name one with --editor or $EDITOR");
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "make %s", path);
	r = blob_copy(ctr, args->v[0], fd, e);
	if (r == 0)
		r = edit_file(ctr, args, path, e);
	(void)unlink(path);
	return r;
}

/* --- prune references --- */

/* Labels from a manifest to its layers; old ones have a number alone, and 0 was the config. */
static bool is_layer_label(const char *key)
{
	static const char content[] = "containerd.io/gc.ref.content.";

	if (str_starts(key, "containerd.io/gc.ref.content.l."))
		return true;
	if (!str_starts(key, content))
		return false;
	key += strlen(content);
	return strcmp(key, "0") != 0 && !key[strspn(key, "0123456789")];
}

static int prune_blob(struct ctr *ctr, const CONTENT(Info) * i, bool dry, struct err *e)
{
	struct labels all, gone = { 0 };

	labels_from_pb(ctr->arena, i->labels, i->n_labels, &all);
	for (size_t k = 0; k < all.n; k++) {
		if (!is_layer_label(all.keys[k]))
			continue;
		log_debug(LOG({ "digest", i->digest }, { "label", all.keys[k] }), "Removing label");
		labels_add(ctr->arena, &gone, all.keys[k], "");
	}
	return gone.n && !dry ? blob_label(ctr, i->digest, &gone, e) : 0;
}

/* The collection comes with the end of a lease. */
static int collect(struct ctr *ctr, bool sync, struct err *e)
{
	LEASES(DeleteRequest) req = LEASES_INIT(DELETE_REQUEST);

	if (ctr_lease(ctr, e) < 0)
		return -1;
	req.id = PB(ctr->lease);
	req.sync = sync;
	ctr->lease = NULL;
	return CTR_CALL_EMPTY(ctr, "leases.v1.Leases/Delete", &req, e);
}

int content_prune_references(struct ctr *ctr, const struct args *args, struct err *e)
{
	CONTENT(ListContentRequest) req = CONTENT_INIT(LIST_CONTENT_REQUEST);
	struct grpc_stream *s AUTO_GRPC_STREAM = NULL;
	CONTENT(ListContentResponse) * rsp;
	bool dry = args_bool(args, "dry");
	int r;

	if (dry) {
		log_setup(STDERR_FILENO, LOG_TEXT, LOG_DEBUG);
		log_debug(LOG_NONE, "dry run, no changes will be applied");
	}
	if (ctr_open(ctr, "content.v1.Content/List", &req,
		     &containerd__services__content__v1__list_content_response__descriptor, &s,
		     e) < 0)
		return -1;
	while ((r = grpc_stream_recv(s, ctr->arena, (void **)&rsp, e)) > 0)
		for (size_t i = 0; i < rsp->n_info; i++)
			if (prune_blob(ctr, rsp->info[i], dry, e) < 0)
				return -1;
	return r < 0 ? -1 : collect(ctr, !args_bool(args, "async"), e);
}
