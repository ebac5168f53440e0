#include "cri/selinux.h"

#include "base/test.h"
#include "cri/private.h"

#include <string.h>

enum { PODS = 300 };

static bool is_level(const char *s)
{
	unsigned a, b;
	char again[SELINUX_LEVEL_MAX];

	if (sscanf(s, "s0:c%u,c%u", &a, &b) != 2) /* NOLINT(cert-err34-c): our own text */
		return false;
	snprintf(again, sizeof again, "s0:c%u,c%u", a, b);
	return a < b && b < 1024 && !strcmp(s, again);
}

TEST(pods_have_levels_of_their_own)
{
	static struct pod pods[PODS];
	CRI(PodSandboxConfig) config = RUNTIME__V1__POD_SANDBOX_CONFIG__INIT;
	struct cri cri = { .has_selinux = true, .lock = PTHREAD_MUTEX_INITIALIZER };

	for (size_t i = 0; i < PODS; i++) {
		pods[i].cri = &cri;
		pods[i].config = &config;
		pods[i].next = cri.pods;
		cri.pods = &pods[i];
		selinux_assign(&pods[i]);
		CHECK(is_level(pods[i].level));
		for (size_t k = 0; k < i; k++)
			CHECK(strcmp(pods[k].level, pods[i].level) != 0);
	}
}

TEST(who_says_something_gets_no_level)
{
	CRI(SELinuxOption) o = RUNTIME__V1__SELINUX_OPTION__INIT;
	CRI(LinuxSandboxSecurityContext)
	s = RUNTIME__V1__LINUX_SANDBOX_SECURITY_CONTEXT__INIT;
	CRI(LinuxPodSandboxConfig) l = RUNTIME__V1__LINUX_POD_SANDBOX_CONFIG__INIT;
	CRI(PodSandboxConfig) config = RUNTIME__V1__POD_SANDBOX_CONFIG__INIT;
	struct cri cri = { .has_selinux = true, .lock = PTHREAD_MUTEX_INITIALIZER };
	struct pod pod = { .cri = &cri, .config = &config };

	config.linux = &l;
	l.security_context = &s;
	s.selinux_options = &o;
	o.level = (char *)"s0:c1,c2";
	selinux_assign(&pod);
	CHECK_STR(pod.level, "");
	o.level = (char *)"";
	s.privileged = true;
	selinux_assign(&pod);
	CHECK_STR(pod.level, "");
	s.privileged = false;
	cri.has_selinux = false;
	selinux_assign(&pod);
	CHECK_STR(pod.level, "");
	cri.has_selinux = true;
	selinux_assign(&pod);
	CHECK(is_level(pod.level));
}

TEST(labels)
{
	AUTO_ARENA struct arena *a = arena_new();
	CRI(SELinuxOption) o = RUNTIME__V1__SELINUX_OPTION__INIT;
	struct selinux_labels l = selinux_labels(a, NULL, "");

	CHECK(!l.process && !l.mount);
	l = selinux_labels(a, &o, "s0:c1,c2");
	CHECK_STR(l.process, "system_u:system_r:container_t:s0:c1,c2");
	CHECK_STR(l.mount, "system_u:object_r:container_file_t:s0:c1,c2");
	o.type = (char *)"my_t";
	l = selinux_labels(a, &o, "s0:c1,c2");
	CHECK_STR(l.process, "system_u:system_r:my_t:s0:c1,c2");
	o.level = (char *)"s0:c9";
	o.user = (char *)"u";
	o.role = (char *)"r";
	l = selinux_labels(a, &o, "");
	CHECK_STR(l.process, "u:r:my_t:s0:c9");
	CHECK_STR(l.mount, "u:object_r:container_file_t:s0:c9");
}
