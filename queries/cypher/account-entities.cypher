// question: What does this account use, and how many others use it too?
// when: First look at an account: what ties it to others, and what is its own.
// group: pivot
// maturity: stable
// param: account string - Id of the account.
// columns: entity, other_accounts, uses, first_seen, last_seen, known_kind
// example: account=a1
MATCH (a:Account {id: $account})-[used:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]->(x)
OPTIONAL MATCH (x)<-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]-(b:Account)
WHERE b.id <> $account
RETURN x.token AS entity,
       count(DISTINCT b.id) AS other_accounts,
       used.count AS uses,
       used.first_seen AS first_seen,
       used.last_seen AS last_seen,
       x.kind AS known_kind
ORDER BY other_accounts DESC, entity
