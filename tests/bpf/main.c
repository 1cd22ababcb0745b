// SPDX-License-Identifier: GPL-2.0-only
/* The BPF unit tests: every subject, then `N passed, N failed, N skipped`. */
#include <stdio.h>
#include <unistd.h>

#include "tests/bpf/node.h"

int main(void)
{
	int passed, failed;

	if (geteuid()) {
		printf("0 passed, 0 failed, 1 skipped\n");
		fprintf(stderr, "bpf-test: it loads programs; fix: sudo\n");
		return 77;
	}
	if (node_start()) {
		printf("0 passed, 1 failed, 0 skipped\n");
		return 1;
	}
	cases_parse();
	cases_spoof();
	cases_answer();
	cases_flow();
	cases_policy();
	cases_limit();
	cases_world();
	cases_judge();
	cases_race();
	node_stop();
	node_totals(&passed, &failed);
	printf("%d passed, %d failed, 0 skipped\n", passed, failed);
	return failed ? 1 : 0;
}
