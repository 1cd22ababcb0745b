# SPDX-License-Identifier: Apache-2.0
"""What Cilium's policies mean to Cilium, apart from Picket: the measure of `picket policy import`."""
