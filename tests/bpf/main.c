// SPDX-License-Identifier: GPL-2.0-only
/*
 * The BPF unit tests: every subject, then `N passed, N failed, N skipped`.
 *
 *	bpf-test [-first | -verifier]
 *
 * -first ends at the first failure, -verifier only counts what the verifier reads of each program.
 * The exit status is 3 where the kernel refused the programs.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/bpf/node.h"
#include "tests/bpf/stall.h"

static void (*const subjects[])(void) = {
	cases_parse, cases_spoof, cases_answer, cases_flow, cases_policy, cases_limit, cases_world,
	cases_nat,   cases_life,  cases_judge,	cases_race, cases_moment, cases_tap,
};

static bool asked(int argc, char **argv, const char *option)
{
	return argc == 2 && !strcmp(argv[1], option);
}

int main(int argc, char **argv)
{
	int passed, failed, skipped, r;

	if (geteuid()) {
		printf("0 passed, 0 failed, 1 skipped\n");
		fprintf(stderr, "bpf-test: it loads programs; fix: sudo\n");
		return 77;
	}
	if (asked(argc, argv, "-first"))
		node_first_failure_ends();
	r = node_start();
	if (!r)
		r = judge_start();
	if (!r)
		r = stall_start();
	if (r) {
		printf("0 passed, 1 failed, 0 skipped\n");
		return r == -ENOEXEC ? 3 : 1;
	}
	cases_verifier();
	for (size_t i = 0; i < sizeof(subjects) / sizeof(*subjects); i++)
		if (!asked(argc, argv, "-verifier"))
			subjects[i]();
	stall_stop();
	judge_stop();
	node_stop();
	node_totals(&passed, &failed, &skipped);
	printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
	return failed ? 1 : 0;
}
