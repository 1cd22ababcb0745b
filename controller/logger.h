/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * picketd's log leaves by a thread: who reads standard error may have stopped, or write to a disk
 * that hangs. Lines that don't fit any more are counted, and the log says how many once it can.
 */
#include <stddef.h>
#include <stdint.h>

void pk_logger_start(void);
/*
 * What waits is written first, until then (CLOCK_MONOTONIC); later lines are written at once. What
 * still waits then is left, and so is what comes after it.
 */
void pk_logger_stop(uint64_t until_ns);
uint64_t pk_logger_lost(void);
/* For how long nobody has read what it writes; 0: somebody does. */
uint64_t pk_logger_stuck_ms(void);
size_t pk_logger_waiting(void); /* bytes */
