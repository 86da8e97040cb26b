// question: Which accounts are in this organization, and in which of its clusters?
// when: Before a takedown that is about all parts at once.
// group: organization
// maturity: stable
// param: organization string - Id of the inferred organization.
// columns: account_id, cluster_id, membership, status, label, harm_rate, score
// example: organization=s1
MATCH (r:Run)
WITH r
ORDER BY r.created_at DESC, r.id
LIMIT 1
MATCH (a:Account)-[m:IN_CLUSTER]->(c:Cluster)-[:PART_OF]->(:Syndicate {id: $organization})
WHERE m.run_id = r.id
RETURN a.id AS account_id,
       c.id AS cluster_id,
       m.membership AS membership,
       a.status AS status,
       a.label AS label,
       a.harm_rate AS harm_rate,
       a.score AS score
ORDER BY cluster_id, account_id
