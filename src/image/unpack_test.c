/* Layers, honest and hostile, into folders: runs as root, since owners and devices are real. */
#include "image/unpack.h"

#include "base/mem.h"
#include "base/test.h"
#include "image/tar_build.h"
#include "os/fd.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

struct place {
	char path[64];
	int top, upper, lower;
};

/* TOP/{upper, lower, outside/file}: outside is what no layer may reach. */
static struct place make_place(void)
{
	struct place p = { .path = "/var/tmp/casco-unpack-XXXXXX" };

	CHECK(mkdtemp(p.path));
	p.top = open(p.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(mkdirat(p.top, "upper", 0755) == 0 && mkdirat(p.top, "lower", 0755) == 0 &&
	      mkdirat(p.top, "outside", 0755) == 0);
	CHECK(file_replace(p.top, "outside/file", "host", 4, 0600, false) == 0);
	p.upper = openat(p.top, "upper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	p.lower = openat(p.top, "lower", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(p.upper >= 0 && p.lower >= 0);
	return p;
}

static void check_text(int dirfd, const char *path, const char *want)
{
	AUTO_FREE char *got = NULL;

	if (file_read(dirfd, path, 100, &got, NULL) < 0)
		FAIL_("cannot read %s", path);
	CHECK_STR(got, want);
}

/* The host's file is as it was, and nothing stands beside it. */
static void remove_place(struct place *p)
{
	struct stat st;

	check_text(p->top, "outside/file", "host");
	CHECK(fstatat(p->top, "outside/file", &st, 0) == 0 && (st.st_mode & 07777) == 0600 &&
	      st.st_nlink == 1);
	CHECK(unlinkat(p->top, "outside/file", 0) == 0);
	CHECK(unlinkat(p->top, "outside", AT_REMOVEDIR) == 0);
	close(p->upper);
	close(p->lower);
	close(p->top);
	CHECK(file_remove_tree(AT_FDCWD, p->path) == 0);
}

static int unpack(struct str *layer, const struct place *p, bool overlay, bool with_lower,
		  struct unpack_result *ret, struct err *e)
{
	struct unpack_dirs d = { .upper = p->upper,
				 .lowers = &p->lower,
				 .n_lowers = with_lower ? 1 : 0,
				 .overlay = overlay };
	AUTO_FD int fd = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	umask(0); /* as the worker has it */
	tar_end(layer);
	CHECK(fd >= 0 && !layer->over && fd_write_all(fd, layer->ptr, layer->len) == 0);
	CHECK(lseek(fd, 0, SEEK_SET) == 0);
	str_reset(layer);
	return unpack_layer(fd, "application/vnd.oci.image.layer.v1.tar", &d, ret, e);
}

static void check_unpack(struct str *layer, const struct place *p, bool overlay)
{
	struct unpack_result r;
	struct err e = { 0 };

	CHECK_OK(unpack(layer, p, overlay, true, &r, &e), &e);
}

static void check_refused(struct str *layer, const struct place *p, const char *want)
{
	struct unpack_result r;
	struct err e = { 0 };

	CHECK(unpack(layer, p, true, true, &r, &e) == -1);
	if (!strstr(e.msg, want))
		FAIL_("got \"%s\", want \"%s\"", e.msg, want);
}

TEST(a_layer_becomes_files)
{
	AUTO_STR struct str s = STR_INIT(4 << 20);
	struct place p = make_place();
	struct stat st;

	tar_add_full(&s, "bin/", '5', NULL, 0711, NULL, 0);
	tar_add_full(&s, "./bin//su", '0', NULL, 04755, "x", 1);
	tar_add(&s, "bin/hard", '1', "bin/su", NULL);
	tar_add(&s, "/etc/absolute", '0', NULL, "in the root");
	tar_add(&s, "link", '2', "/etc", NULL);
	tar_add(&s, "link/through", '0', NULL, "inside");
	tar_add(&s, "pipe", '6', NULL, NULL);
	check_unpack(&s, &p, true);
	CHECK(fstatat(p.upper, "bin", &st, 0) == 0 && (st.st_mode & 07777) == 0711 &&
	      st.st_mtime == 1700000000);
	CHECK(fstatat(p.upper, "bin/su", &st, 0) == 0 && (st.st_mode & 07777) == 04755 &&
	      st.st_nlink == 2);
	check_text(p.upper, "etc/absolute", "in the root");
	check_text(p.upper, "etc/through", "inside");
	CHECK(fstatat(p.upper, "pipe", &st, 0) == 0 && S_ISFIFO(st.st_mode));
	remove_place(&p);
}

/* SECURITY.md, "Names in layers": which of the four kinds are taken inside, which are refused. */
TEST(dots_in_names_are_refused)
{
	static const char *const names[] = {
		"../outside/file", "a/../../outside/file", "/../outside/file", "a/..", "..",
		"a/../b"
	};
	AUTO_STR struct str s = STR_INIT(4 << 20);
	struct place p = make_place();

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		static const char types[] = "012356";

		for (const char *t = types; *t; t++) {
			tar_add(&s, names[i], *t, "x", *t == '0' ? "owned" : NULL);
			check_refused(&s, &p, "would leave the root: \"..\" in its name");
		}
		tar_add(&s, "h", '1', names[i], NULL);
		check_refused(&s, &p, "would leave the root: \"..\" in its name");
	}
	remove_place(&p);
}

TEST(absolute_names_are_taken_inside)
{
	AUTO_STR struct str s = STR_INIT(4 << 20);
	struct place p = make_place();
	AUTO_FREE char *file = xasprintf("%s/outside/file", p.path);
	AUTO_FREE char *double_slash = xasprintf("//%s/outside/new", p.path);
	AUTO_FREE char *hard = xasprintf("%s/outside/hard", p.path);

	tar_add(&s, file, '0', NULL, "inside");
	tar_add(&s, double_slash, '0', NULL, "too");
	tar_add(&s, hard, '1', file, NULL); /* a hard link's target is as absolute as a name */
	check_unpack(&s, &p, true);
	check_text(p.upper, file + 1, "inside");
	check_text(p.upper, double_slash + 3, "too");
	check_text(p.upper, hard + 1, "inside");
	remove_place(&p);
}

TEST(symlinks_that_lead_out_are_followed_inside)
{
	AUTO_STR struct str s = STR_INIT(4 << 20);
	struct place p = make_place();
	AUTO_FREE char *outside = xasprintf("%s/outside", p.path);
	AUTO_FREE char *file = xasprintf("%s/outside/file", p.path);
	char target[128];

	tar_add(&s, "abs", '2', outside, NULL);
	tar_add(&s, "abs/file", '0', NULL, "inside");
	tar_add(&s, "up", '2', "../../../../../../..", NULL);
	tar_add(&s, "up/etc-of-host", '0', NULL, "inside");
	tar_add(&s, "near", '2', "../outside", NULL);
	tar_add(&s, "near/new", '0', NULL, "inside");
	/* the link itself stays what the image says: it is for the container to follow */
	tar_add(&s, "leaf", '2', file, NULL);
	tar_add_full(&s, "abs/.", '5', NULL, 0700, NULL, 0);
	check_unpack(&s, &p, true);
	check_text(p.upper, "etc-of-host", "inside");
	check_text(p.upper, "outside/new", "inside");
	check_text(p.upper, file + 1, "inside");
	ssize_t n = readlinkat(p.upper, "leaf", target, sizeof target - 1);
	CHECK(n > 0);
	target[n] = 0;
	CHECK_STR(target, file);

	/* a chain of links without an end is an error, not a hang */
	tar_add(&s, "l1", '2', "l2", NULL);
	tar_add(&s, "l2", '2', "l1", NULL);
	tar_add(&s, "l1/x", '0', NULL, "x");
	check_refused(&s, &p, "too many levels of symbolic links");
	remove_place(&p);
}

TEST(hard_links_that_lead_out_are_refused)
{
	AUTO_STR struct str s = STR_INIT(4 << 20);
	struct place p = make_place();
	AUTO_FREE char *outside = xasprintf("%s/outside", p.path);
	AUTO_FREE char *file = xasprintf("%s/outside/file", p.path);

	/* by an absolute name, by a link to a folder, by a link to the file itself */
	tar_add(&s, "h", '1', file, NULL);
	check_refused(&s, &p, "no such file or directory");
	tar_add(&s, "abs", '2', outside, NULL);
	tar_add(&s, "h", '1', "abs/file", NULL);
	check_refused(&s, &p, "no such file or directory");
	tar_add(&s, "near", '2', "../outside", NULL);
	tar_add(&s, "h", '1', "near/file", NULL);
	check_refused(&s, &p, "no such file or directory");

	/* a hard link to a link shares the link; writing that name replaces it */
	tar_add(&s, "evil", '2', file, NULL);
	tar_add(&s, "evil2", '1', "evil", NULL);
	tar_add_full(&s, "evil2", '0', NULL, 0777, "owned", 5);
	tar_add_full(&s, "evil", '0', NULL, 0777, "owned", 5);
	check_unpack(&s, &p, true);
	check_text(p.upper, "evil", "owned");
	remove_place(&p);
}

/* Each folder's time is kept to the end, with its name. */
TEST(memory_for_folders_is_bounded)
{
	AUTO_STR struct str s = STR_INIT(200 << 20);
	struct place p = make_place();
	char name[4000];

	/* one folder, called by ever other names */
	memset(name, '/', sizeof name);
	memcpy(name + sizeof name - 2, "d", 2);
	for (int i = 0; i < 20; i++) {
		tar_add_pax(&s, "path", name);
		tar_add(&s, "x", '5', NULL, NULL);
	}
	check_unpack(&s, &p, true);
	for (size_t i = 0; i + 2 < sizeof name; i++)
		name[i] = i % 200 == 199 ? '/' : 'n';
	for (int i = 0; i < 17500; i++) {
		tar_add_pax(&s, "path", name);
		tar_add(&s, "x", '5', NULL, NULL);
	}
	check_refused(&s, &p, "layer names too many folders");
	remove_place(&p);
}

TEST(a_folder_swapped_for_a_link_misleads_nobody)
{
	AUTO_STR struct str s = STR_INIT(4 << 20);
	struct place p = make_place();
	AUTO_FREE char *outside = xasprintf("%s/outside", p.path);

	tar_add(&s, "a/", '5', NULL, NULL);
	tar_add(&s, "a/x", '0', NULL, "1");
	tar_add(&s, "a", '2', outside, NULL);
	tar_add(&s, "a/y", '0', NULL, "2");
	tar_add(&s, "a/file", '0', NULL, "owned");
	check_unpack(&s, &p, true);
	remove_place(&p);
}

/* A default ACL: rwx for the owner, r-x for the group, nothing for others. */
static const struct {
	uint32_t version;
	struct {
		uint16_t tag, perm;
		uint32_t id;
	} entries[3];
} others_get_nothing = { 2, { { 1, 7, UINT32_MAX }, { 4, 5, UINT32_MAX }, { 32, 0, UINT32_MAX } } };

static void check_file(const struct place *p, const char *path, mode_t mode)
{
	struct stat st;

	if (fstatat(p->upper, path, &st, 0) < 0 || !S_ISREG(st.st_mode) || st.st_uid || st.st_gid ||
	    (st.st_mode & 07777) != mode)
		FAIL_("%s: mode %04o, group %d", path, st.st_mode & 07777, (int)st.st_gid);
}

TEST(files_have_their_own_mode_and_group_whatever_their_folder_gives)
{
	AUTO_STR struct str s = STR_INIT(4 << 20);
	struct place p = make_place();

	CHECK(mkdirat(p.upper, "group", 0755) == 0 && fchownat(p.upper, "group", 0, 5, 0) == 0 &&
	      fchmodat(p.upper, "group", 02775, 0) == 0 && mkdirat(p.upper, "acl", 0755) == 0);
	AUTO_FD int acl = openat(p.upper, "acl", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(fsetxattr(acl, "system.posix_acl_default", &others_get_nothing,
			sizeof others_get_nothing, 0) == 0 ||
	      errno == ENOTSUP);

	tar_add_full(&s, "group/f", '0', NULL, 0644, "x", 1);
	tar_add_full(&s, "acl/f", '0', NULL, 0644, "x", 1);
	tar_add_full(&s, "plain/a", '0', NULL, 0600, "x", 1);
	tar_add_full(&s, "plain/b", '0', NULL, 0, "x", 1);
	tar_add_full(&s, "plain/a", '0', NULL, 0666, "xy", 2);
	tar_add_full(&s, "plain/su", '0', NULL, 06755, "x", 1);
	check_unpack(&s, &p, true);
	check_file(&p, "group/f", 0644);
	check_file(&p, "acl/f", 0644);
	check_file(&p, "plain/a", 0666);
	check_text(p.upper, "plain/a", "xy");
	check_file(&p, "plain/b", 0);
	check_file(&p, "plain/su", 06755);
	remove_place(&p);
}

TEST(the_folder_of_the_last_entry_may_be_another)
{
	AUTO_STR struct str s = STR_INIT(4 << 20);
	struct place p = make_place();
	struct stat st;

	tar_add(&s, "x/one", '0', NULL, "1");
	tar_add(&s, "x", '2', "y", NULL);
	tar_add(&s, "x/two", '0', NULL, "2");
	tar_add(&s, "z/w/one", '0', NULL, "1");
	tar_add(&s, "z", '0', NULL, "a file");
	tar_add(&s, "z/w/two", '0', NULL, "2");
	check_refused(&s, &p, "z/w/two");
	check_text(p.upper, "y/two", "2");
	check_text(p.upper, "z", "a file");
	CHECK(fstatat(p.upper, "y/one", &st, 0) < 0);

	tar_add(&s, "v/one", '0', NULL, "1");
	tar_add(&s, ".wh.v", '0', NULL, "");
	tar_add(&s, "v/two", '0', NULL, "2");
	check_unpack(&s, &p, false);
	check_text(p.upper, "v/one", "1");
	check_text(p.upper, "v/two", "2");
	remove_place(&p);
}

/* A link that only lower layers have is hidden by a new file, and nothing had to make room. */
TEST(a_file_hides_the_link_that_led_to_it)
{
	AUTO_STR struct str s = STR_INIT(4 << 20);
	struct place p = make_place();

	CHECK(symlinkat("b", p.lower, "a") == 0 && symlinkat("/", p.lower, "b") == 0);
	tar_add(&s, "a/one", '0', NULL, "1");
	tar_add(&s, "a/b", '0', NULL, "a file");
	tar_add(&s, "a/two", '0', NULL, "2");
	check_refused(&s, &p, "a/two");
	check_text(p.upper, "one", "1");
	check_text(p.upper, "b", "a file");
	remove_place(&p);
}

TEST(whiteouts_are_overlays_or_removals)
{
	AUTO_STR struct str s = STR_INIT(4 << 20);
	struct place p = make_place();
	struct stat st;
	char v;

	CHECK(mkdirat(p.lower, "d", 0750) == 0 && fchownat(p.lower, "d", 7, 8, 0) == 0);
	CHECK(file_replace(p.lower, "gone", "x", 1, 0644, false) == 0);
	tar_add(&s, ".wh.gone", '0', NULL, NULL);
	tar_add(&s, "d/.wh..wh..opq", '0', NULL, NULL);
	tar_add(&s, "d/new", '0', NULL, "n");
	check_unpack(&s, &p, true);
	CHECK(fstatat(p.upper, "gone", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISCHR(st.st_mode) &&
	      st.st_rdev == makedev(0, 0));
	/* the folder that the layer only implied is as below */
	CHECK(fstatat(p.upper, "d", &st, 0) == 0 && (st.st_mode & 07777) == 0750 && st.st_uid == 7);
	AUTO_FREE char *d = xasprintf("%s/upper/d", p.path);
	CHECK(getxattr(d, "trusted.overlay.opaque", &v, 1) == 1 && v == 'y');
	remove_place(&p);

	p = make_place(); /* the whole tree: removal */
	CHECK(mkdirat(p.upper, "d", 0755) == 0 && mkdirat(p.upper, "d/old", 0755) == 0);
	CHECK(file_replace(p.upper, "d/old/f", "x", 1, 0644, false) == 0);
	CHECK(file_replace(p.upper, "gone", "x", 1, 0644, false) == 0);
	tar_add(&s, "d/kept", '0', NULL, "k");
	tar_add(&s, "d/.wh..wh..opq", '0', NULL, NULL);
	tar_add(&s, ".wh.gone", '0', NULL, NULL);
	check_unpack(&s, &p, false);
	check_text(p.upper, "d/kept", "k");
	CHECK(faccessat(p.upper, "d/old", F_OK, 0) < 0 && faccessat(p.upper, "gone", F_OK, 0) < 0);
	remove_place(&p);
}

TEST(bad_whiteouts_are_refused)
{
	AUTO_STR struct str s = STR_INIT(4 << 20);
	struct place p = make_place();

	static const char *const names[] = { ".wh.", ".wh..", ".wh...", "d/.wh.." };
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		tar_add(&s, names[i], '0', NULL, NULL);
		check_refused(&s, &p, "invalid whiteout");
	}
	remove_place(&p);
}

TEST(many_opaque_marks_cost_no_square)
{
	AUTO_STR struct str s = STR_INIT(200 << 20);
	struct place p = make_place();

	for (int i = 0; i < 2000; i++) {
		AUTO_FREE char *name = xasprintf("d/f%d", i);

		tar_add(&s, name, '0', NULL, NULL);
	}
	for (int i = 0; i < 100000; i++)
		tar_add(&s, "d/.wh..wh..opq", '0', NULL, NULL);
	check_unpack(&s, &p, false);
	remove_place(&p);
}

TEST(links_in_lower_layers_lead_on)
{
	AUTO_STR struct str s = STR_INIT(4 << 20);
	struct place p = make_place();
	struct stat st;

	CHECK(mkdirat(p.lower, "usr", 0755) == 0 && mkdirat(p.lower, "usr/bin", 0711) == 0);
	CHECK(symlinkat("usr/bin", p.lower, "bin") == 0);
	CHECK(file_replace(p.lower, "usr/bin/tool", "lower", 5, 0755, false) == 0);
	tar_add(&s, "bin/new", '0', NULL, "n"); /* bin itself is not in the layer */
	tar_add(&s, "bin/again", '1', "bin/tool", NULL);
	check_unpack(&s, &p, true);
	check_text(p.upper, "usr/bin/new", "n");
	check_text(p.upper, "usr/bin/again", "lower");
	CHECK(fstatat(p.upper, "usr/bin", &st, 0) == 0 && (st.st_mode & 07777) == 0711);
	CHECK(faccessat(p.upper, "bin", F_OK, AT_SYMLINK_NOFOLLOW) < 0);
	CHECK(fstatat(p.lower, "usr/bin/tool", &st, 0) == 0 && st.st_nlink == 1);
	remove_place(&p);
}

TEST(attributes_of_the_file_system_are_not_the_images)
{
	AUTO_STR struct str s = STR_INIT(4 << 20);
	struct place p = make_place();
	AUTO_FREE char *d = xasprintf("%s/upper/d", p.path);
	char v[8];

	tar_add_pax(&s, "SCHILY.xattr.trusted.overlay.opaque", "y");
	tar_add(&s, "d", '5', NULL, NULL);
	tar_add_pax(&s, "SCHILY.xattr.user.fine", "yes");
	tar_add(&s, "d/f", '0', NULL, NULL);
	check_unpack(&s, &p, true);
	CHECK(getxattr(d, "trusted.overlay.opaque", v, sizeof v) < 0);
	AUTO_FREE char *f = xasprintf("%s/f", d);
	CHECK(getxattr(f, "user.fine", v, sizeof v) == 3);
	remove_place(&p);
}

TEST(the_digest_covers_the_padding)
{
	AUTO_STR struct str s = STR_INIT(4 << 20);
	struct place p = make_place();
	struct unpack_result r;
	struct err e = { 0 };
	char want[SHA256_HEX + 1];

	tar_add(&s, "f", '0', NULL, "data");
	tar_end(&s);
	tar_end(&s);
	AUTO_FREE char *copy = xmemdup(s.ptr, s.len);
	size_t n = s.len;
	AUTO_FREE char *all = xcalloc(1, n + 1024); /* unpack() adds one more end */
	memcpy(all, copy, n);
	sha256_of(all, n + 1024, want);
	CHECK_OK(unpack(&s, &p, true, true, &r, &e), &e);
	CHECK_STR(r.diff_id + 7, want);
	CHECK(r.size == n + 1024);
	remove_place(&p);
}
