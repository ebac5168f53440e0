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

TEST(words_for_signals)
{
	static const struct {
		const char *word;
		int want;
	} rows[] = { { "15", 15 },
		     { "64", 64 },
		     { "65", 0 },
		     { "0", 0 },
		     { "-9", 0 },
		     { "4294967305", 0 },
		     { "TERM", SIGTERM },
		     { "SIGTERM", SIGTERM },
		     { "sigkill", SIGKILL },
		     { "SIGSIGKILL", 0 },
		     { "SIG15", 0 },
		     { "", 0 },
		     { "SIG", 0 },
		     { "RTMIN", 34 },
		     { "SIGRTMIN+3", 37 },
		     { "rtmin+30", 64 },
		     { "RTMIN+31", 0 },
		     { "RTMIN+", 0 },
		     { "RTMIN-1", 0 },
		     { "RTMAX", 64 },
		     { "RTMAX-14", 50 },
		     { "RTMAX-31", 0 },
		     { "SIGRTMINPLUS3", 37 },
		     { "SIGRTMAXMINUS2", 62 },
		     { "SIGRTMINPLUS2147483647", 0 },
		     { "TERMPLUS1", 0 } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (signal_by_word(rows[i].word) != rows[i].want)
			FAIL_("%s: %d", rows[i].word, signal_by_word(rows[i].word));
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
