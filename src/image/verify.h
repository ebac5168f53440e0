/* Who decides whether an image may come in, before its bytes do: the operator's own programs
 * (containerd's io.containerd.image-verifier.v1.bindir) and a policy (policy.h).
 *
 * The policy is applied by a worker process of its own, which reads the signatures and nothing of
 * the registry: what a pulling worker has become decides nothing.  An image that was let in is
 * remembered by its digest, for as long as the policy's file stays the same: other names of it are
 * fine then. */
#pragma once

#include "image/sigstore.h"
#include "image/transfer.h"

struct verifier {
	const char *bin_dir; /* "" or no such folder: no programs */
	int max_verifiers; /* negative: all */
	uint64_t timeout; /* ns, of each */
	const char *policy; /* a file, or "": none */
	const char *marks; /* folder of what was let in */
};

struct verify_request {
	const char *transport; /* "docker", "oci-archive": of containers-policy.json */
	const char *name;
	const struct oci_descriptor *target;
	const struct sigstore_signature *signatures;
	size_t n_signatures;
};

/* job: on whose behalf (worker, store, cancel).  ERR_PERMISSION_DENIED with the reason. */
int verifier_judge(const struct verifier *v, const struct transfer_job *job,
		   const struct verify_request *q, struct err *e);

/* A name for a digest, without a transfer: let in before, or nothing to be shown. */
int verifier_admit(const struct verifier *v, const struct transfer_job *job, const char *name,
		   const struct oci_descriptor *target, struct err *e);

/* Forgets images that were let in long ago and are not in the store.  With a collection. */
void verifier_sweep(const struct verifier *v, struct store *s);

/* verify_bindir.c: the programs alone. */
int verifier_run_programs(const struct verifier *v, const char *name,
			  const struct oci_descriptor *target, struct err *e);
