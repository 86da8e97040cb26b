// question: Which accounts created since a day share an entity with one that is known as abusive or was suspended?
// when: After a takedown: is the operator back?
// group: safeguards
// maturity: stable
// param: since time - Accounts created before this are left out.
// param: max_accounts int 50 Entities of more accounts than this are left out: strangers share them.
// columns: account_id, created_at, shared_entities, bad_accounts, score
// example: since=2026-03-02
MATCH (bad:Account)
WHERE bad.label = 'abusive' OR bad.status = 'suspended'
MATCH (bad)-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]->(x)
WITH DISTINCT x
MATCH (x)<-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]-(sharer:Account)
WITH x,
     count(DISTINCT sharer.id) AS accounts,
     count(DISTINCT CASE WHEN sharer.label = 'abusive' OR sharer.status = 'suspended' THEN sharer.id END) AS bad
WHERE accounts <= $max_accounts
MATCH (x)<-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]-(b:Account)
WHERE b.created_at >= $since AND coalesce(b.label, 'none') <> 'abusive' AND coalesce(b.status, 'none') <> 'suspended'
RETURN b.id AS account_id,
       b.created_at AS created_at,
       count(DISTINCT x.token) AS shared_entities,
       max(bad) AS bad_accounts,
       b.score AS score
ORDER BY shared_entities DESC, account_id
