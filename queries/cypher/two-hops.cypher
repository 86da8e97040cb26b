// question: Which accounts are two shared entities away from this one?
// when: An account is known to be bad: who stands behind those that share something with it.
// group: pivot
// maturity: stable
// param: account string - Id of the account that is known to be bad.
// param: max_accounts int 50 Entities of more accounts than this are left out: strangers share them.
// columns: account_id, between_accounts, shared_entities, label, score
// example: account=a1 max_accounts=4
MATCH (a:Account {id: $account})-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]->(x)
WITH DISTINCT a, x
MATCH (x)<-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]-(near:Account)
WITH a, x, count(DISTINCT near.id) AS accounts
WHERE accounts <= $max_accounts
MATCH (x)<-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]-(m:Account)
WHERE m.id <> a.id
WITH a, collect(DISTINCT m.id) AS direct
UNWIND direct AS between
MATCH (m:Account {id: between})-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]->(y)
WITH DISTINCT a, direct, m, y
MATCH (y)<-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]-(far:Account)
WITH a, direct, m, y, count(DISTINCT far.id) AS accounts
WHERE accounts <= $max_accounts
MATCH (y)<-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]-(b:Account)
WHERE b.id <> a.id AND NOT b.id IN direct
RETURN b.id AS account_id,
       count(DISTINCT m.id) AS between_accounts,
       count(DISTINCT y.token) AS shared_entities,
       b.label AS label,
       b.score AS score
ORDER BY between_accounts DESC, shared_entities DESC, account_id
