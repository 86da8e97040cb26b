// question: Which devices do the most accounts use?
// when: To find devices that go from hand to hand.
// group: entity
// maturity: stable
// param: min_accounts int 2 Those of fewer accounts than this are left out.
// columns: device, accounts, abusive_accounts, countries, first_seen, last_seen, known_kind
// example: min_accounts=2
MATCH (a:Account)-[used:USED_DEVICE]->(x:Device)
WITH x,
     count(DISTINCT a.id) AS accounts,
     count(DISTINCT CASE WHEN a.label = 'abusive' THEN a.id END) AS abusive,
     count(DISTINCT a.country) AS countries,
     min(used.first_seen) AS first_used,
     max(used.last_seen) AS last_used
WHERE accounts >= $min_accounts
RETURN x.token AS device,
       accounts AS accounts,
       abusive AS abusive_accounts,
       countries AS countries,
       first_used AS first_seen,
       last_used AS last_seen,
       x.kind AS known_kind
ORDER BY accounts DESC, device
