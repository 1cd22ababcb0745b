# What picketd asks of Nomad: which node it is on, and that node's allocs with their jobs.
#   nomad acl policy apply -description "Picket's controllers" picket nomad-picket.hcl
#   nomad acl token create -type client -policy picket -name picket
node {
  policy = "read"
}

namespace "*" {
  capabilities = ["list-jobs", "read-job"]
}
