/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "err.h"

/*
 * Waits until every packet that a program of ours has in hand is through: an RCU grace period
 * (7.6 ms by membarrier; a map of maps where the kernel refuses that one).
 */
int pk_rcu_wait(struct pk_err *err);
