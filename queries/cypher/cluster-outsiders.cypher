// question: Which accounts outside this cluster share an entity with its members?
// when: Before a takedown: whom would the operator still have, and whom would it hit by mistake?
// group: cluster
// maturity: stable
// param: cluster string - Id of the cluster.
// param: max_accounts int 50 Entities of more accounts than this are left out: strangers share them.
// columns: account_id, shared_entities, most_members, status, label, harm_rate, score
// example: cluster=ring
MATCH (c:Cluster {id: $cluster})-[:OF_RUN]->(r:Run)
WITH c, r
ORDER BY r.created_at DESC, r.id
LIMIT 1
MATCH (a:Account)-[m:IN_CLUSTER]->(c)
WHERE m.run_id = r.id
WITH r, collect(DISTINCT a.id) AS members
UNWIND members AS member
MATCH (a:Account {id: member})-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]->(x)
WITH members, x, count(DISTINCT a.id) AS inside
MATCH (x)<-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]-(b:Account)
WITH members, x, inside, count(DISTINCT b.id) AS accounts
WHERE accounts <= $max_accounts AND accounts > inside
MATCH (x)<-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]-(b:Account)
WHERE NOT b.id IN members
RETURN b.id AS account_id,
       count(DISTINCT x.token) AS shared_entities,
       max(inside) AS most_members,
       b.status AS status,
       b.label AS label,
       b.harm_rate AS harm_rate,
       b.score AS score
ORDER BY shared_entities DESC, account_id
