// question: Which families are like this one, and how many accounts does each have?
// when: A template was changed: what became of it?
// group: prompts and agents
// maturity: stable
// param: family string - Id of the prompt family.
// columns: family, similarity, accounts, prompts, harm_rate
// example: family=p1
MATCH (p:PromptFamily {id: $family})-[like:SIMILAR_TO]-(q:PromptFamily)
RETURN q.id AS family,
       like.score AS similarity,
       q.accounts AS accounts,
       q.prompts AS prompts,
       q.harm_rate AS harm_rate
ORDER BY similarity DESC, family
