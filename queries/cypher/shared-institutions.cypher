// question: Which clusters live behind entities that strangers are known to share?
// when: To find benign groups that look like operations: a campus, a company, a clinic.
// group: safeguards
// maturity: stable
// param: min_score float 0 Clusters of the newest run with a lower score are left out.
// columns: cluster_id, known_kind, accounts, entities, cluster_size, cluster_score
// example:
MATCH (r:Run)
WITH r
ORDER BY r.created_at DESC, r.id
LIMIT 1
MATCH (a:Account)-[m:IN_CLUSTER]->(c:Cluster)
WHERE m.run_id = r.id AND c.score >= $min_score
MATCH (a)-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]->(x)
WHERE x.kind IS NOT NULL
RETURN c.id AS cluster_id,
       x.kind AS known_kind,
       count(DISTINCT a.id) AS accounts,
       count(DISTINCT x.token) AS entities,
       c.size AS cluster_size,
       c.score AS cluster_score
ORDER BY cluster_score DESC, cluster_id, known_kind
