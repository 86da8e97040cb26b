// question: In which order did accounts take up this entity, and was it left by one before the next began?
// when: A card or a device that goes from one account to the next is an operator who replaces what was suspended.
// group: time
// maturity: stable
// param: entity string - Token of the entity, like device_0123456789abcdef0123456789abcdef.
// param: max_accounts int 200 An entity of more accounts than this is not looked at.
// columns: from_id, left_at, to_id, taken_at, from_status, to_status
// example: entity=payment_01
MATCH (x:Ip|Device|PaymentInstrument|Phone|Email|UserAgent|Entity {token: $entity})<-[:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO|USED_AGENT]-(sharer:Account)
WITH x, count(sharer) AS accounts
WHERE accounts <= $max_accounts
OPTIONAL MATCH (x)<-[used:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO|USED_AGENT]-(a:Account)
OPTIONAL MATCH (x)<-[later:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO|USED_AGENT]-(b:Account)
WITH used, a, later, b
WHERE b.id <> a.id AND later.first_seen > used.last_seen
RETURN a.id AS from_id,
       used.last_seen AS left_at,
       b.id AS to_id,
       later.first_seen AS taken_at,
       a.status AS from_status,
       b.status AS to_status
ORDER BY left_at, taken_at, from_id, to_id
