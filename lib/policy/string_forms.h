/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The forms of a policy document's strings (schema.h). */
#include "schema.h"

extern const struct pk_format pk_format_name, pk_format_namespace, pk_format_tier;
extern const struct pk_format pk_format_label_key, pk_format_expression_key, pk_format_operator;
extern const struct pk_format pk_format_cidr, pk_format_entity, pk_format_service;
extern const struct pk_format pk_format_fqdn_name, pk_format_fqdn_pattern;
extern const struct pk_format pk_format_port, pk_format_protocol;
extern const struct pk_format pk_format_family, pk_format_icmp_type;
