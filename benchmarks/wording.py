"""Texts to try families on: requests in natural-looking English, and copies of them that hide in the ways people do.

A request is a list of clauses filled from the words of one topic, so that strangers who ask about the same thing share
words, collocations and whole phrases. A copy replaces words (by synonyms where there are any), orders its clauses
anew, puts words in and takes words out, and fills the slots of its template with names, numbers and places.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

_TOPICS_TEXT = """
cooking: recipe dinner soup pasta chicken rice oven sauce vegetable dessert cake breakfast spice kitchen onion garlic
 bread salad stew pan dough butter lentil menu guest / cook bake roast season chop simmer freeze serve taste prepare
 / spicy vegetarian crispy cheap creamy fresh healthy sweet gluten traditional
travel: flight hotel itinerary luggage airport passport train beach museum visa hostel ticket island tour guide
 restaurant border suitcase ferry map booking weekend landmark villa / visit book plan explore rent pack cancel reach
 compare arrange / cheap remote crowded scenic coastal direct quiet historic sunny flexible
code: function python loop variable server database query script error exception class library thread cache endpoint
 parser regex compiler container test branch deployment queue schema / debug refactor compile deploy parse optimise
 import sort validate document / recursive asynchronous slow nested generic legacy concurrent typed broken minimal
mail: email letter invoice customer reply complaint refund apology colleague manager meeting deadline proposal
 signature attachment newsletter subject request supplier contract reminder feedback agreement notice / write send
 forward answer draft shorten translate confirm decline schedule / polite formal friendly brief urgent late official
 warm clear professional
health: sleep headache doctor diet vitamin exercise pain symptom medicine allergy fever blood pressure therapy stress
 muscle injury stretch appetite weight vaccine clinic rash breathing / treat reduce improve prevent diagnose measure
 relieve avoid monitor recover / chronic mild severe natural daily sudden early safe common gentle
school: essay homework exam thesis chapter lecture grade teacher paragraph summary citation quiz lesson classroom
 textbook student assignment semester professor notes library theory poem novel / summarise explain study revise cite
 outline memorise discuss analyse compare / short difficult final weekly academic original detailed simple critical
 oral
money: budget tax loan mortgage savings salary pension stock dividend bank account interest rate debt insurance fund
 inflation expense receipt credit portfolio rent bond broker / save invest pay borrow calculate deduct transfer
 refinance compare estimate / monthly fixed annual variable risky taxable overdue low joint private
garden: tomato soil seed lawn hedge rose compost weed pot greenhouse fertiliser bulb shade pruning herb fence pond
 orchard mulch slug watering tree harvest balcony / plant water prune grow harvest fertilise dig trim sow protect
 / sunny dry tall organic indoor tender hardy wild wet potted
law: contract lease tenant landlord court clause lawyer licence copyright patent dispute liability fine statute
 settlement witness inheritance appeal custody employer damages privacy notary deposit / sue terminate sign negotiate
 appeal register draft dispute enforce breach / legal binding unfair written federal civil verbal void temporary
 reasonable
music: guitar chord melody song piano lyrics rhythm drum concert playlist album scale tempo bass microphone choir
 harmony verse chorus studio violin singer key score / compose record tune practise mix transpose sing arrange perform
 rehearse / acoustic slow minor loud catchy electronic classical sad jazzy live
sport: marathon training coach match goal league stadium racket swimming cycling team score injury warmup sprint
 referee season tournament ball gym distance pace muscle medal / run train win stretch score defend lift swim race
 recover / fast amateur intense weekly aerobic competitive tired strong steady junior
shop: product price discount order parcel delivery stock customer review store basket warranty brand catalogue coupon
 size return shipping website payment advert seller label warehouse / sell buy promote ship return list describe
 launch advertise rate / new durable affordable premium handmade popular limited eco seasonal bulk
story: hero dragon castle villain plot dialogue scene character forest secret ending mystery detective ghost village
 journey sword narrator king storm betrayal letter ocean robot / write invent describe rewrite continue reveal
 imagine illustrate narrate end / dark funny epic magical lonely brave unexpected short romantic ancient
house: kitchen roof boiler wall paint carpet window plumber leak radiator furniture bathroom tile floor drill shelf
 lamp basement insulation door wiring ceiling gutter attic / repair paint install replace clean renovate measure
 insulate hang fix / damp noisy small wooden broken bright cold modern leaking old
"""

_OPEN = """
|please|can you|could you|i want to|i would like to|help me|i need to|how do i|how can i|what is the best way to
|show me how to|tell me how to|is it ok to|we have to|my boss wants me to|my sister asked me to|you are an expert so
|imagine you|step by step|teach me to|i am trying to|remind me how to|let us|quickly|in plain words|should i|when do i
|is there a trick to|before the weekend i must|for my class i must|without any tools
""".replace("\n", "").split("|")
_ACT = "write make find explain list suggest draft check compare describe give improve choose plan fix review".split()
_OBJECT = """
the N|a A N|my N|this A N|some Ns|every N|the A N of {name}|{number} Ns|two A Ns|a N and a N|the N or the N|our A Ns
|a N that is A|the N from {city}|which N is A|all the Ns|an N for {name}|any A N|a N made of N|the most A N
|a N that can V|how Ns V|why a N is A|N and N|a A and A N|what a N costs|a {number} page N about Ns|the N we V
""".replace("\n", "").split("|")
_LINK = """
for the N|with a N|without Ns|in {city}|about the N|after the A N|before {date}|near a N|instead of a N|using Ns only
|so that the N is A|because the N is A|while they V|like a N|against the N|under {number} Ns|by {date}|from a A N
|and then V it|to V the N|in {language}|for {name}|if the N is A|though my Ns are A|at the N|on a A N|despite the N
""".replace("\n", "").split("|")
_MORE = """
keep it A|use A words|no more than {number} words|mention the N|do not V the Ns|include a N|it has to be A|avoid Ns
|the N must be A|end with a N|start with the N|i already have a N|i tried to V it|my N is very A|{name} does not like Ns
|we only have {number} Ns|the last one was A|assume that Ns are A|sort it by N|say when to V|the Ns are from {city}
|it is for a A N|thanks|add a N at the end|put Ns first|nobody should V it|think about the A N|it may V
|as a table|as bullet points|and be A|{name} will V it|last time the N was too A|give reasons|make it sound A
""".replace("\n", "").split("|")

_SYNONYMS_TEXT = """
write compose pen author / please kindly / best ideal finest optimal / way method approach manner / explain clarify
describe / give provide offer / list overview collection / need want require / help assist support / make create build
produce / tell inform / check verify inspect / suggest propose recommend / difference distinction contrast / below
underneath following / find locate identify / cost price / people folks persons / keep leave hold / use apply employ
/ mention name cite / example sample instance / add append insert / avoid skip omit / remember note recall / end
finish close / question query / simple easy plain / sort order arrange / assume suppose imagine / whole entire full
/ start begin open / send deliver return / result output outcome / short brief concise / cheap affordable inexpensive
/ new fresh recent / fix repair mend / plan schedule programme / improve enhance boost / reduce lower cut / buy
purchase / customer client buyer / letter note message / compare contrast weigh / summarise condense recap / rewrite
rephrase reword / draft sketch prepare / polite courteous civil / formal official / urgent pressing / difficult hard
tough / important crucial key / dark gloomy / funny humorous / brave bold / repair fix / clean wash / old aged / cold
chilly / small tiny / fast quick rapid / sad blue / error bug fault / script program / story tale / doctor physician
/ exercise workout / salary pay wage / loan credit / lawyer attorney / fine penalty / song track / match game / team
squad / parcel package / picture image / house home / wall partition / garden yard / trim cut clip / grow raise
cultivate / visit see / book reserve / cancel drop / cook prepare / dinner supper / dessert pudding / spicy hot
"""

_FILLERS = """
just really basically actually right now honestly by the way thanks in advance if possible as soon as you can
for me today once again quickly carefully por favor gracias bitte danke merci s'il vous plait grazie onegai
i would like you to it would be great if hello there hi team dear assistant ok so well
""".split()  # fmt: skip

_NAMES = """
anna ben carla dmitri elena farid greta hugo ines jonas keiko liam maria noor olga pavel quentin rosa samir tomas
uma viktor wanda xavier yusuf zoe amara boris chloe diego esther felix hana igor jamal kira luis mina nadia omar
""".split()  # fmt: skip
_CITIES = """
berlin paris lagos lima tokyo madrid oslo cairo delhi quito rome seoul turin porto riga basel accra hanoi kyoto
dublin vienna prague athens nairobi bogota tunis perth leeds
""".split()
_LANGUAGES = "french german spanish hindi arabic polish korean turkish dutch greek".split()  # fmt: skip
_MONTHS = "january february march april may june july august september october november december".split()  # fmt: skip
_RARE = "ba be bo da di do fa fe ga gi ka ko la le lo ma mi mo na ne pa po ra re ri sa so ta te ti va ve zo".split()  # fmt: skip


@dataclass(frozen=True)
class Topic:
    """Nouns, verbs and adjectives of what people ask about."""

    nouns: list[str]
    verbs: list[str]
    adjectives: list[str]


def _topics() -> list[Topic]:
    found = []
    for block in _TOPICS_TEXT.replace("\n ", " ").strip().split("\n"):
        parts = block.split(": ")[1].split(" / ")
        found.append(Topic(*(part.split() for part in parts)))
    return found


TOPICS = _topics()
SYNONYMS: dict[str, list[str]] = {}
for _group in _SYNONYMS_TEXT.replace("\n", " ").split(" / "):
    for _word in _group.split():
        SYNONYMS.setdefault(_word, []).extend(word for word in _group.split() if word != _word)

Clauses = list[list[str]]


@dataclass(frozen=True)
class Habits:
    """How a copy hides: shares of words replaced, put in and taken out; whether clauses change places.

    `synonyms` is the share of replacements that take a synonym where the word has one.
    """

    replaced: float = 0.0
    synonyms: float = 0.8
    inserted: float = 0.0
    dropped: float = 0.0
    reordered: bool = False


def new_request(rng: random.Random, *, long: bool = False) -> tuple[Clauses, Topic]:
    """A request that nobody has made yet, slots still open, and what it is about."""
    topic = rng.choice(TOPICS)
    act = rng.choice(_ACT) if rng.random() < 0.5 else "V"
    clauses = [f"{rng.choice(_OPEN)} {act} {rng.choice(_OBJECT)}", rng.choice(_LINK)]
    if rng.random() < 0.4:
        clauses.append(rng.choice(_LINK))
    clauses += rng.sample(_MORE, rng.randint(2, 5) if long else min(int(rng.expovariate(0.7)), 5))
    return [[_drawn(word, topic, rng) for word in clause.split()] for clause in clauses], topic


def _drawn(word: str, topic: Topic, rng: random.Random) -> str:
    pools = pools_of(topic)
    if word not in pools:
        return word
    if rng.random() < 0.08:  # a name, a brand, a term of art
        return "".join(rng.choice(_RARE) for _ in range(rng.randint(2, 4)))
    pool = pools[word] if rng.random() < 0.85 else pools_of(rng.choice(TOPICS))[word]
    at = min(int(rng.paretovariate(0.7)) - 1, len(pool) - 1) if rng.random() < 0.5 else rng.randrange(len(pool))
    return pool[at] + "s" * (word == "Ns")


def pools_of(topic: Topic) -> dict[str, list[str]]:
    return {"N": topic.nouns, "Ns": topic.nouns, "V": topic.verbs, "A": topic.adjectives}


def spoken(clauses: Clauses, rng: random.Random) -> str:
    """The text of a request, with its slots filled."""
    return " ".join(_filled(word, rng) for clause in clauses for word in clause)


def _filled(word: str, rng: random.Random) -> str:
    if not word.startswith("{"):
        return word
    if word == "{number}":
        return str(rng.choice([2, 3, 5, 7, 10, 12, 15, 20, 30, 50, 100, 200, 250, rng.randint(2, 9999)]))
    if word == "{date}":
        return f"{rng.randint(1, 28)} {rng.choice(_MONTHS)}"
    return rng.choice({"{city}": _CITIES, "{name}": _NAMES, "{language}": _LANGUAGES}[word])


def copy(clauses: Clauses, topic: Topic, habits: Habits, rng: random.Random) -> str:
    """A copy of a request by somebody with these habits."""
    if habits.reordered:
        clauses = rng.sample(clauses, len(clauses))
    words: list[str] = []
    for word in (word for clause in clauses for word in clause):
        if rng.random() < habits.inserted:
            words.append(rng.choice(_FILLERS))
        if rng.random() < habits.dropped:
            continue
        words.append(_replaced(word, topic, habits, rng) if rng.random() < habits.replaced else word)
    return spoken([words], rng)


def _replaced(word: str, topic: Topic, habits: Habits, rng: random.Random) -> str:
    if word in SYNONYMS and rng.random() < habits.synonyms:
        return rng.choice(SYNONYMS[word])
    pool = rng.choice([topic.nouns, topic.verbs, topic.adjectives, _FILLERS, [_drawn("N", topic, rng)]])
    return rng.choice(pool)
