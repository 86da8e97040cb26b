// question: Which accounts that share an entity with this one are suspended, known as abusive, or of a high score?
// when: To see at once whether an account keeps bad company.
// group: pivot
// maturity: stable
// param: account string - Id of the account.
// param: min_score float 0.5 Accounts of a lower score are left out, unless they are suspended or abusive.
// param: max_accounts int 50 Entities of more accounts than this are left out: strangers share them.
// columns: account_id, status, label, score, shared_entities, smallest_entity
// example: account=b1 min_score=0.2
MATCH (a:Account {id: $account})-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]->(x)
MATCH (x)<-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]-(sharer:Account)
WITH x, count(sharer) AS accounts
WHERE accounts <= $max_accounts
OPTIONAL MATCH (x)<-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]-(b:Account)
WITH x, accounts, b
WHERE b.id <> $account AND (b.status = 'suspended' OR b.label = 'abusive' OR b.score >= $min_score)
RETURN b.id AS account_id,
       b.status AS status,
       b.label AS label,
       b.score AS score,
       count(DISTINCT x.token) AS shared_entities,
       min(accounts) AS smallest_entity
ORDER BY shared_entities DESC, smallest_entity, account_id
