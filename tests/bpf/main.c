// SPDX-License-Identifier: Apache-2.0
/*
 * The BPF unit tests: every subject, then `N passed, N failed, N skipped`.
 *
 *	bpf-test [-first] [-verifier | -moments | -still]
 *
 * -first ends at the first failure, -verifier only counts what the verifier reads of each program,
 * -moments runs only the scenes with a packet that waits, -still all others. The exit status is 3
 * where the kernel refused the programs.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/bpf/node.h"
#include "tests/bpf/stall.h"

static void (*const subjects[])(void) = {
	cases_parse,	cases_spoof,	cases_answer, cases_flow,	 cases_policy,
	cases_limit,	cases_world,	cases_nat,    cases_life,	 cases_judge,
	cases_tap,	cases_event,	cases_error,  cases_whose,	 cases_source,
	cases_asked,	cases_clock,	cases_wire,   cases_quote,	 cases_end,
	cases_race,	cases_fragment, cases_uplink, cases_tuple,	 cases_outside,
	cases_remote,	cases_dhcp,	cases_dhcp6,  cases_undelivered, cases_host_tap,
	cases_verifier,
};

static bool asked(int argc, char **argv, const char *option)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], option))
			return true;
	return false;
}

static void still(void)
{
	for (size_t i = 0; i < sizeof(subjects) / sizeof(*subjects); i++)
		subjects[i]();
}

static int moments(void)
{
	int r = stall_start();

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
		still();
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
