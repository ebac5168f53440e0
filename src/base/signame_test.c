#include "base/signame.h"

#include "base/test.h"

#include <ctype.h>
#include <signal.h>

TEST(signal_names_go_both_ways)
{
	CHECK(signal_by_name("TERM") == SIGTERM && signal_by_name("kill") == SIGKILL);
	CHECK(signal_by_name("IO") == SIGIO && signal_by_name("POLL") == SIGIO);
	CHECK(signal_by_name("SIGTERM") == 0 && signal_by_name("") == 0);
	CHECK_STR(signal_name(SIGTERM), "TERM");
	CHECK_STR(signal_text(SIGKILL), "killed");
	CHECK(!signal_name(0) && !signal_name(-1) && !signal_text(SIGNAL_RTMIN));
}

/* Only glibc says all of them: where the tests are built against another libc, this one is not. */
#ifdef __GLIBC__
TEST(signal_names_are_those_of_glibc)
{
	CHECK(SIGRTMIN == SIGNAL_RTMIN);
	for (int sig = 0; sig < NSIG; sig++) {
		const char *name = sigabbrev_np(sig), *text = sigdescr_np(sig);

		CHECK(!name == !signal_name(sig));
		if (!name)
			continue;
		CHECK_STR(signal_name(sig), name);
		CHECK(signal_text(sig)[0] == text[0] || signal_text(sig)[0] == tolower(text[0]));
		CHECK_STR(signal_text(sig) + 1, text + 1);
	}
}
#endif
