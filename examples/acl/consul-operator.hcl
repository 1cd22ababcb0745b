# What the operators need of Consul for `picket policy apply -consul` and `rollout`: all documents, what became of them,
# which nodes enforce them.
#   consul acl policy create -name picket-operator -rules @consul-operator.hcl
#   consul acl token create -description "policies of the fleet" -policy-name picket-operator
key_prefix "picket/v1/default/policies/" {
  policy = "write"
}
key_prefix "picket/v1/default/status/" {
  policy = "read"
}
# Which nodes there are: one that says nothing of its documents lags.
key_prefix "picket/v1/default/nodes/" {
  policy = "read"
}
# Who changed which text into which, and the texts: written with the documents.
key_prefix "picket/v1/default/history/" {
  policy = "write"
}
