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
WITH x, count(sharer) AS accounts
WHERE accounts <= $max_accounts
OPTIONAL MATCH (x)<-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]-(m:Account)
WITH DISTINCT m
WHERE m.id <> $account
OPTIONAL MATCH (m)-[:USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]->(y)
WITH y, collect(m.id) AS between
WHERE y IS NOT NULL
OPTIONAL MATCH (y)<-[:USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]-(sharer:Account)
WITH y, between, count(sharer) AS accounts
WHERE accounts <= $max_accounts
OPTIONAL MATCH (y)<-[:USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]-(b:Account)
UNWIND between AS m
WITH b, count(DISTINCT m) AS between_accounts, count(DISTINCT y.token) AS shared_entities
WHERE b.id <> $account
OPTIONAL MATCH (b)-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]->(z)<-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]-(a:Account {id: $account})
WITH b, between_accounts, shared_entities, count(z) AS in_common
WHERE in_common = 0
RETURN b.id AS account_id,
       between_accounts AS between_accounts,
       shared_entities AS shared_entities,
       b.label AS label,
       b.score AS score
ORDER BY between_accounts DESC, shared_entities DESC, account_id
