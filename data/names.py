"""Fixed vocabularies of the world: countries, names, mail providers, user agents, models, tools."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

#: Country, its share, hours from UTC, dialling code.
COUNTRIES = (
    ("US", 24, -6, "1"), ("IN", 14, 5, "91"), ("BR", 7, -3, "55"), ("GB", 6, 0, "44"), ("DE", 5, 1, "49"),
    ("FR", 4, 1, "33"), ("CA", 4, -5, "1"), ("ID", 4, 7, "62"), ("JP", 4, 9, "81"), ("NL", 3, 1, "31"),
    ("ES", 3, 1, "34"), ("MX", 3, -6, "52"), ("PH", 3, 8, "63"), ("VN", 2, 7, "84"), ("NG", 2, 1, "234"),
    ("PK", 2, 5, "92"), ("IT", 2, 1, "39"), ("PL", 2, 1, "48"), ("UA", 2, 2, "380"), ("TR", 2, 3, "90"),
    ("KR", 2, 9, "82"), ("AU", 2, 10, "61"), ("KE", 1, 3, "254"), ("SE", 1, 1, "46"),
)  # fmt: skip
COUNTRY_TEXT = pa.array([row[0] for row in COUNTRIES])
COUNTRY_SHARE = np.array([row[1] for row in COUNTRIES], dtype=np.float64) / sum(row[1] for row in COUNTRIES)
COUNTRY_HOURS = np.array([row[2] for row in COUNTRIES], dtype=np.int64)
DIALLING = pa.array([f"+{row[3]}" for row in COUNTRIES])

_FIRST_TEXT = """
adam aisha alex alice amir amy ana andre anna anton arjun ben bianca boris bruno carla carlos cem chen chloe
clara daan daniel david deepa diego dina dmitri elena eli elif emeka emma eric eva fatima felix femi finn
gabriel grace hana hans hugo ibrahim ines ivan jack jana jin joao john jonas jose juan julia kai karim kate
kenji lars laura lea leo lin lucas lucia luis maja marco maria marie mark marta mei mia miguel mila mohammed
nadia naomi nina noah noor olga oliver omar oscar paolo paul pedro petra pia priya rafael rahul rania ravi rosa
ruth sam sara sofia soren stefan sven tara thomas tim tomas uma valeria vera victor viktor wei will xavier yana
yara yuki yusuf zara zoe
"""
FIRST = pa.array(_FIRST_TEXT.split())
_LAST_TEXT = """
abe adams ahmed ali andersen baker bakker banerjee barbosa bauer becker bello berg brown bruno castro chen clark
cohen costa cruz das davis diaz dubois edwards eriksen evans fernandez ferrari fischer flores fontaine garcia
gomez gray green gupta haas hall hansen harris hill hoang hughes ibrahim ito iyer jansen jensen johnson jones
kaya khan kim king klein kovacs kowalski kumar larsen lee lewis li lopez mahmoud martin meyer miller mishra
moore moreau morgan mori mwangi nakamura nguyen nielsen novak nowak okafor okoye oliveira ortiz park patel
pereira perez pham popov ramos rao reddy reyes ricci rivera roberts rossi roy ruiz russo santos sato schmidt
schulz scott sharma shah silva singh smith sousa suzuki tan tanaka taylor thomas tran turner usman vargas vega
visser walker wang weber white williams wilson wong wright yamada yang yilmaz young zhang ziegler
"""
LAST = pa.array(_LAST_TEXT.split())

PROVIDERS = (
    ("gmail.com", 46), ("outlook.com", 11), ("hotmail.com", 8), ("yahoo.com", 9), ("icloud.com", 7), ("proton.me", 3),
    ("gmx.de", 3), ("mail.ru", 2), ("web.de", 2), ("qq.com", 3), ("163.com", 2), ("live.com", 2), ("zoho.com", 1),
    ("mailinator.com", 0.4), ("guerrillamail.com", 0.3), ("10minutemail.com", 0.3),
)  # fmt: skip
PROVIDER_TEXT = [row[0] for row in PROVIDERS]
PROVIDER_SHARE = np.array([row[1] for row in PROVIDERS]) / sum(row[1] for row in PROVIDERS)

_DESKTOP = "Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{major}.0.0.0 Safari/537.36"
AGENTS = pa.array(
    [
        _DESKTOP.format(system=system, major=major)
        for major in (124, 123, 125, 122, 121, 120, 119, 117)
        for system in ("Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "X11; Linux x86_64")
    ]
    + [
        f"Mozilla/5.0 (iPhone; CPU iPhone OS {os} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
        f"Version/{version} Mobile/15E148 Safari/604.1"
        for os, version in (("17_4", "17.4"), ("17_3", "17.3"), ("16_6", "16.6"), ("17_5", "17.5"), ("15_8", "15.6"))
    ]
    + [
        f"Mozilla/5.0 (Linux; Android {android}; {phone}) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/124.0.0.0 Mobile Safari/537.36"
        for android, phone in (("14", "SM-S918B"), ("13", "SM-A536B"), ("14", "Pixel 8"), ("12", "M2101K6G"))
    ]
    + [
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:125.0) Gecko/20100101 Firefox/125.0",
        "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:124.0) Gecko/20100101 Firefox/124.0",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 "
        "Safari/605.1.15",
        "python-requests/2.31.0", "axios/1.6.8", "okhttp/4.12.0", "Go-http-client/2.0", "curl/8.5.0",
    ]
)  # fmt: skip

EVENT_KINDS = pa.array(["signup", "login", "payment", "chat", "api", "tool_call", "other"])
SIGNUP, LOGIN, PAYMENT, CHAT, API, TOOL_CALL, OTHER = range(7)
MODELS = pa.array(["small-3", "medium-3", "large-3", "medium-2"])
PLANS = pa.array(["free", "plus", "pro", "team", "enterprise"])
FREE, PLUS, PRO, TEAM, ENTERPRISE = range(5)
STATUS = pa.array(["active", "suspended", "closed"])
HARMS = pa.array(
    ["fraud", "spam", "malware", "phishing", "influence", "scraping", "cyber", "weapons", "self_harm", "hate"]
)
CURRENCIES = pa.array(["USD", "EUR", "INR", "BRL", "GBP", "JPY"])
TOOLS = pa.array([
    "search", "fetch", "shell", "mail.send", "browser.open", "browser.click", "file.read", "file.write", "sql.query",
    "code.run", "http.post", "calendar.add", "image.make", "translate", "captcha.solve", "sms.receive", "form.fill",
    "dns.lookup", "port.scan", "repo.clone",
])  # fmt: skip
DAY_US = 86_400_000_000
START_US = 1_772_323_200_000_000  # 2026-03-01T00:00:00Z
DAYS = 120
END_US = START_US + DAYS * DAY_US
SIGNUP_DAYS = 730
"""The world: events of 120 days from March 2026 on, and sign-ups of the two years that end with them."""
RELATIONS = pa.array(["referral", "transfer", "invite", "follow", "message"])
REFERRAL, TRANSFER, INVITE, FOLLOW, MESSAGE = range(5)
