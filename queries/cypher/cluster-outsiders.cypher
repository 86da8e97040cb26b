// question: Which accounts outside this cluster share a device, a card, a phone, a mailbox or a declared entity with its members?
// when: Before a takedown: whom would the operator still have, and whom would it hit by mistake?
// group: cluster
// maturity: stable
// param: cluster string - Id of the cluster.
// param: max_accounts int 50 Entities of more accounts than this are left out: strangers share them.
// columns: account_id, shared_entities, members, status, label, harm_rate, score
// example: cluster=pair
MATCH (c:Cluster {id: $cluster})-[:OF_RUN]->(r:Run)
WITH c, r
ORDER BY r.created_at DESC, r.id
LIMIT 1
MATCH (a:Account)-[m:IN_CLUSTER]->(c)
WHERE m.run_id = r.id
MATCH (a)-[:USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]->(x)
WITH r.id AS run, x, collect(a.id) AS inside
OPTIONAL MATCH (x)<-[:USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]-(sharer:Account)
WITH run, x, inside, count(sharer) AS accounts
WHERE accounts <= $max_accounts
OPTIONAL MATCH (x)<-[:USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]-(b:Account)
UNWIND inside AS member
WITH run, b, count(DISTINCT x.token) AS shared_entities, count(DISTINCT member) AS members
OPTIONAL MATCH (b)-[n:IN_CLUSTER]->(d:Cluster {id: $cluster})
WHERE n.run_id = run
WITH b, shared_entities, members, count(d) AS own
WHERE own = 0
RETURN b.id AS account_id,
       shared_entities AS shared_entities,
       members AS members,
       b.status AS status,
       b.label AS label,
       b.harm_rate AS harm_rate,
       b.score AS score
ORDER BY shared_entities DESC, account_id
