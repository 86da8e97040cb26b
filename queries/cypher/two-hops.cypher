// question: Which accounts are two shared entities away from this one, by more than an address?
// when: An account is known to be bad: who stands behind those that share something with it. The second entity is no address: too many share these.
// group: pivot
// maturity: stable
// param: account string - Id of the account that is known to be bad.
// param: max_accounts int 50 Entities of more accounts than this are left out: strangers share them.
// columns: account_id, between_accounts, shared_entities, label, score
// example: account=a1 max_accounts=4
MATCH (a:Account {id: $account})-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]->(x)
MATCH (x)<-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]-(sharer:Account)
WITH x.token AS near, count(*) AS accounts
WHERE accounts <= $max_accounts
MATCH (a:Account {id: $account})-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]->(x)
WHERE x.token = near
MATCH (x)<-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]-(m:Account)
WHERE m.id <> $account
MATCH (m)-[:USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]->(y)
WITH near, y.token AS far, count(*) AS paths
MATCH (a:Account {id: $account})-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]->(x)
WHERE x.token = near
MATCH (x)<-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]-(m:Account)
WHERE m.id <> $account
MATCH (m)-[:USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]->(y)
WHERE y.token = far
MATCH (y)<-[:USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]-(b:Account)
WITH near, far, paths, count(*) AS pairs
WHERE pairs <= paths * $max_accounts
MATCH (a:Account {id: $account})-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]->(x)
WHERE x.token = near
MATCH (x)<-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]-(m:Account)
WHERE m.id <> $account
MATCH (m)-[:USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]->(y)
WHERE y.token = far
MATCH (y)<-[:USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]-(b:Account)
WHERE b.id <> $account AND NOT EXISTS {
  MATCH (b)-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]->(z)<-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]-(c:Account {id: $account})
}
RETURN b.id AS account_id,
       count(DISTINCT m.id) AS between_accounts,
       count(DISTINCT far) AS shared_entities,
       b.label AS label,
       b.score AS score
ORDER BY between_accounts DESC, shared_entities DESC, account_id
