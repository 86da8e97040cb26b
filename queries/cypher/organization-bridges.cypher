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
MATCH (a:Account)-[m:IN_CLUSTER]->(c:Cluster)-[:PART_OF]->(:Syndicate {id: $organization})
WHERE m.run_id = r.id
MATCH (a)-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]->(x)
WITH x, count(DISTINCT c.id) AS clusters, count(DISTINCT a.id) AS members
WHERE clusters >= 2
OPTIONAL MATCH (x)<-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]-(b:Account)
WITH x, clusters, members, count(b) AS all_accounts
WHERE all_accounts <= $max_accounts
RETURN x.token AS entity,
       clusters AS clusters,
       members AS members,
       all_accounts AS all_accounts,
       x.kind AS known_kind
ORDER BY members DESC, all_accounts, entity
