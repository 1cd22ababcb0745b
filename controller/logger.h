/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Writes picketd's log by a thread: a reader of standard error may stop, or write to a disk that
 * hangs. Lines that don't fit any more are counted, and the log says how many once it can.
 */
#include <stddef.h>
#include <stdint.h>

void pk_logger_start(void);
/*
 * Writes the waiting lines until then (CLOCK_MONOTONIC). Later lines are written at once. Lines
 * that still wait then are dropped, and so is what comes after them.
 */
void pk_logger_stop(uint64_t until_ns);
uint64_t pk_logger_lost(void);
/* Returns for how long nobody has read what it writes; 0: somebody does. */
uint64_t pk_logger_stuck_ms(void);
size_t pk_logger_waiting(void); /* bytes */
