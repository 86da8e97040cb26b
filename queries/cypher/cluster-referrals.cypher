// question: Who referred or invited whom within this cluster?
// when: A tree of referrals shows who began it.
// group: cluster
// maturity: stable
// param: cluster string - Id of the cluster.
// columns: from_id, to_id, times, first_seen, to_created_at
// example: cluster=ring
MATCH (c:Cluster {id: $cluster})-[:OF_RUN]->(r:Run)
WITH c, r
ORDER BY r.created_at DESC, r.id
LIMIT 1
MATCH (a:Account)-[m:IN_CLUSTER]->(c)
WHERE m.run_id = r.id
WITH c, r, collect(DISTINCT a.id) AS members
MATCH (a:Account)-[m:IN_CLUSTER]->(c)
WHERE m.run_id = r.id
MATCH (a)-[brought:REFERRED|INVITED]->(b:Account)
WHERE b.id IN members
RETURN a.id AS from_id,
       b.id AS to_id,
       brought.count AS times,
       brought.first_seen AS first_seen,
       b.created_at AS to_created_at
ORDER BY first_seen, from_id, to_id
