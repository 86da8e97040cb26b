// question: Which entities do accounts of different clusters of this organization share?
// when: To see with your own eyes what ties the parts.
// group: organization
// maturity: stable
// param: organization string - Id of the inferred organization.
// param: max_accounts int 50 Entities of more accounts than this are left out: strangers share them.
// columns: entity, clusters, members, all_accounts, known_kind
// example: organization=s1
MATCH (r:Run)
WITH r
ORDER BY r.created_at DESC, r.id
LIMIT 1
MATCH (a:Account)-[m:IN_CLUSTER]->(:Cluster)-[:PART_OF]->(:Syndicate {id: $organization})
WHERE m.run_id = r.id
MATCH (a)-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]->(x)
MATCH (x)<-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]-(b:Account)
WITH r.id AS run, x.token AS token, count(*) AS pairs
MATCH (a:Account)-[m:IN_CLUSTER]->(c:Cluster)-[:PART_OF]->(:Syndicate {id: $organization})
WHERE m.run_id = run
MATCH (a)-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]->(x)
WHERE x.token = token
WITH token, pairs, x.kind AS kind, count(DISTINCT c.id) AS clusters, count(DISTINCT a.id) AS members
WHERE clusters >= 2 AND pairs <= members * $max_accounts
RETURN token AS entity,
       clusters AS clusters,
       members AS members,
       pairs / members AS all_accounts,
       kind AS known_kind
ORDER BY members DESC, all_accounts, entity
