// question: What else do the accounts of this entity use, that at least two of them share?
// when: From one known entity to the rest of an operator's equipment.
// group: entity
// maturity: stable
// param: entity string - Token of the entity, like device_0123456789abcdef0123456789abcdef.
// param: max_accounts int 50 Entities of more accounts than this are left out: strangers share them.
// columns: entity, accounts, all_accounts, known_kind
// example: entity=device_01
MATCH (x:Ip|Device|PaymentInstrument|Phone|Email|UserAgent|Entity {token: $entity})<-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO|USED_AGENT]-(a:Account)
MATCH (a)-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]->(y)
WITH y, count(a) AS accounts
WHERE accounts >= 2 AND accounts <= $max_accounts
OPTIONAL MATCH (y)<-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]-(b:Account)
WITH y, accounts, count(b) AS all_accounts
WHERE all_accounts <= $max_accounts AND y.token <> $entity
RETURN y.token AS entity,
       accounts AS accounts,
       all_accounts AS all_accounts,
       y.kind AS known_kind
ORDER BY accounts DESC, all_accounts, entity
