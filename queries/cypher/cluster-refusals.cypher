// question: How much of what each cluster's accounts ask is harmful or refused?
// when: To choose which clusters to look at first, whatever their score.
// group: safeguards
// maturity: stable
// param: min_score float 0 Clusters of the newest run with a lower score are left out.
// columns: cluster_id, cluster_score, accounts, mean_harm_rate, mean_refused_rate, highest_refused_rate
// example: min_score=0.05
MATCH (r:Run)
WITH r
ORDER BY r.created_at DESC, r.id
LIMIT 1
MATCH (a:Account)-[m:IN_CLUSTER]->(c:Cluster)
WHERE m.run_id = r.id AND c.score >= $min_score
RETURN c.id AS cluster_id,
       c.score AS cluster_score,
       count(DISTINCT a.id) AS accounts,
       round(avg(a.harm_rate), 4) AS mean_harm_rate,
       round(avg(a.refused_rate), 4) AS mean_refused_rate,
       max(a.refused_rate) AS highest_refused_rate
ORDER BY cluster_score DESC, cluster_id
