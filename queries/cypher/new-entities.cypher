// question: Which entities were first used in this time, by two or more accounts?
// when: To find equipment that has just been put to use.
// group: time
// maturity: stable
// param: since time 1970-01-01T00:00:00Z What came before this is left out.
// param: until time 2200-01-01T00:00:00Z What came at or after this is left out.
// param: min_accounts int 2 Entities of fewer accounts than this are left out.
// param: max_accounts int 50 Entities of more accounts than this are left out: strangers share them.
// columns: entity, accounts, first_seen, last_seen, known_kind
// example: since=2026-03-02 min_accounts=2
MATCH (x:Ip|Device|PaymentInstrument|Phone|Email|Entity)<-[used:USED_IP|USED_DEVICE|PAID_WITH|HAS_PHONE|HAS_EMAIL|LINKED_TO]-(a:Account)
WITH x, count(DISTINCT a.id) AS accounts, min(used.first_seen) AS first_used, max(used.last_seen) AS last_used
WHERE first_used >= $since AND first_used < $until AND accounts >= $min_accounts AND accounts <= $max_accounts
RETURN x.token AS entity,
       accounts AS accounts,
       first_used AS first_seen,
       last_used AS last_seen,
       x.kind AS known_kind
ORDER BY accounts DESC, entity
