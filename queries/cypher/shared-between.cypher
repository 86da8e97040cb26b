// question: Which entities do these two accounts share?
// when: Two accounts are said to be one person: what do both use, and when did each?
// group: pivot
// maturity: stable
// param: account string - Id of the account.
// param: other string - Id of the other account.
// columns: entity, known_kind, uses, first_seen, last_seen, other_uses, other_first_seen, other_last_seen
// example: account=a1 other=a3
MATCH (a:Account {id: $account})-[mine:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]->(x)
MATCH (x)<-[theirs:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]-(b:Account {id: $other})
RETURN x.token AS entity,
       x.kind AS known_kind,
       mine.count AS uses,
       mine.first_seen AS first_seen,
       mine.last_seen AS last_seen,
       theirs.count AS other_uses,
       theirs.first_seen AS other_first_seen,
       theirs.last_seen AS other_last_seen
ORDER BY entity
