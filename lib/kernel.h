/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The engine `kernel` of expectations and property tests: everything that an engine compiled, in
 * maps of its own (nothing pinned, nothing attached), asked by bpf/judge.bpf.c through
 * BPF_PROG_TEST_RUN. Needs root.
 */
#include "ask.h"

extern const struct pk_ask_kernel pk_kernel;
