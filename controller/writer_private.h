/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Names the files that a writer is to write, for writer*.c alone. */
#include "writer.h"

struct pk_writer_files *writer_files_new(struct pk_writer *writer, struct pk_loop *loop,
					 size_t max_size);
/* Tries nothing again from now on. */
void writer_files_stop(struct pk_writer_files *files);
void writer_files_free(struct pk_writer_files *files);
struct pk_writer_files *writer_files(struct pk_writer *writer);
