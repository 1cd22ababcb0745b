# SPDX-License-Identifier: Apache-2.0
"""A cluster of which one node is real: Consul and Nomad answer for all the others, whose life is a seed's."""
