// SPDX-License-Identifier: Apache-2.0
/*
 * The BPF unit tests: every subject, then `N passed, N failed, N skipped`.
 *
 *	bpf-test [-first] [-verifier | -moments | -still [-only SUBJECT]]
 *
 * -first ends at the first failure, -verifier only counts what the verifier reads of each program,
 * -moments runs only the scenes with a packet that waits, -still all others, or those of one subject
 * (cases_SUBJECT.c). The exit status is 3 where the kernel refused the programs.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/bpf/node.h"
#include "tests/bpf/stall.h"

/* clang-format off */
#define SUBJECT(name) { #name, cases_##name }
/* clang-format on */
static const struct {
	const char *name;
	void (*run)(void);
} subjects[] = {
	SUBJECT(parse),	  SUBJECT(spoof),	   SUBJECT(answer),	 SUBJECT(flow),
	SUBJECT(policy),  SUBJECT(limit),	   SUBJECT(world),	 SUBJECT(nat),
	SUBJECT(life),	  SUBJECT(judge),	   SUBJECT(tap),	 SUBJECT(event),
	SUBJECT(error),	  SUBJECT(whose),	   SUBJECT(source),	 SUBJECT(asked),
	SUBJECT(clock),	  SUBJECT(wire),	   SUBJECT(quote),	 SUBJECT(end),
	SUBJECT(last),	  SUBJECT(race),	   SUBJECT(fragment),	 SUBJECT(uplink),
	SUBJECT(tuple),	  SUBJECT(identification), SUBJECT(outside),	 SUBJECT(remote),
	SUBJECT(dhcp),	  SUBJECT(dhcp6),	   SUBJECT(undelivered), SUBJECT(host_tap),
	SUBJECT(overlay), SUBJECT(wrap),	   SUBJECT(window),	 SUBJECT(flood),
	SUBJECT(way),	  SUBJECT(lost),	   SUBJECT(stranger),	 SUBJECT(opening),
	SUBJECT(close),	  SUBJECT(hook),	   SUBJECT(verifier),
};

static bool asked(int argc, char **argv, const char *option)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], option))
			return true;
	return false;
}

/* What stands behind the option, or NULL. */
static const char *named(int argc, char **argv, const char *option)
{
	for (int i = 1; i + 1 < argc; i++)
		if (!strcmp(argv[i], option))
			return argv[i + 1];
	return NULL;
}

/* All subjects, or the one of this name. */
static void still(const char *only)
{
	bool ran = false;

	for (size_t i = 0; i < sizeof(subjects) / sizeof(*subjects); i++) {
		if (only && strcmp(subjects[i].name, only) != 0)
			continue;
		ran = true;
		node_subject(subjects[i].name);
		subjects[i].run();
	}
	if (!only)
		node_all_proved();
	check("there is a subject of that name", ran);
}

static int moments(void)
{
	int r = stall_start();

	node_subject("moment");
	if (!r)
		cases_moment();
	stall_stop();
	return r;
}

static int run(int argc, char **argv)
{
	if (asked(argc, argv, "-verifier"))
		cases_verifier();
	else if (!asked(argc, argv, "-moments"))
		still(named(argc, argv, "-only"));
	if (asked(argc, argv, "-verifier") || asked(argc, argv, "-still"))
		return 0;
	return moments();
}

int main(int argc, char **argv)
{
	int passed, failed, skipped, r;

	if (geteuid()) {
		printf("0 passed, 0 failed, 1 skipped\n");
		fprintf(stderr, "bpf-test: it loads programs; fix: sudo\n");
		return 77;
	}
	setvbuf(stdout, NULL, _IOLBF, 0); /* a crash leaves what was said before it */
	if (asked(argc, argv, "-first"))
		node_first_failure_ends();
	r = node_start();
	if (!r)
		r = judge_start();
	if (!r)
		r = run(argc, argv);
	if (r) {
		printf("0 passed, 1 failed, 0 skipped\n");
		return r == -ENOEXEC ? 3 : 1;
	}
	judge_stop();
	node_stop();
	node_totals(&passed, &failed, &skipped);
	printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
	return failed ? 1 : 0;
}
