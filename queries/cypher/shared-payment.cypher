// question: Which accounts pay with this card?
// when: A card is known to be stolen, or two suspects turn out to share one.
// group: entity
// maturity: stable
// param: payment string - Token of the payment instrument (payment_…).
// columns: account_id, payments, first_seen, last_seen, label, score
// example: payment=payment_01
MATCH (p:PaymentInstrument {token: $payment})<-[paid:PAID_WITH]-(a:Account)
RETURN a.id AS account_id,
       paid.count AS payments,
       paid.first_seen AS first_seen,
       paid.last_seen AS last_seen,
       a.label AS label,
       a.score AS score
ORDER BY first_seen, account_id
