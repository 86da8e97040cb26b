// question: Which entities are known to be shared by strangers, and how many accounts use them?
// when: To check the entities table: what is in it, and what is used by nobody.
// group: entity
// maturity: stable
// columns: known_kind, entity, accounts
// example:
MATCH (x:Ip|Device|PaymentInstrument|Phone|Email|Entity)
WHERE x.kind IS NOT NULL
OPTIONAL MATCH (x)<-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]-(a:Account)
RETURN x.kind AS known_kind,
       x.token AS entity,
       count(DISTINCT a.id) AS accounts
ORDER BY known_kind, accounts DESC, entity
