// question: Which inferred organizations are there, of how many clusters and accounts?
// when: Every week: who stands behind more than one cluster?
// group: organization
// maturity: stable
// param: min_score float 0 Organizations of a lower score are left out.
// columns: organization_id, score, bits, clusters, accounts, highest_abuse
// example:
MATCH (r:Run)
WITH r
ORDER BY r.created_at DESC, r.id
LIMIT 1
MATCH (a:Account)-[m:IN_CLUSTER]->(c:Cluster)-[:PART_OF]->(s:Syndicate)
WHERE m.run_id = r.id AND s.score >= $min_score
RETURN s.id AS organization_id,
       s.score AS score,
       s.bits AS bits,
       count(DISTINCT c.id) AS clusters,
       count(DISTINCT a.id) AS accounts,
       max(c.abuse) AS highest_abuse
ORDER BY score DESC, organization_id
