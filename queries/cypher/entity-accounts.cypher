// question: Which accounts use this entity?
// when: A device, a card, an address is known to be bad: `ringwatch find` gives its token.
// group: entity
// maturity: stable
// param: entity string - Token of the entity, like device_0123456789abcdef0123456789abcdef.
// columns: account_id, uses, first_seen, last_seen, status, label, harm_rate, score
// example: entity=ip_03
MATCH (x:Ip|Device|PaymentInstrument|Phone|Email|UserAgent|Entity {token: $entity})<-[used:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO|USED_AGENT]-(a:Account)
RETURN a.id AS account_id,
       used.count AS uses,
       used.first_seen AS first_seen,
       used.last_seen AS last_seen,
       a.status AS status,
       a.label AS label,
       a.harm_rate AS harm_rate,
       a.score AS score
ORDER BY first_seen, account_id
