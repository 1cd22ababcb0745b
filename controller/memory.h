/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What of picketd's memory is needed no more once a piece of work is done. */

/* Gives freed memory back to the kernel. */
void pk_memory_trim(void);
/*
 * Gives back the pages of program and libraries, too, which the start read: the loader each symbol,
 * TLS its tables. What is needed again comes from the page cache, in as many pages as are needed.
 * For once, as a debugger's breakpoints in the program would go with them.
 */
void pk_memory_leave_start(void);
