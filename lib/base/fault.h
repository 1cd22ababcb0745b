/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Kill points for tests. A test build (-DPK_FAULTS) reads PICKET_FAULT=point:n and raises
 * SIGKILL at the n-th passage of that point (point:n:stop: SIGSTOP, so that a test does something
 * there and sends SIGCONT); `--list-faults` prints all names. In a product
 * build pk_fault() is nothing. A name, once given, is part of the code's contract.
 */
#include <stdbool.h>

#ifdef PK_FAULTS
void pk_fault(const char *point);
/* Returns whether PICKET_FAULT names this point alone: a failure that tests can't bring about. */
bool pk_fault_asked(const char *name);
#else
static inline void pk_fault(const char *point)
{
	(void)point;
}
static inline bool pk_fault_asked(const char *name)
{
	(void)name;
	return false;
}
#endif
