// question: Which clusters did the newest run find?
// when: The start of a day's work; `ringwatch clusters list` says the same with reasons.
// group: cluster
// maturity: stable
// param: min_score float 0 Clusters of a lower score are left out.
// columns: cluster_id, size, score, bits, abuse, status, layers, first_seen, last_seen
// example: min_score=0.05
MATCH (r:Run)
WITH r
ORDER BY r.created_at DESC, r.id
LIMIT 1
MATCH (c:Cluster)-[:OF_RUN]->(r)
WHERE c.score >= $min_score
RETURN c.id AS cluster_id,
       c.size AS size,
       c.score AS score,
       c.bits AS bits,
       c.abuse AS abuse,
       c.status AS status,
       c.layers AS layers,
       c.first_seen AS first_seen,
       c.last_seen AS last_seen
ORDER BY score DESC, cluster_id
