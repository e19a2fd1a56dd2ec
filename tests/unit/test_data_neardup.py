"""Near-duplicates: which texts belong together, and that nobody's place in the file matters."""

import random
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personadual.data_prep import components, hashing, neardup
from personadual.data_prep.neardup import NearDuplicates
from personadual.data_prep.served.texts import occurs

SETTINGS = NearDuplicates()
RNG = random.Random(7)
VOCABULARY = [f"word{number}" for number in range(3000)]


def long_text(words=60):
    return " ".join(RNG.choice(VOCABULARY) for _ in range(words))


def clusters_of(texts, near=SETTINGS):
    return neardup.clusters(neardup.signatures(texts, near), near).tolist()


def jaccard(one, other, size):
    shingles = [
        {tuple(found[i : i + size]) for i in range(len(found) - size + 1)} for found in map(neardup.words, (one, other))
    ]
    return len(shingles[0] & shingles[1]) / len(shingles[0] | shingles[1])


def test_case_accents_punctuation_and_space_make_no_difference():
    assert clusters_of(["Is  Bogotá a city?", "is bogota a CITY", "Is Bogota a river?"]) == [0, 0, 2]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The cat's 2 hats.", ["the", "cat", "s", "2", "hats"]),
        ("Straße, ÉCOLE", ["strasse", "ecole"]),
        ("東京は?", ["東", "京", "は"]),
        ("snake_case", ["snake_case"]),
        ("?!", ["?!"]),
        ("", [""]),
        ("a\ud800b", ["a", "b"]),
    ],
)
def test_words(text, words):
    assert neardup.words(text) == words


@pytest.mark.parametrize("text", ["\u0f73" * 4000, "\u0301\u0327" * 500_000, "\u0f72\u034f\u0f71\u034f" * 250_000])
def test_marks_without_end_take_linear_time(text):
    start = time.process_time()
    assert neardup.words(f"Who {text}?")[0] == "who"
    assert not occurs("Who", text)
    assert time.process_time() - start < 1


@given(st.text(), st.text())
def test_words_of_a_text_do_not_depend_on_its_neighbours(one, other):
    assert neardup._WORD.findall(" ".join(neardup.words(f"{one} . {other}"))) == [
        word for text in (one, other) for word in neardup.words(text) if neardup._WORD.match(word)
    ]


def test_a_changed_word_in_a_long_question_is_nearly_the_same_and_another_question_is_not():
    base = long_text()
    words = base.split()
    words[30] = "other"
    assert clusters_of([base, long_text(), " ".join(words), long_text()]) == [0, 1, 0, 3]


def test_questions_of_one_template_stay_apart():
    names = ["France", "Japan", "Peru", "Kenya", "Norway"]
    assert clusters_of([f"What is the capital of {name}?" for name in names]) == [0, 1, 2, 3, 4]


def test_clusters_are_transitive():
    words = long_text(120).split()
    chain = [words[:]]
    for step in range(4):
        changed = chain[-1][:]
        changed[10 + 20 * step] = changed[12 + 20 * step] = f"changed{step}"
        chain.append(changed)
    texts = [" ".join(link) for link in chain]
    assert jaccard(texts[0], texts[-1], SETTINGS.shingle) < SETTINGS.threshold
    assert set(clusters_of(texts)) == {0}


def test_the_estimate_is_near_the_true_similarity():
    near = NearDuplicates(num_perm=256)
    words = long_text(200).split()
    for changed in (2, 10, 30):
        other = words[:]
        for place in RNG.sample(range(200), changed):
            other[place] = f"new{place}"
        texts = [" ".join(words), " ".join(other)]
        found = neardup.signatures(texts, near)
        estimate = (found[0] == found[1]).mean()
        assert abs(estimate - jaccard(*texts, near.shingle)) < 0.13  # four standard deviations at the worst place


def test_most_pairs_above_the_threshold_are_found_among_many_texts():
    texts, twins = [long_text() for _ in range(400)], []
    for number in range(0, 400, 2):
        words = texts[number].split()
        words[-1] = "changed"  # one of 58 shingles
        twins.append((number, len(texts)))
        texts.append(" ".join(words))
    labels = clusters_of(texts)
    assert sum(labels[one] == labels[other] for one, other in twins) == len(twins)
    assert len(set(labels)) == 400


def test_bands_find_a_pair_at_the_threshold_almost_surely():
    for threshold in (0.3, 0.5, 0.8, 0.95):
        bands = NearDuplicates(threshold=threshold).bands()
        rows = bands[0].stop - bands[0].start
        assert 1 - (1 - threshold**rows) ** len(bands) >= 0.995
        assert [band.start for band in bands] == [rows * number for number in range(len(bands))]


@settings(max_examples=60)
@given(st.permutations(range(12)))
def test_the_order_of_the_texts_changes_no_cluster(order):
    words = [f"w{number}" for number in range(40)]
    texts = [
        " ".join([*words[:20], f"x{number % 4}", *words[20:]]) if number < 8 else f"q{number}" for number in range(12)
    ]
    plain = clusters_of(texts)
    moved = clusters_of([texts[number] for number in order])
    together = {(a, b) for a in range(12) for b in range(12) if plain[a] == plain[b]}
    assert {(order[a], order[b]) for a in range(12) for b in range(12) if moved[a] == moved[b]} == together


@given(
    st.integers(1, 40).flatmap(
        lambda n: st.tuples(st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1))))
    )
)
def test_components_are_those_of_a_search_by_hand(graph):
    count, edges = graph
    left, right = np.array([e[0] for e in edges], dtype=int), np.array([e[1] for e in edges], dtype=int)
    expected = list(range(count))
    for _ in range(count):
        for one, other in edges:
            expected[one] = expected[other] = min(expected[one], expected[other])
    assert components.join(components.singletons(count), left, right).tolist() == expected


def test_components_of_a_long_chain_in_the_worst_order():
    count = 5000
    members = np.random.default_rng(0).permutation(count)
    labels = components.join(components.singletons(count), members[:-1], members[1:])
    assert (labels == 0).all()


def test_matches_name_the_most_similar_row_of_the_other_side():
    base = long_text()
    words = base.split()
    words[3] = "other"
    theirs = [long_text(), " ".join(words), base]
    mine = [long_text(), base]
    found = neardup.matches(*(neardup.signatures(texts, SETTINGS) for texts in (mine, theirs)), SETTINGS)
    assert found == [(1, 2, 1.0)]


def test_twins_are_found_in_a_set_whose_texts_all_share_much(monkeypatch):
    # Signatures as of texts put together from the same blocks: two share 48 % by chance, twins 90 %.
    monkeypatch.setattr(neardup, "_NEIGHBOURS", 8)  # a bucket of hundreds stands for one of thousands
    draw = np.random.default_rng(1)
    texts = draw.geometric(0.65, (3000, SETTINGS.num_perm)).astype(np.uint32)
    first = draw.choice(len(texts), 200, replace=False)
    twins = texts[first].copy()
    for twin in twins:
        twin[draw.choice(SETTINGS.num_perm, 5, replace=False)] = draw.integers(10**6, 10**9, 5)
    labels = neardup.clusters(np.concatenate([texts, twins]), SETTINGS)
    assert (labels[first] == labels[len(texts) :]).mean() > 0.98
    assert len(set(labels.tolist())) > 0.9 * len(texts)  # not because everything is one cluster
    found = {row: other for row, other, _ in neardup.matches(twins, texts, SETTINGS)}
    assert np.mean([found.get(row) == other for row, other in enumerate(first)]) > 0.98


def test_no_texts():
    assert clusters_of([]) == []
    assert neardup.matches(neardup.signatures([], SETTINGS), neardup.signatures(["a"], SETTINGS), SETTINGS) == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"threshold": 0.1}, "threshold"),
        ({"threshold": 1.5}, "threshold"),
        ({"num_perm": 4}, "num_perm"),
        ({"shingle": 0}, "shingle"),
    ],
)
def test_impossible_settings_are_named(values, message):
    with pytest.raises(ValueError, match=f"near_duplicates.{message}"):
        NearDuplicates(**values)


def test_keys_are_the_same_everywhere():
    # Written down: a build made on another machine, or next year, must take the same choices.
    assert hashing.key("question-1") == 13439255470811082949
    assert hashing.mix(hashing.keys(["a", "b"]), "salt").tolist() == [370323558077386095, 6459506731833287562]


def test_choices_follow_their_shares():
    keys = hashing.mix(np.arange(40_000, dtype=np.uint64), "seed")
    counts = np.bincount(hashing.choose(keys, [0.9, 0.0, 0.1]), minlength=3)
    assert counts[1] == 0 and abs(counts[0] / 40_000 - 0.9) < 0.01
    assert set(hashing.choose(keys, [0.0, 1.0, 0.0]).tolist()) == {1}
