/* SPDX-License-Identifier: Apache-2.0 */
#include "txn.h"

#include <stdlib.h>

void pk_txn_add(struct pk_txn *txn, void (*undo)(void *arg), void *arg)
{
	if (txn->n >= PK_TXN_MAX)
		abort();
	txn->step[txn->n].undo = undo;
	txn->step[txn->n].arg = arg;
	txn->n++;
}

void pk_txn_end(struct pk_txn *txn)
{
	while (!txn->keep && txn->n > 0) {
		txn->n--;
		txn->step[txn->n].undo(txn->step[txn->n].arg);
	}
	txn->n = 0;
}
