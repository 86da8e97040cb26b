// question: In which clusters is this entity used, and by how many of their members?
// when: An entity turns up in one case: does it belong to others, too?
// group: entity
// maturity: stable
// param: entity string - Token of the entity, like device_0123456789abcdef0123456789abcdef.
// columns: cluster_id, members, cluster_size, cluster_score, abuse
// example: entity=ip_02
MATCH (r:Run)
WITH r
ORDER BY r.created_at DESC, r.id
LIMIT 1
MATCH (x:Ip|Device|PaymentInstrument|Phone|Email|UserAgent|Entity {token: $entity})<-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO|USED_AGENT]-(a:Account)
MATCH (a)-[m:IN_CLUSTER]->(c:Cluster)
WHERE m.run_id = r.id
RETURN c.id AS cluster_id,
       count(DISTINCT a.id) AS members,
       c.size AS cluster_size,
       c.score AS cluster_score,
       c.abuse AS abuse
ORDER BY members DESC, cluster_id
