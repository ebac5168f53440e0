#include "image/verify.h"

#include "base/ident.h"
#include "base/log.h"
#include "base/sha256.h"
#include "image/policy.h"
#include "os/file.h"
#include "store/content.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* What the policy is now, as a mark says what it was. */
static int policy_digest(const struct verifier *v, char ret[DIGEST_SHA256 + 1], struct err *e)
{
	AUTO_FREE char *text = NULL;
	struct sha256 sum;
	size_t n;
	int r = file_read(AT_FDCWD, v->policy, POLICY_MAX, &text, &n);

	if (r < 0)
		return err_sys(e, -r, "read policy %s", v->policy);
	sha256_init(&sum);
	sha256_add(&sum, text, n);
	sha256_digest(&sum, ret);
	return 0;
}

static bool has_mark(const struct verifier *v, const char *digest, const char *policy)
{
	AUTO_FREE char *path = xasprintf("%s/%s", v->marks, digest), *text = NULL;
	size_t n;

	return digest_is_valid(digest) &&
	       file_read(AT_FDCWD, path, DIGEST_SHA256 + 1, &text, &n) == 0 &&
	       strcmp(text, policy) == 0;
}

/* Without one another name of the image will not do: a nuisance, no danger. */
static void make_mark(const struct verifier *v, const char *digest, const char *policy)
{
	int r = digest_is_valid(digest) ? file_mkdirs(v->marks, 0700) : -EINVAL;
	AUTO_FD int dirfd =
		r == 0 ? open(v->marks, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW) : r;

	r = dirfd < 0 ? -errno : file_replace(dirfd, digest, policy, strlen(policy), 0600, false);
	if (r < 0)
		log_warn(LOG({ "error", err_errno_text(-r) }), "cannot remember %s, skipping",
			 digest);
}

static int apply_policy(const struct verifier *v, const struct transfer_job *job,
			const struct verify_request *q, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct transfer_job own = { .worker = job->worker,
				    .store = job->store,
				    .ns = job->ns,
				    .cancel = job->cancel,
				    .kind = TRANSFER_VERIFY,
				    .image = { q->name, *q->target },
				    .verify = { .policy = v->policy,
						.transport = q->transport,
						.signatures = q->signatures,
						.n_signatures = q->n_signatures } };
	char policy[DIGEST_SHA256 + 1];
	struct transfer_result none;

	if (policy_digest(v, policy, e) < 0 || transfer_run(&own, a, &none, e) < 0)
		return err_wrap(
			e, "image verifier policy blocked pull of %s with digest %s for reason",
			q->name, q->target->digest);
	make_mark(v, q->target->digest, policy);
	return 0;
}

int verifier_judge(const struct verifier *v, const struct transfer_job *job,
		   const struct verify_request *q, struct err *e)
{
	/* as with the original, which asks them about pulls */
	if (strcmp(q->transport, "docker") == 0 &&
	    verifier_run_programs(v, q->name, q->target, e) < 0)
		return -1;
	return *v->policy ? apply_policy(v, job, q, e) : 0;
}

int verifier_admit(const struct verifier *v, const struct transfer_job *job, const char *name,
		   const struct oci_descriptor *target, struct err *e)
{
	const struct verify_request q = { .transport = "docker", .name = name, .target = target };
	char policy[DIGEST_SHA256 + 1];

	if (!*v->policy)
		return 0;
	if (policy_digest(v, policy, e) < 0)
		return -1;
	return has_mark(v, target->digest, policy) ? 0 : apply_policy(v, job, &q, e);
}

/* --- what is remembered --- */

/* A verdict comes before the image does: what is young may be of a pull that goes on, as long as
 * its lease lives. */
static bool is_old(int dirfd, const char *name)
{
	enum { KEPT_S = 24 * 3600 };
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       time(NULL) - st.st_mtime > KEPT_S;
}

void verifier_sweep(const struct verifier *v, struct store *s)
{
	DIR *d = *v->policy ? opendir(v->marks) : NULL;
	struct dirent *n;

	while (d && (n = readdir(d))) {
		struct err e = { 0 };

		if (digest_is_valid(n->d_name) && is_old(dirfd(d), n->d_name) &&
		    content_is_stored(s, n->d_name, &e) == 0)
			(void)unlinkat(dirfd(d), n->d_name, 0); /* the next one tries again */
	}
	if (d)
		closedir(d);
}
