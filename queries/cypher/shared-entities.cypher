// question: Which accounts share an entity with this account, and which entity?
// when: First look at a suspect: who is one step away, and by what.
// group: pivot
// maturity: stable
// param: account string - Id of the account.
// param: max_accounts int 50 Entities of more accounts than this are left out: strangers share them.
// columns: other_id, entity, entity_accounts, other_first_seen, other_last_seen, other_label, other_score
// example: account=a1
MATCH (a:Account {id: $account})-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]->(x)
MATCH (x)<-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]-(sharer:Account)
WITH x, count(sharer) AS accounts
WHERE accounts <= $max_accounts
OPTIONAL MATCH (x)<-[used:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]-(b:Account)
WITH x, accounts, used, b
WHERE b.id <> $account
RETURN b.id AS other_id,
       x.token AS entity,
       accounts AS entity_accounts,
       used.first_seen AS other_first_seen,
       used.last_seen AS other_last_seen,
       b.label AS other_label,
       b.score AS other_score
ORDER BY entity_accounts, entity, other_id
