// question: When did the members of this cluster sign up, and from how many networks have they come?
// when: Made in one night, or over a year?
// group: time
// maturity: stable
// param: cluster string - Id of the cluster.
// columns: created_at, account_id, networks, plan, country, events
// example: cluster=ring
MATCH (c:Cluster {id: $cluster})-[:OF_RUN]->(r:Run)
WITH c, r
ORDER BY r.created_at DESC, r.id
LIMIT 1
MATCH (a:Account)-[m:IN_CLUSTER]->(c)
WHERE m.run_id = r.id
OPTIONAL MATCH (a)-[:USED_IP]->(:Ip)-[:IN_NETWORK]->(n:Network)
RETURN a.created_at AS created_at,
       a.id AS account_id,
       count(DISTINCT n.cidr) AS networks,
       a.plan AS plan,
       a.country AS country,
       a.events AS events
ORDER BY created_at, account_id
