# What picketd asks of Nomad: which node it is on, that node's allocs with their jobs, and the declared services of its catalogue.
#   nomad acl policy apply -description "Picket's controllers" picket nomad-picket.hcl
#   nomad acl token create -type client -policy picket -name picket
node {
  policy = "read"
}

namespace "*" {
  capabilities = ["list-jobs", "read-job"]
}
