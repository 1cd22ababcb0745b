/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Undo stack for plumbing: steps done are undone in reverse order unless `keep` is set. */
#include <stdbool.h>

#define PK_TXN_MAX 32

struct pk_txn {
	struct {
		void (*undo)(void *arg);
		void *arg;
	} step[PK_TXN_MAX];
	unsigned int n;
	bool keep;
};

/* arg must live until the transaction ends. Aborts beyond PK_TXN_MAX: a fixed number of steps. */
void pk_txn_add(struct pk_txn *txn, void (*undo)(void *arg), void *arg);
/* Ends the transaction, for PK_OWN(pk_txn_end). */
void pk_txn_end(struct pk_txn *txn);
