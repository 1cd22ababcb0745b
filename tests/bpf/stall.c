// SPDX-License-Identifier: Apache-2.0
/*
 * The guard that waits, over the tables of the one that doesn't. The waiting packet has one
 * processor, the test another; the wait is bounded in the program, so a test that gets no time
 * loses the scene, not the machine.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "bpfobj.h"
#include "guard_stall.skel.h"
#include "tests/bpf/stall.h"
#include "tests/bpf/object.h"

#define SCENES 20 /* tries of one */

static struct pk_guard_stall *guard;
static bool late;

struct runner {
	enum node_prog prog;
	uint32_t slot;
	struct pkt p;
	int verdict;
	atomic_bool through;
};

int stall_start(void)
{
	guard = object_open(pk_guard_stall, "guard_stall");
	if (!guard)
		return -errno;
	guard->rodata->pk_kfunc = pk_bpf_has_kfunc() > 0;
	if (node_share(guard->obj))
		return -errno;
	return pk_guard_stall__load(guard) ? -ENOEXEC : 0;
}

void stall_stop(void)
{
	pk_guard_stall__destroy(guard);
}

static void on_processors(int first, int last)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int nr = first; nr <= last; nr++)
		CPU_SET(nr, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void *carry(void *arg)
{
	struct runner *r = arg;
	const struct bpf_program *prog =
		r->prog == NODE_FROM ? guard->progs.pk_from_endpoint : guard->progs.pk_to_endpoint;

	on_processors(0, 0);
	r->verdict = node_run_fd(bpf_program__fd(prog), r->slot, &r->p, NULL);
	atomic_store(&r->through, true);
	return NULL;
}

/* Until the packet is held for the nth time, or through. */
static bool reached(const struct runner *r, uint32_t nth)
{
	while (!atomic_load(&r->through))
		if (__atomic_load_n(&guard->bss->stall_held, __ATOMIC_SEQ_CST) == nth)
			return true;
	return false;
}

static void go_on(enum pk_stall next)
{
	__atomic_store_n(&guard->bss->stall_armed, next, __ATOMIC_SEQ_CST);
	__atomic_store_n(&guard->bss->stall_go, 1, __ATOMIC_SEQ_CST);
}

int stall_run(enum node_prog prog, uint32_t slot, struct pkt p, const struct hold *holds, size_t n)
{
	struct runner r = { .prog = prog, .slot = slot, .p = p };
	pthread_t thread;

	*guard->bss = (struct pk_guard_stall__bss){ .stall_armed = holds[0].at };
	if (pthread_create(&thread, NULL, carry, &r))
		return -EAGAIN;
	for (size_t i = 0; i < n; i++) {
		bool held = reached(&r, i + 1);

		holds[i].act();
		if (held)
			go_on(i + 1 < n ? holds[i + 1].at : PK_STALL_NONE);
	}
	pthread_join(thread, NULL);
	late |= guard->bss->stall_late;
	return r.verdict;
}

void stall_scene(const char *text, bool (*scene)(void))
{
	bool holds = false;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		return skip(text, "it takes two processors");
	on_processors(1, 1);
	for (int i = 0; i < SCENES; i++) {
		node_reset();
		late = false;
		holds = scene();
		if (!late)
			break;
	}
	on_processors(0, CPU_SETSIZE - 1);
	check(text, holds && !late);
}
