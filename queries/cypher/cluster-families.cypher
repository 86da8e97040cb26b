// question: Which families of prompts do members of this cluster send, and does anybody else?
// when: What is the cluster for? A family of its own is worth more than one that went round.
// group: prompts and agents
// maturity: stable
// param: cluster string - Id of the cluster.
// columns: family, members, accounts, prompts, harm_rate
// example: cluster=ring
MATCH (c:Cluster {id: $cluster})-[:OF_RUN]->(r:Run)
WITH c, r
ORDER BY r.created_at DESC, r.id
LIMIT 1
MATCH (a:Account)-[m:IN_CLUSTER]->(c)
WHERE m.run_id = r.id
MATCH (a)-[sent:SENT]->(p:PromptFamily)
RETURN p.id AS family,
       count(DISTINCT a.id) AS members,
       p.accounts AS accounts,
       sum(sent.count) AS prompts,
       p.harm_rate AS harm_rate
ORDER BY members DESC, family
