// question: Which tool chains do members of this cluster run, and does anybody else?
// when: Agents of one program have the same chains.
// group: prompts and agents
// maturity: stable
// param: cluster string - Id of the cluster.
// columns: chain, tools, members, accounts, runs
// example: cluster=ring
MATCH (c:Cluster {id: $cluster})-[:OF_RUN]->(r:Run)
WITH c, r
ORDER BY r.created_at DESC, r.id
LIMIT 1
MATCH (a:Account)-[m:IN_CLUSTER]->(c)
WHERE m.run_id = r.id
MATCH (a)-[ran:RAN]->(t:ToolChain)
RETURN t.id AS chain,
       t.tools AS tools,
       count(DISTINCT a.id) AS members,
       t.accounts AS accounts,
       sum(ran.count) AS runs
ORDER BY members DESC, chain
