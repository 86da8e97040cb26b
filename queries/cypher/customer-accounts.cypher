// question: Which accounts does this customer have, and which of them are in a cluster?
// when: A customer complains, or one of its accounts is in a case.
// group: organization
// maturity: stable
// param: org_id string - Id of the customer, as the data gives it.
// columns: account_id, first_seen, status, label, harm_rate, score, cluster_id, cluster_score
// example: org_id=org1
MATCH (r:Run)
WITH r
ORDER BY r.created_at DESC, r.id
LIMIT 1
MATCH (o:Organization {id: $org_id})<-[of:MEMBER_OF]-(a:Account)
OPTIONAL MATCH (a)-[m:IN_CLUSTER]->(c:Cluster)
WHERE m.run_id = r.id
RETURN a.id AS account_id,
       of.first_seen AS first_seen,
       a.status AS status,
       a.label AS label,
       a.harm_rate AS harm_rate,
       a.score AS score,
       c.id AS cluster_id,
       c.score AS cluster_score
ORDER BY account_id, cluster_id
