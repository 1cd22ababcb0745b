# SPDX-License-Identifier: Apache-2.0
# A published service with a check. `port` with `to`: a port of the node leads to the endpoint's own 8080 (the conflist needs
# "capabilities": { "portMappings": true }).
#
# address_mode = "alloc": the service is registered with the endpoint's own address and port. Without it Nomad registers the
# node's address and the published port, and callers on other nodes come in by that port, masqueraded: as a node or the world, which no
# policy that names jobs or services matches. Whoever calls from outside uses the node's address and the port of
# `nomad alloc status`, whatever is registered.
#
# The check's own address_mode = "alloc" has the node's Nomad (or Consul) agent probe the endpoint itself, which the baseline
# opens for exactly the port that is checked ("healthChecks" in picketd.json).
#
#   nomad job run examples/nomad/published.nomad.hcl

job "web" {
  type = "service"

  group "web" {
    network {
      mode = "cni/picket"
      port "http" {
        to = 8080
      }
    }

    service {
      name         = "web"
      provider     = "nomad"
      port         = "http"
      address_mode = "alloc"

      check {
        type         = "http"
        path         = "/"
        port         = "http"
        address_mode = "alloc"
        interval     = "10s"
        timeout      = "2s"
      }
    }

    task "web" {
      driver = "exec"
      config {
        command = "/usr/bin/python3"
        args    = ["-m", "http.server", "8080", "--directory", "/local"]
      }
      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
