/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Packets that wait at a named moment (bpf/lib/stall.h) for what the test does meanwhile. */
#include <stdbool.h>

#include "bpf/lib/stall.h"
#include "tests/bpf/node.h"

/* What happens while the packet is at the moment. */
struct hold {
	enum pk_stall at;
	void (*act)(void);
};

int stall_start(void); /* 0 or -errno; -ENOEXEC: the kernel refused a program */
void stall_stop(void);

/*
 * Runs the packet on a processor of its own, with the moments one after the other; an act whose
 * moment didn't come runs once the packet is through. The program's return, or -errno.
 */
int stall_run(enum node_prog prog, uint32_t slot, struct pkt p, const struct hold *holds, size_t n);
/* The scene from the tables' beginning, anew where the machine was too slow for it. */
void stall_scene(const char *text, bool (*scene)(void));
