"""The wordings of profiles and of personal questions. All written for this project; no wording is in two splits.

``{value}`` stands where an attribute's value goes, ``{name}`` where the user's name goes.
"""

from __future__ import annotations

from personadual.data_prep.columns import TEST, TRAIN, VAL

Wordings = dict[str, tuple[str, ...]]

INTRODUCTIONS: Wordings = {
    TRAIN: ("I am {name}.", "My name is {name}."),
    VAL: ("You can call me {name}.",),
    TEST: ("People call me {name}.", "This is {name}."),
}

SENTENCES: dict[str, Wordings] = {
    "drink": {
        TRAIN: ("My favourite drink is {value}.", "I love to drink {value}.", "I always order {value} to drink."),
        VAL: ("The drink I like most is {value}.",),
        TEST: ("I never say no to a glass of {value}.", "The best drink for me is {value}."),
    },
    "dish": {
        TRAIN: ("My favourite dish is {value}.", "I love to eat {value}.", "For dinner I cook {value}."),
        VAL: ("The meal I like most is {value}.",),
        TEST: ("I could eat {value} every day.", "The best dish for me is {value}."),
    },
    "hobby": {
        TRAIN: ("My hobby is {value}.", "I spend my weekends on {value}.", "In my free time I enjoy {value}."),
        VAL: ("The hobby I like most is {value}.",),
        TEST: ("After work I relax with {value}.", "My great hobby is {value}."),
    },
    "music": {
        TRAIN: ("My favourite music is {value}.", "I listen to {value} music.", "I go to {value} concerts."),
        VAL: ("The music I like most is {value}.",),
        TEST: ("My radio always plays {value}.", "The best music for me is {value}."),
    },
    "books": {
        TRAIN: ("My favourite books are {value}.", "I love to read {value}.", "My shelves are full of {value}."),
        VAL: ("The books I like most are {value}.",),
        TEST: ("At night I read {value}.", "The best books for me are {value}."),
    },
    "pet": {
        TRAIN: ("I have a pet {value}.", "My pet is a {value}.", "I live with my {value}, my only pet."),
        VAL: ("The pet I keep is a {value}.",),
        TEST: ("At home a {value} waits for me.", "I feed my pet {value} every morning."),
    },
    "sport": {
        TRAIN: ("My favourite sport is {value}.", "My sport is {value}.", "I train for {value} twice a week."),
        VAL: ("The sport I like most is {value}.",),
        TEST: ("I joined a club for {value}.", "The best sport for me is {value}."),
    },
    "colour": {
        TRAIN: ("My favourite colour is {value}.", "I love the colour {value}.", "I wear {value} clothes."),
        VAL: ("The colour I like most is {value}.",),
        TEST: ("Nearly everything I own is {value}.", "The best colour for me is {value}."),
    },
    "instrument": {
        TRAIN: ("I play the {value}.", "My instrument is the {value}.", "I take lessons on the {value}."),
        VAL: ("The instrument I practise is the {value}.",),
        TEST: ("In our band I am on the {value}.", "I own and play a {value}."),
    },
    "job": {
        TRAIN: ("I work as a {value}.", "My job is {value}.", "I earn my living as a {value}."),
        VAL: ("By profession I am a {value}.",),
        TEST: ("I have been a {value} for years.", "I trained as a {value} and still am one."),
    },
}

QUESTIONS: dict[str, Wordings] = {
    "drink": {
        TRAIN: ("What is my favourite drink?", "Which drink should I order?", "What should I drink?"),
        VAL: ("Which drink suits me?",),
        TEST: ("Which drink would I like?", "What drink is right for me?"),
    },
    "dish": {
        TRAIN: ("What is my favourite dish?", "Which dish should I order?", "What should I eat?"),
        VAL: ("Which meal suits me?",),
        TEST: ("Which dish would I like?", "What dish is right for me?"),
    },
    "hobby": {
        TRAIN: ("What is my hobby?", "Which hobby do I have?", "Which hobby should my course be about?"),
        VAL: ("Which hobby suits me?",),
        TEST: ("Which hobby would I like a gift for?", "What hobby is right for me?"),
    },
    "music": {
        TRAIN: ("What is my favourite music?", "Which music should I play?", "What music do I like?"),
        VAL: ("Which music suits me?",),
        TEST: ("Which music would I like?", "What music is right for me?"),
    },
    "books": {
        TRAIN: ("What are my favourite books?", "Which books should I buy?", "What books do I like?"),
        VAL: ("Which books suit me?",),
        TEST: ("Which books would I like?", "What books are right for me?"),
    },
    "pet": {
        TRAIN: ("What pet do I have?", "Which animal is my pet?", "For which pet should I buy food?"),
        VAL: ("Which animal do I keep?",),
        TEST: ("Which animal lives with me?", "What animal should my pet sitter expect?"),
    },
    "sport": {
        TRAIN: ("What is my favourite sport?", "Which sport should I watch?", "What sport do I like?"),
        VAL: ("Which sport suits me?",),
        TEST: ("Which sport would I like?", "What sport is right for me?"),
    },
    "colour": {
        TRAIN: ("What is my favourite colour?", "Which colour should I choose?", "What colour do I like?"),
        VAL: ("Which colour suits me?",),
        TEST: ("Which colour would I like?", "What colour is right for me?"),
    },
    "instrument": {
        TRAIN: ("What instrument do I play?", "Which instrument is mine?", "Which instrument should I bring?"),
        VAL: ("On which instrument can I perform?",),
        TEST: ("Which instrument would I like sheet music for?", "What instrument is right for me?"),
    },
    "job": {
        TRAIN: ("What is my job?", "What do I work as?", "Which job should I put on the form?"),
        VAL: ("What is my profession?",),
        TEST: ("Which job do I do?", "What occupation should my card show?"),
    },
}
