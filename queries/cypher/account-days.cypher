// question: When did this account begin and stop to use what it uses?
// when: Its life in one list: a new device or card every week is not a person.
// group: time
// maturity: stable
// param: account string - Id of the account.
// columns: first_seen, last_seen, entity, uses, known_kind
// example: account=a1
MATCH (a:Account {id: $account})-[used:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]->(x)
RETURN used.first_seen AS first_seen,
       used.last_seen AS last_seen,
       x.token AS entity,
       used.count AS uses,
       x.kind AS known_kind
ORDER BY first_seen, last_seen, entity
