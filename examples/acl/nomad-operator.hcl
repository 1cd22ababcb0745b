# What the operators need of Nomad for `picket policy apply -nomad` and `rollout -nomad`: all documents, their history, what became of
# them, which nodes there are and what they enforce.
#   nomad acl policy apply picket-operator nomad-operator.hcl
node {
  policy = "read"
}
namespace "default" {
  variables {
    path "picket/v1/default/policies/*" {
      capabilities = ["list", "read", "write", "destroy"]
    }
    path "picket/v1/default/history/*" {
      capabilities = ["list", "read", "write", "destroy"]
    }
    path "picket/v1/default/*" {
      capabilities = ["list", "read"]
    }
  }
}
