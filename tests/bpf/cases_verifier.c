// SPDX-License-Identifier: Apache-2.0
/*
 * How many instructions the verifier reads of each program, one line a program:
 *
 *	-- verifier: PROGRAM (WAY) COUNT of BUDGET
 *
 * WAY is how the packet's metadata are read: kfunc, or probe on kernels without it.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdio.h>

#include "bpfobj.h"
#include "guard.skel.h"
#include "sock.skel.h"
#include "tests/bpf/node.h"
#include "tests/bpf/object.h"

/*
 * Twice the longest when this was written: pk_from_uplink, 38,574 on 6.18 (the kernel's own bound is
 * a million). What comes past it was multiplied by a loop or a branch that nobody
 * meant, and each first load pays for it.
 */
#define BUDGET 80000

_Static_assert(PK_OBJECTS == 3, "a new object of bpf/: cases_verifier() must count it too");

static void count(const struct bpf_program *prog, const char *way)
{
	struct bpf_prog_info info = { 0 };
	uint32_t size = sizeof(info);
	char text[128];

	if (bpf_obj_get_info_by_fd(bpf_program__fd(prog), &info, &size))
		info.verified_insns = 0;
	printf("-- verifier: %s (%s) %u of %d\n", bpf_program__name(prog), way, info.verified_insns,
	       BUDGET);
	snprintf(text, sizeof(text), "the verifier reads at most %d instructions of %s (%s)",
		 BUDGET, bpf_program__name(prog), way);
	check(text, info.verified_insns && info.verified_insns <= BUDGET);
}

static void count_all(const struct bpf_object *obj, const char *way)
{
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, obj) count(prog, way);
}

/* The cgroup's programs, which only real sockets can run: tests/netns/test_sock.py. */
static void count_sock(const char *way)
{
	struct pk_sock *sock = object_open(pk_sock, "sock");

	if (check("the cgroup's programs load",
		  sock && !node_share(sock->obj) && !pk_sock__load(sock)))
		count_all(sock->obj, way);
	pk_sock__destroy(sock);
}

void cases_verifier(void)
{
	bool kfunc = pk_bpf_has_kfunc() > 0;
	const char *way = kfunc ? "kfunc" : "probe";
	struct pk_guard *probe;

	count_all(node_object(), way);
	count_all(judge_object(), way);
	count_sock(way);
	if (!kfunc)
		return;
	probe = node_open_probe();
	if (!check("the guard loads without the kfunc too", probe))
		return;
	count_all(probe->obj, "probe");
	count_all(judge_object(), "probe"); /* these read none: they are the same */
	count_sock("probe");
	pk_guard__destroy(probe);
}
