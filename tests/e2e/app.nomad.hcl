# Some processes of one tenant, each on a node of its own.
variable "namespace" {
  type = string
}

variable "count" {
  type = number
}

variable "name" {
  type    = string
  default = "app"
}

job "app" {
  id        = var.name
  namespace = var.namespace

  group "app" {
    count = var.count
    constraint {
      distinct_hosts = true
    }
    network {
      mode = "cni/picket"
    }
    restart {
      attempts = 5
      delay    = "1s"
      mode     = "delay"
    }
    migrate {
      health_check     = "task_states"
      min_healthy_time = "1s"
    }
    task "app" {
      driver       = "raw_exec"
      kill_timeout = "1s"
      config {
        command = "/bin/sleep"
        args    = ["infinity"]
      }
      resources {
        cpu    = 50
        memory = 16
      }
    }
  }
}
