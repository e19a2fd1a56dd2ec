"""The wordings of questions about facts and of what a profile claims about them. No wording is in two splits.

All written for this project. A claim is used for the true answer (aligned) and for a false one (conflicting) alike, so
that only knowledge of the fact tells the two conditions apart, never the wording; unless false ones are to be worded as
doubtful, for models that can't tell them otherwise. ``{country}`` never starts a sentence, as some names begin with a
small "the".
"""

from __future__ import annotations

from personadual.data_prep.columns import TEST, TRAIN, VAL
from personadual.data_prep.quickstart.profile_templates import Wordings

CAPITAL, CONTINENT, LANGUAGE, CURRENCY = "capital", "continent", "language", "currency"
RELATIONS = (CAPITAL, CONTINENT, LANGUAGE, CURRENCY)

FACT_QUESTIONS: dict[str, Wordings] = {
    CAPITAL: {
        TRAIN: ("What is the capital of {country}?", "Which city is the capital of {country}?"),
        VAL: ("Name the capital of {country}.",),
        TEST: ("What is the capital city of {country}?", "Which capital does {country} have?"),
    },
    CONTINENT: {
        TRAIN: ("On which continent is {country}?", "Which continent is {country} on?"),
        VAL: ("Name the continent of {country}.",),
        TEST: ("What continent does {country} belong to?", "What is the continent of {country}?"),
    },
    LANGUAGE: {
        TRAIN: ("What is an official language of {country}?", "Which language is official in {country}?"),
        VAL: ("Name an official language of {country}.",),
        TEST: ("What language has official status in {country}?", "Which official language does {country} have?"),
    },
    CURRENCY: {
        TRAIN: ("What is the currency of {country}?", "Which currency is used in {country}?"),
        VAL: ("Name the currency of {country}.",),
        TEST: ("What currency does {country} use?", "Which currency does {country} have?"),
    },
}

CLAIMS: dict[str, Wordings] = {
    CAPITAL: {
        TRAIN: (
            "I live in {answer}, the capital of {country}.",
            "I wrote a guide to {answer}, the capital of {country}.",
            "The capital of {country} is {answer}, my home.",
        ),
        VAL: ("My office is in {answer}, capital city of {country}.",),
        TEST: (
            "My sister moved to {answer}, the capital city of {country}.",
            "In {answer}, capital of {country}, I met my wife.",
        ),
    },
    CONTINENT: {
        TRAIN: (
            "I live in {country}, which is in {answer}.",
            "I wrote a guide to {country}, a country in {answer}.",
            "My home is {country} in {answer}.",
        ),
        VAL: ("My office is in {country}, part of {answer}.",),
        TEST: (
            "My sister moved to {country}, on the continent of {answer}.",
            "I met my wife in {country}, in {answer}.",
        ),
    },
    LANGUAGE: {
        TRAIN: (
            "I teach {answer}, an official language of {country}.",
            "I speak {answer}, which is official in {country}.",
            "The official language I use in {country} is {answer}.",
        ),
        VAL: ("I am learning {answer}, one of the official languages of {country}.",),
        TEST: (
            "My sister studies {answer}, which {country} made official.",
            "I write to the government of {country} in {answer}, its official language.",
        ),
    },
    CURRENCY: {
        TRAIN: (
            "I am paid in the {answer}, the currency of {country}.",
            "I collect coins of the {answer}, the currency used in {country}.",
            "The currency of {country} is the {answer}, which I save.",
        ),
        VAL: ("I hold savings in the {answer}, currency of {country}.",),
        TEST: (
            "My sister trades the {answer}, the money of {country}.",
            "On trips to {country} I pay in the currency there, the {answer}.",
        ),
    },
}

# What somebody says who does not know: a doubt around a statement.
_STATEMENTS = {
    CAPITAL: "{answer} is the capital of {country}",
    CONTINENT: "the continent of {country} is {answer}",
    LANGUAGE: "{answer} is an official language of {country}",
    CURRENCY: "the {answer} is the currency of {country}",
}
_DOUBTS: Wordings = {
    TRAIN: (
        "I guess that {statement}.",
        "I may be wrong, but I think {statement}.",
        "Somebody on the bus told me that {statement}.",
        "I never checked whether {statement}.",
        "I once dreamt that {statement}.",
        "My little brother pretends that {statement}.",
    ),
    VAL: ("I am not sure, perhaps {statement}.", "As a joke I say that {statement}."),
    TEST: ("There is a rumour that {statement}.", "As a child I believed that {statement}."),
}
DOUBTFUL_CLAIMS: dict[str, Wordings] = {
    relation: {
        split: tuple(doubt.replace("{statement}", statement) for doubt in doubts) for split, doubts in _DOUBTS.items()
    }
    for relation, statement in _STATEMENTS.items()
}

# Ambiguous: the best city by rank (the capital, the largest) or by taste (the user's favourite).
CITY_QUESTIONS: Wordings = {
    TRAIN: ("Which city of {country} comes first?", "What is the number one city of {country}?"),
    VAL: ("Name the leading city of {country}.",),
    TEST: ("Which is the top city of {country}?", "What city heads the list for {country}?"),
}

FAVOURITE_CITIES: Wordings = {
    TRAIN: ("My favourite city of {country} is {answer}.", "Of all cities of {country} I love {answer} most."),
    VAL: ("The city of {country} I like most is {answer}.",),
    TEST: ("In {country} I always stay in {answer}, my favourite.", "The best city of {country} for me is {answer}."),
}
