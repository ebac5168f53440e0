#include "cmd/ctr/remap.h"

#include "base/test.h"
#include "os/file.h"

#include <endian.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static struct oci_idmapping uid[] = { { 0, 100000, 10 }, { 10, 5000, 1 } };
static struct oci_idmapping gid[] = { { 0, 200000, 100 } };
static const struct oci_idmappings uids = { uid, ARRAY_LEN(uid) }, gids = { gid, ARRAY_LEN(gid) };

static void make(char dir[32])
{
	snprintf(dir, 32, "/tmp/casco-remap-XXXXXX");
	CHECK(mkdtemp(dir));
}

static void add(const char *dir, const char *name, mode_t mode, uid_t u, gid_t g)
{
	char *path AUTO_FREE = xasprintf("%s/%s", dir, name);
	int fd = open(path, O_CREAT | O_WRONLY, 0600);

	CHECK(fd >= 0 && fchown(fd, u, g) == 0 && fchmod(fd, mode) == 0 && close(fd) == 0);
}

static struct stat look(const char *dir, const char *name)
{
	char *path AUTO_FREE = xasprintf("%s/%s", dir, name);
	struct stat st;

	CHECK(lstat(path, &st) == 0);
	return st;
}

TEST(owners_bits_links_and_capabilities)
{
	struct vfs_cap_data cap = { .magic_etc =
					    htole32(VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE),
				    .data[0].permitted = htole32(1u << CAP_NET_RAW) };
	struct vfs_ns_cap_data got;
	struct err e = { 0 };
	struct stat st;
	char dir[32];

	make(dir);
	char *su AUTO_FREE = xasprintf("%s/su", dir), *other AUTO_FREE = xasprintf("%s/other", dir),
		 *ping AUTO_FREE = xasprintf("%s/ping", dir),
		 *sub AUTO_FREE = xasprintf("%s/sub", dir),
		 *way AUTO_FREE = xasprintf("%s/way", dir);

	add(dir, "su", 04755, 0, 5);
	CHECK(link(su, other) == 0);
	add(dir, "ping", 0755, 10, 0);
	CHECK(setxattr(ping, "security.capability", &cap, sizeof cap, 0) == 0);
	CHECK(mkdir(sub, 02750) == 0 && symlink("/etc/passwd", way) == 0);
	CHECK(lchown(way, 3, 3) == 0);
	CHECK(remap_tree(dir, &uids, &gids, &e) == 0);

	st = look(dir, "su");
	CHECK(st.st_uid == 100000 && st.st_gid == 200005 && (st.st_mode & 07777) == 04755);
	CHECK(look(dir, "other").st_ino == st.st_ino); /* once, not twice */
	st = look(dir, "ping");
	CHECK(st.st_uid == 5000 && st.st_gid == 200000);
	CHECK(getxattr(ping, "security.capability", &got, sizeof got) == sizeof got);
	CHECK(le32toh(got.rootid) == 100000 && got.data[0].permitted == cap.data[0].permitted);
	st = look(dir, "way");
	CHECK(S_ISLNK(st.st_mode) && st.st_uid == 100003 && st.st_gid == 200003);
	CHECK(look(dir, "sub").st_uid == 100000 && look(dir, ".").st_uid == 100000);
	CHECK(stat("/etc/passwd", &st) == 0 && st.st_uid == 0);
	CHECK(file_remove_tree(AT_FDCWD, dir) == 0);
}

TEST(who_is_not_mapped_is_named)
{
	struct err e = { 0 };
	char dir[32];

	make(dir);
	add(dir, "f", 0644, 11, 0);
	CHECK(remap_tree(dir, &uids, &gids, &e) < 0);
	CHECK_STR(e.msg, "the image has files of id 11, which is not mapped");
	CHECK(file_remove_tree(AT_FDCWD, dir) == 0);
}
