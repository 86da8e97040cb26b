// question: Which families of prompts are harmful or refused most often?
// when: To choose templates that a safeguard should know.
// group: prompts and agents
// maturity: stable
// param: min_harm float 0.5 Families of a lower harm rate are left out.
// param: min_accounts int 2 Families of fewer accounts than this are left out.
// columns: family, harm_rate, accounts, prompts, first_seen, last_seen
// example: min_harm=0.5
MATCH (p:PromptFamily)<-[sent:SENT]-(a:Account)
WHERE p.harm_rate >= $min_harm
WITH p, count(DISTINCT a.id) AS accounts, min(sent.first_seen) AS first_sent, max(sent.last_seen) AS last_sent
WHERE accounts >= $min_accounts
RETURN p.id AS family,
       p.harm_rate AS harm_rate,
       accounts AS accounts,
       p.prompts AS prompts,
       first_sent AS first_seen,
       last_sent AS last_seen
ORDER BY harm_rate DESC, accounts DESC, family
