// question: Of which clusters is this organization made, and which of them does harm?
// when: An organization is up for review: a clean front is a part as well.
// group: organization
// maturity: stable
// param: organization string - Id of the inferred organization.
// columns: cluster_id, accounts, score, abuse, status, mean_harm_rate, mean_refused_rate
// example: organization=s1
MATCH (r:Run)
WITH r
ORDER BY r.created_at DESC, r.id
LIMIT 1
MATCH (a:Account)-[m:IN_CLUSTER]->(c:Cluster)-[:PART_OF]->(:Syndicate {id: $organization})
WHERE m.run_id = r.id
RETURN c.id AS cluster_id,
       count(DISTINCT a.id) AS accounts,
       c.score AS score,
       c.abuse AS abuse,
       c.status AS status,
       round(avg(a.harm_rate), 4) AS mean_harm_rate,
       round(avg(a.refused_rate), 4) AS mean_refused_rate
ORDER BY score DESC, cluster_id
